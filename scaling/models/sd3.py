"""Stable Diffusion 3 and 3.5 (Esser et al. 2403.03206)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.encoded_prompts import Row
from scaling.models.library_schedules import FlowMatch
from scaling.models.text_to_image import TextToImage
from scaling.protocols import Encoded, Schedule


@dataclass(kw_only=True, eq=False)
class SD3(TextToImage):
    """`stabilityai/stable-diffusion-3-medium-diffusers`, `-3.5-medium` and `-3.5-large`, with T5 or without."""

    pipeline = "StableDiffusion3Pipeline"
    multiple = 2
    max_tokens: int = 256  # of T5

    @override
    def noise_schedule(self, config: Mapping[str, Any]) -> Schedule:
        _, height, width = self.latent_shape
        patch = self.config["patch_size"]
        return FlowMatch.from_scheduler(config, (height // patch) * (width // patch), given=False)

    @override
    def text(self, pipe: Any, prompt: str) -> Row:
        if pipe.text_encoder_3 is None:  # zeros take its place, as wide as the network that is not loaded yet
            pipe.transformer = SimpleNamespace(config=SimpleNamespace(**self.config))
        embeds, _, pooled, _ = pipe.encode_prompt(
            prompt,
            prompt,
            prompt,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.max_tokens,
        )
        return {"prompt": embeds[0], "pooled": pooled[0]}

    @override
    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n c h w"]:
        return network(
            hidden_states=x.to(network.dtype),
            timestep=1000 * t,
            encoder_hidden_states=encoded["prompt"],
            pooled_projections=encoded["pooled"],
            return_dict=False,
        )[0]
