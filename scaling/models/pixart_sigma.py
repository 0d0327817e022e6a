"""PixArt-Sigma (Chen et al. 2403.04692)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.models.encoded_prompts import Row
from scaling.models.noise_predictor import NoisePredictor
from scaling.protocols import Encoded
from scaling.schedules import Spacing


@dataclass(kw_only=True, eq=False)
class PixArtSigma(NoisePredictor):
    """`PixArt-alpha/PixArt-Sigma-XL-2-1024-MS`; its own scheduler's `linspace` is none of ours: `spacing` names one.

    Prompts are lowercased, as the pipeline does without `clean_caption`.
    """

    pipeline = "PixArtSigmaPipeline"
    multiple = 2
    spacing: Spacing | None = "leading"
    max_tokens: int = 300

    @override
    def text(self, pipe: Any, prompt: str) -> Row:
        embeds, mask, _, _ = pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, device=self.device, max_sequence_length=self.max_tokens
        )
        return {"prompt": embeds[0], "mask": mask[0]}

    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n c h w"]:
        """The noise; a learned variance (twice the channels) is dropped."""
        output = network(
            x.to(network.dtype),
            encoder_hidden_states=encoded["prompt"],
            encoder_attention_mask=encoded["mask"],
            timestep=self.timestep(t),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        return output[:, : x.shape[1]]
