"""PickScore (Kirstain et al. 2305.01569): a CLIP-H that was tuned on people's choices."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.contents import digest
from scaling.extras import require
from scaling.loading.checkpoints import load_transformers
from scaling.loading.devices import pick_device
from scaling.loading.encoders import CLIP_MEAN, CLIP_STD, Preprocess
from scaling.loading.hub import find_folder
from scaling.verifiers.prompted import PerPrompt, PromptCosine, TokenLimit, token_count


class PickScore(PromptCosine):
    """Scores exp(logit_scale) cos(image, prompt), about 15 to 25.

    Args:
        path: transformers' CLIPModel, a folder or a hub id.
        tokenizer: a folder or hub id with its tokenizer (the model's has none).
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(
        self,
        *,
        path: str = "yuvalkirstain/PickScore_v1",
        tokenizer: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        device: str = "auto",
    ) -> None:
        files = ("config.json", "model.safetensors")
        require("transformers", "torchvision")
        folder = find_folder(path, files)
        words = find_folder(tokenizer, ("tokenizer*.json",))
        from transformers import CLIPModel, CLIPTokenizer

        self.device = pick_device(device)
        self.network = load_transformers(CLIPModel, folder).to(self.device)
        self._tokenizer = CLIPTokenizer.from_pretrained(words, local_files_only=True)
        size = self.network.config.vision_config.image_size
        self.preprocess = Preprocess(size, size, CLIP_MEAN, CLIP_STD)
        self._longest = self.network.config.text_config.max_position_embeddings
        limit = TokenLimit("PickScore", self._longest, token_count(self._tokenizer))
        super().__init__(PerPrompt(self._embed_texts, limit), {"weights": digest(folder, files)})

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The images' embeddings."""
        pooled = self.network.vision_model(self.preprocess(images.to(self.device))).pooler_output
        return self.network.visual_projection(pooled)

    def scaled(self, cosine: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The cosine times the network's own scale."""
        return self.network.logit_scale.exp() * cosine

    def _embed_texts(self, prompts: list[str]) -> Float[Tensor, "n d"]:
        rows = []
        for prompt in prompts:  # one by one: no padding, so that nothing depends on the company
            options = {"truncation": True, "max_length": self._longest, "return_tensors": "pt"}
            tokens = self._tokenizer(prompt, **options).to(self.device)
            rows.append(self.network.text_projection(self.network.text_model(**tokens).pooler_output))
        return F.normalize(torch.cat(rows), dim=1)
