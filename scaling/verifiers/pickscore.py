"""PickScore (Kirstain et al. 2305.01569): a CLIP-H that was tuned on people's choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.checkpoints import load_transformers
from scaling.loading.encoders import Preprocess
from scaling.loading.hub import digest, find_folder
from scaling.loading.networks import pick_device
from scaling.protocols import Condition
from scaling.verifiers.prompted import PerPrompt

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class PickScore:
    """Scores exp(logit_scale) cos(image, prompt), about 15 to 25.

    `path` is transformers' CLIPModel, `tokenizer` a folder or hub id with its tokenizer (the model's has none).
    """

    differentiable = True
    probe: float | None = None

    def __init__(
        self,
        *,
        path: str = "yuvalkirstain/PickScore_v1",
        tokenizer: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        device: str = "auto",
    ) -> None:
        files = ("config.json", "model.safetensors")
        folder = find_folder(path, files)
        words = find_folder(tokenizer, ("tokenizer*.json",))
        from transformers import CLIPModel, CLIPTokenizer

        self.device = pick_device(device)
        self.network = load_transformers(CLIPModel, folder).to(self.device)
        self._tokenizer = CLIPTokenizer.from_pretrained(words, local_files_only=True)
        size = self.network.config.vision_config.image_size
        self.preprocess = Preprocess(size, size, CLIP_MEAN, CLIP_STD)
        self._texts = PerPrompt(self._embed)
        self._identity = {"class": "PickScore", "weights": digest(folder, files)}

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        network = self.network
        pooled = network.vision_model(self.preprocess(images.to(self.device))).pooler_output
        cosine = (F.normalize(network.visual_projection(pooled), dim=1) * self._texts(conditions)).sum(dim=1)
        return network.logit_scale.exp() * cosine

    def identity(self) -> dict[str, Any]:
        """Class and the hash of the weights."""
        return dict(self._identity)

    def _embed(self, prompts: list[str]) -> Float[Tensor, "n d"]:
        longest = self.network.config.text_config.max_position_embeddings
        rows = []
        for prompt in prompts:  # one by one: no padding, so that nothing depends on the company
            tokens = self._tokenizer(prompt, truncation=True, max_length=longest, return_tensors="pt").to(self.device)
            rows.append(self.network.text_projection(self.network.text_model(**tokens).pooler_output))
        return F.normalize(torch.cat(rows), dim=1)
