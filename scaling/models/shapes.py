"""The text-conditioned flow transformer of the shapes world: diffusers' PixArt transformer on 24x24 pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scaling.loading.devices import DTYPES
from scaling.loading.weights_file import weights_path
from scaling.models.dit import BundledTransformer, guidance_gap, predict
from scaling.protocols import Condition, Encoded, Prediction
from scaling.schedules import Flow
from scaling.shapes.phrases import TOKENS, WIDTH, phrases

_KIND = "PixArtTransformer2DModel"


def build(architecture: Mapping[str, Any]) -> nn.Module:
    """diffusers' network of the architecture, untrained; the global random state stays as it was."""
    from diffusers import PixArtTransformer2DModel

    with torch.random.fork_rng(devices=[]):
        network: Any = PixArtTransformer2DModel(**architecture)
    return network


def inputs() -> dict[str, Any]:
    """What the network takes beside one latent, without content."""
    return {
        "encoder_hidden_states": torch.empty(1, TOKENS, WIDTH),
        "encoder_attention_mask": torch.empty(1, TOKENS),
        "timestep": torch.empty(1),
        "added_cond_kwargs": {},
    }


class Shapes(BundledTransformer):
    """A `PixArtTransformer2DModel` that attends to the phrases of a shapes prompt; predicts velocity.

    `path` is the bundled name or a file; `guidance_scale` 1 means no guidance, else the empty prompt is run beside (Ho
    & Salimans). `dtype` and `cache`: see `BundledTransformer`.
    """

    kind, build, inputs = _KIND, build, inputs

    def __init__(
        self,
        *,
        path: str = "shapes",
        guidance_scale: float = 1.0,
        dtype: str = "float32",
        device: str = "auto",
        cache: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path, Flow(), guidance_scale, dtype, device, cache)
        if (width := self._meta["architecture"].get("caption_channels")) != WIDTH:
            raise ValueError(f"{weights_path(path)} has captions of width {width}: the {_KIND} of the shapes is needed")
        self._nothing = [rows.to(self.device) for rows in phrases([""])]  # what guidance leads away from

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """The prompts' phrases; a ValueError names a prompt that is not in the grammar, or a condition without one."""
        for condition in conditions:
            if condition.prompt is None:
                raise ValueError(f"condition {condition.class_label}: the shapes model needs prompts, no class labels")
        text, mask = phrases([condition.prompt or "" for condition in conditions])
        return {"text": text.to(self.device), "mask": mask.to(self.device)}

    def __call__(self, x: Float[Tensor, " n *latent"], t: Float[Tensor, " n"], encoded: Encoded) -> Prediction:
        """x0 and eps at the times t, in float32; gradients flow to x where it asks for them."""
        x, t, text, mask = x.float(), t.float().to(x.device), encoded["text"], encoded["mask"]
        gap = None
        if self.guidance_scale <= 1:
            velocity = self._forward(x, t, text, mask)
        else:
            nothing, blank = (rows.expand(len(x), *rows.shape[1:]) for rows in self._nothing)
            both = self._forward(
                x.repeat(2, 1, 1, 1), t.repeat(2), torch.cat((text, nothing)), torch.cat((mask, blank))
            )
            prompted, plain = both.chunk(2)
            velocity = plain + self.guidance_scale * (prompted - plain)
            gap = guidance_gap(prompted, plain, t, self.schedule, "velocity")
        return predict(velocity, x, t, self.schedule, "velocity")._replace(gap=gap)

    def _forward(self, x: Tensor, t: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        dtype = DTYPES[self._dtype]
        out = self.network(
            x.to(dtype),
            encoder_hidden_states=text.to(dtype),
            encoder_attention_mask=mask,
            timestep=t * self._meta["timestep_scale"],
            added_cond_kwargs={},
        )
        return out.sample.float()
