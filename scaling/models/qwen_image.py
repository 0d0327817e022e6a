"""Qwen-Image (2508.02324): packed latents of a video autoencoder, guidance that keeps the norm of the prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from scaling.models.encoded_prompts import Row
from scaling.models.packing import PackedFlow, pack, unpack
from scaling.protocols import Encoded


@dataclass(kw_only=True, eq=False)
class QwenImage(PackedFlow):
    """`Qwen/Qwen-Image`; its "true" guidance is run, away from the prompt `" "`, as its authors do.

    Prompts are as long as they are: all are padded to `max_tokens`, so that nothing depends on the company.
    """

    pipeline = "QwenImagePipeline"
    max_tokens: int = 512

    @property
    @override
    def vae_factor(self) -> int:
        return 2 ** len(self.vae_config["temperal_downsample"])

    @override
    def text(self, pipe: Any, prompt: str) -> Row:
        embeds, _ = pipe.encode_prompt(prompt, device=self.device, max_sequence_length=self.max_tokens)
        lacking = self.max_tokens - embeds.shape[1]
        mask = F.pad(torch.ones(embeds.shape[1], dtype=torch.long), (0, lacking))
        return {"prompt": F.pad(embeds[0], (0, 0, 0, lacking)), "mask": mask}

    @override
    def null(self, pipe: Any, prompt: str | None) -> Row:
        return self.text(pipe, " " if prompt is None else prompt)

    def guide(self, conditioned: Tensor, null: Tensor, scale: Tensor | float) -> Tensor:
        """Guided, with the norm of each token's conditioned prediction."""
        guided = pack(super().guide(conditioned, null, scale))
        norm = pack(conditioned).norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True)
        return unpack(guided * norm, *conditioned.shape[-2:])

    @override
    def image(self, vae: Any, x0: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        mean, deviation = (
            x0.new_tensor(self.vae_config[name]).view(-1, 1, 1) for name in ("latents_mean", "latents_std")
        )  # fmt: skip
        latents = (x0 * deviation + mean).unsqueeze(2)  # one frame
        return vae.decode(latents.to(vae.dtype), return_dict=False)[0][:, :, 0]

    @override
    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n c h w"]:
        height, width = x.shape[-2:]
        tokens = network(
            hidden_states=pack(x).to(network.dtype),
            timestep=t.to(network.dtype),
            encoder_hidden_states=encoded["prompt"],
            encoder_hidden_states_mask=encoded["mask"],
            img_shapes=[[(1, height // 2, width // 2)]] * len(x),
            return_dict=False,
        )[0]
        return unpack(tokens, height, width)
