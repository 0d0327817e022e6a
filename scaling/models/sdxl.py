"""SDXL (Podell et al. 2307.01952), its DPO fine-tune (another UNet) and SDXL-Turbo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.encoded_prompts import Row
from scaling.models.noise_predictor import NoisePredictor
from scaling.protocols import Encoded


@dataclass(kw_only=True, eq=False)
class SDXL(NoisePredictor):
    """`stabilityai/stable-diffusion-xl-base-1.0`, `stabilityai/sdxl-turbo`; the size is told to the network, uncropped.

    `spacing` cuts time otherwise than the repository's scheduler.
    """

    pipeline = "StableDiffusionXLPipeline"
    part = "unet"

    @override
    def text(self, pipe: Any, prompt: str) -> Row:
        embeds, _, pooled, _ = pipe.encode_prompt(prompt, device=self.device, do_classifier_free_guidance=False)
        return {"prompt": embeds[0], "pooled": pooled[0]}

    def null(self, pipe: Any, prompt: str | None) -> Row:
        """Zeros where the repository says so (the base model was trained with them), else the empty prompt."""
        row = self.text(pipe, prompt or "")
        zeros = prompt is None and self.repository.index.get("force_zeros_for_empty_prompt", True)
        return {name: torch.zeros_like(value) if zeros else value for name, value in row.items()}

    @override
    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n c h w"]:
        size = (self.height, self.width)
        time_ids = torch.tensor([*size, 0, 0, *size], dtype=network.dtype, device=x.device).expand(len(x), -1)
        return network(
            x.to(network.dtype),
            self.timestep(t),
            encoder_hidden_states=encoded["prompt"],
            added_cond_kwargs={"text_embeds": encoded["pooled"], "time_ids": time_ids},
            return_dict=False,
        )[0]
