"""SANA (Xie et al. 2410.10629): linear attention on latents of an autoencoder that shrinks 32 times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.encoded_prompts import Row
from scaling.models.library_schedules import FlowMatch
from scaling.models.text_to_image import TextToImage
from scaling.protocols import Encoded, Schedule


@dataclass(kw_only=True, eq=False)
class Sana(TextToImage):
    """`Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers`; `instruction`: the long one goes before prompts."""

    pipeline = "SanaPipeline"
    max_tokens: int = 300
    instruction: bool = True

    @property
    @override
    def vae_factor(self) -> int:
        return 2 ** (len(self.vae_config["encoder_block_out_channels"]) - 1)

    @override
    def noise_schedule(self, config: Mapping[str, Any]) -> Schedule:
        _, height, width = self.latent_shape
        return FlowMatch.from_scheduler(config, height * width, given=False)

    @override
    def text(self, pipe: Any, prompt: str) -> Row:
        own = signature(type(pipe).__call__).parameters["complex_human_instruction"].default
        return self._row(pipe, prompt, own if self.instruction else None)

    @override
    def null(self, pipe: Any, prompt: str | None) -> Row:
        return self._row(pipe, prompt or "", None)

    @override
    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n c h w"]:
        return network(
            x.to(network.dtype),
            encoder_hidden_states=encoded["prompt"].to(network.dtype),
            encoder_attention_mask=encoded["mask"],
            timestep=1000 * t * self.config.get("timestep_scale", 1.0),
            return_dict=False,
        )[0]

    def _row(self, pipe: Any, prompt: str, instruction: list[str] | None) -> Row:
        options = {"device": self.device, "max_sequence_length": self.max_tokens}
        embeds, mask, _, _ = pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, complex_human_instruction=instruction, **options
        )  # fmt: skip
        return {"prompt": embeds[0], "mask": mask[0]}
