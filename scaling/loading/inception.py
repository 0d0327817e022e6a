"""The standard InceptionV3 of FID, KID and IS: torch-fidelity's port of the TensorFlow network of 2015."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling.contents import digest
from scaling.files import user_path
from scaling.loading.devices import pick_device
from scaling.loading.weights_file import weights_folder
from scaling.pixels import eight_bits


class Inception:
    """Images in [0, 1] to (features [n, 2048], the last pooling; logits [n, 1008], without the bias, as IS has them).

    Images are rounded to uint8, as a PNG would be, and resized as TensorFlow 1 does: no gradient. `path` are the
    weights in torch-fidelity's format; by default the file that torch.hub keeps under TORCH_HOME. They are never
    downloaded here: a missing or truncated file is a ValueError that shows the command.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, path: str | None = None, device: str = "auto") -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        file = _weights_file(path)
        self.device = pick_device(device)
        with torch.random.fork_rng(devices=[]):  # what is initialized is overwritten: leave the global state alone
            try:
                network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(file))
            except RuntimeError as error:
                raise ValueError(f"{file} holds no InceptionV3 weights ({str(error).splitlines()[0]})") from None
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.weights = digest(file)

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n 2048"], Float[Tensor, "n 1008"]]:
        """Pooled features and logits of images in [0, 1], which are rounded to 8 bits."""
        pixels = eight_bits(images.to(self.device))
        features, logits = self.network(pixels)
        return features, logits


def inception_nodes() -> Int[Tensor, " 1000"]:
    """Which of the 1008 outputs each ImageNet class (in the usual order, by WordNet id) is: its ILSVRC2012 id."""
    lines = (weights_folder() / "inception_nodes.txt").read_text().splitlines()
    return torch.tensor([int(number) for line in lines[1:] for number in line.split()])


def _weights_file(path: str | None) -> Path:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    file = user_path(path or Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name)
    command = f"curl -L --create-dirs -o {file} {URL_INCEPTION_V3}"
    if not file.is_file():
        raise ValueError(f"no Inception weights at {file}: {command}")
    try:
        torch.load(file, map_location="meta", weights_only=True)  # torch-fidelity itself would run any pickle
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        raise ValueError(f"{file} cannot be read ({type(error).__name__}): {command}") from None
    return file
