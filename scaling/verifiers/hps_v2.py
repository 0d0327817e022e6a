"""Human Preference Score v2 and v2.1 (Wu et al. 2306.09341): a CLIP-H of open_clip, tuned on choices of people."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.contents import digest
from scaling.extras import require
from scaling.loading.checkpoints import fit, read_state
from scaling.loading.devices import pick_device
from scaling.loading.encoders import CLIP_MEAN, CLIP_STD, Preprocess, open_clip_tokens
from scaling.loading.hub import find_file
from scaling.verifiers.prompted import PerPrompt, PromptCosine, TokenLimit


class HPSv2(PromptCosine):
    """Scores the cosine of image and prompt, about 0.2 to 0.35.

    Args:
        path: the checkpoint of v2 or v2.1, a file or a hub id.
        architecture: open_clip's name of the network.
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(
        self,
        *,
        path: str = "xswu/HPSv2/HPS_v2.1_compressed.pt",
        architecture: str = "ViT-H-14",
        device: str = "auto",
    ) -> None:
        require("open_clip", "torchvision")
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
        texts = PerPrompt(
            lambda prompts: F.normalize(network.encode_text(tokenizer(prompts).to(self.device)), dim=1),
            TokenLimit("HPSv2", tokenizer.context_length, lambda prompt: open_clip_tokens(tokenizer, prompt)),
        )
        super().__init__(texts, {"architecture": architecture, "weights": digest(file)})

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The images' embeddings."""
        return self.network.encode_image(self.preprocess(images.to(self.device)))
