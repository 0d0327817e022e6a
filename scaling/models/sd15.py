"""Stable Diffusion 1 (Rombach et al. 2112.10752)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.encoded_prompts import Row
from scaling.models.noise_predictor import NoisePredictor
from scaling.protocols import Encoded


@dataclass(kw_only=True, eq=False)
class SD15(NoisePredictor):
    """`stable-diffusion-v1-5/stable-diffusion-v1-5` and its like; `spacing` cuts time otherwise than its scheduler."""

    pipeline = "StableDiffusionPipeline"
    part = "unet"

    @override
    def text(self, pipe: Any, prompt: str) -> Row:
        embeds, _ = pipe.encode_prompt(prompt, self.device, 1, do_classifier_free_guidance=False)
        return {"prompt": embeds[0]}

    @override
    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n c h w"]:
        timestep = self.timestep(t)
        return network(x.to(network.dtype), timestep, encoder_hidden_states=encoded["prompt"], return_dict=False)[0]
