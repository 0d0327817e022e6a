"""The text-conditioned flow transformer of the shapes world: diffusers' PixArt transformer on 24x24 pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scaling.loading.devices import DTYPES, dtype_of, move, pick_device
from scaling.loading.weights_file import load_weights, weights_path
from scaling.models.dit import decode_range, guidance_gap, guidance_named, predict
from scaling.models.step_cache import apply_cache, begin, gflops_along
from scaling.protocols import Condition, Encoded, Prediction, Schedule
from scaling.schedules import Flow
from scaling.shapes.phrases import TOKENS, WIDTH, phrases

_KIND = "PixArtTransformer2DModel"


def build(architecture: Mapping[str, Any]) -> nn.Module:
    """diffusers' network of the architecture, untrained; the global random state stays as it was."""
    from diffusers import PixArtTransformer2DModel

    with torch.random.fork_rng(devices=[]):
        network: Any = PixArtTransformer2DModel(**architecture)
    return network


@cache
def network_gflops(architecture: str, step_cache: str = "", nfe: int = 1) -> float:
    """GFLOPs of one forward of one row, counted on the meta device: fused attention on the CPU would count 0.

    With a cache (its options as json) they are the mean over the `nfe` forwards of a solve.
    """
    config = json.loads(architecture)
    with torch.device("meta"):
        network = build(config)
        x = torch.empty(1, config["in_channels"], config["sample_size"], config["sample_size"])
        text, mask, t = torch.empty(1, TOKENS, WIDTH), torch.empty(1, TOKENS), torch.empty(1)

    def forward() -> Any:
        return network(x, encoder_hidden_states=text, encoder_attention_mask=mask, timestep=t, added_cond_kwargs={})

    return gflops_along(network, forward, json.loads(step_cache or "{}"), nfe)


class Shapes:
    """A `PixArtTransformer2DModel` that attends to the phrases of a shapes prompt; predicts velocity.

    `path` is the bundled name or a file of this package's format; `guidance_scale` 1 means no guidance, else the empty
    prompt is run beside (Ho & Salimans); `dtype` is that of weights and activations inside the network. `cache`, for
    drafts: see `scaling.models.step_cache.apply_cache`.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(
        self,
        *,
        path: str = "shapes",
        guidance_scale: float = 1.0,
        dtype: str = "float32",
        device: str = "auto",
        cache: Mapping[str, Any] | None = None,
    ) -> None:
        number = dtype_of(dtype)
        weights = load_weights(path)
        meta = weights.metadata
        if meta.get("class") != _KIND or meta["architecture"].get("caption_channels") != WIDTH:
            raise ValueError(f"{weights_path(path)} holds a {meta.get('class')}: the {_KIND} of the shapes is needed")
        self.schedule: Schedule = Flow()
        self.guidance_scale = float(guidance_scale)
        self.forwards_per_call = 1 if self.guidance_scale <= 1 else 2
        self.device = pick_device(device)
        network = build(meta["architecture"])
        network.load_state_dict(weights.state)
        move(network, self.device, number)
        self.network = network.eval().requires_grad_(False)
        self.cache = dict(cache or {})
        if self.cache:
            apply_cache(self.network, self.cache)
        self._nothing = [rows.to(self.device) for rows in phrases([""])]  # what guidance leads away from
        self._meta, self._sha256, self._dtype = meta, weights.sha256, dtype
        size = meta["architecture"]["sample_size"]
        self.latent_shape: tuple[int, ...] = (meta["architecture"]["in_channels"], size, size)

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

    def begin_solve(self) -> None:
        """What follows are the steps of a new solve, of whatever rows."""
        if self.cache:
            begin(self.network)

    def decode(self, x0: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1]."""
        return decode_range(x0, *self._meta["data_range"])

    def gflops(self) -> float:
        """GFLOPs of one network forward of one row (2 per multiply-add)."""
        return network_gflops(json.dumps(self._meta["architecture"], sort_keys=True))

    def gflops_along(self, nfe: int) -> float:
        """The same on average over the forwards of a solve of so many NFE, of which a cache leaves some out."""
        if not self.cache:
            return self.gflops()
        return network_gflops(json.dumps(self._meta["architecture"], sort_keys=True), json.dumps(self.cache), nfe)

    def identity(self) -> dict[str, Any]:
        """All that decides the answers, as plain json."""
        return {
            "class": type(self).__qualname__,
            "architecture": self._meta["architecture"],
            "weights": self._sha256,
            "dtype": self._dtype,
            "guidance_scale": guidance_named(self.guidance_scale),
            **({"cache": self.cache} if self.cache else {}),
        }

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
