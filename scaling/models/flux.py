"""FLUX.1 (Black Forest Labs): packed latents, embedded guidance, a shift that grows with the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.encoded_prompts import Row
from scaling.models.packing import PackedFlow, pack, positions, unpack
from scaling.protocols import Encoded


@dataclass(kw_only=True, eq=False)
class Flux(PackedFlow):
    """`black-forest-labs/FLUX.1-dev` and `-schnell` (which knows no guidance, and takes 256 tokens)."""

    pipeline = "FluxPipeline"
    max_tokens: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.config["guidance_embeds"] and self.guidance_scale != 1:
            raise ValueError(
                f"model.guidance_scale={self.guidance_scale}: {self.path} takes no guidance, the nearest is 1.0"
            )

    @override
    def guides(self) -> bool:
        return False

    @override
    def text(self, pipe: Any, prompt: str) -> Row:
        embeds, pooled, _ = pipe.encode_prompt(prompt, device=self.device, max_sequence_length=self.max_tokens)
        return {"prompt": embeds[0], "pooled": pooled[0]}

    @override
    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n c h w"]:
        height, width = x.shape[-2:]
        guidance = x.new_full((len(x),), self.guidance_scale) if self.config["guidance_embeds"] else None
        tokens = network(
            hidden_states=pack(x).to(network.dtype),
            timestep=t.to(network.dtype),
            guidance=guidance,
            pooled_projections=encoded["pooled"],
            encoder_hidden_states=encoded["prompt"],
            txt_ids=x.new_zeros(encoded["prompt"].shape[1], 3),
            img_ids=positions(height // 2, width // 2, x.device),
            return_dict=False,
        )[0]
        return unpack(tokens, height, width)
