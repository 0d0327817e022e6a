"""Human Preference Score v2 and v2.1 (Wu et al. 2306.09341): a CLIP-H of open_clip, tuned on choices of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.checkpoints import fit, read_state
from scaling.loading.encoders import Preprocess
from scaling.loading.hub import digest, find_file
from scaling.loading.networks import pick_device
from scaling.protocols import Condition
from scaling.verifiers.pickscore import CLIP_MEAN, CLIP_STD
from scaling.verifiers.prompted import PerPrompt


class HPSv2:
    """Scores the cosine of image and prompt, about 0.2 to 0.35; `path` is the checkpoint of v2 or v2.1.

    `architecture` is open_clip's name of the network.
    """

    differentiable = True
    probe: float | None = None

    def __init__(
        self,
        *,
        path: str = "xswu/HPSv2/HPS_v2.1_compressed.pt",
        architecture: str = "ViT-H-14",
        device: str = "auto",
    ) -> None:
        file = find_file(path)
        import open_clip

        with torch.random.fork_rng(devices=[]):
            network = open_clip.create_model(architecture)
        fit(network, read_state(file), file)
        self.device = pick_device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        tokenizer = open_clip.get_tokenizer(architecture)
        size = network.visual.image_size
        side = size if isinstance(size, int) else size[0]
        self.preprocess = Preprocess(side, side, CLIP_MEAN, CLIP_STD)
        self._texts = PerPrompt(
            lambda prompts: F.normalize(network.encode_text(tokenizer(prompts).to(self.device)), dim=1)
        )
        self._identity = {"class": "HPSv2", "architecture": architecture, "weights": digest(file)}

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        features = self.network.encode_image(self.preprocess(images.to(self.device)))
        return (F.normalize(features, dim=1) * self._texts(conditions)).sum(dim=1)

    def identity(self) -> dict[str, Any]:
        """Class, architecture and the hash of the weights."""
        return dict(self._identity)
