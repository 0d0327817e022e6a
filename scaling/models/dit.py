"""Class-conditional diffusion transformers as denoisers, and what they share with the other bundled model.

Three small parts that another model may reuse: `guided` (classifier-free guidance around any labeled network),
`predict` (velocity or eps to a prediction, in fp32) and `decode_range` (pixel space to images).
"""

from __future__ import annotations

import json
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from scaling.loading.devices import DTYPES, dtype_of, move, pick_device
from scaling.loading.labels import class_labels
from scaling.loading.weights_file import load_weights, weights_path
from scaling.models.class_transformer import ClassTransformer
from scaling.models.step_cache import apply_cache, begin, gflops_along
from scaling.protocols import Condition, Encoded, Prediction, Schedule
from scaling.schedules import Flow

Labeled = Callable[[Tensor, Tensor, Tensor], Tensor]  # (x, t, labels) -> the network's own output, fp32
_KIND = "DiTTransformer2DModel"


def guided(
    network: Labeled,
    x: Float[Tensor, "n c *latent"],
    t: Float[Tensor, " n"],
    labels: Int[Tensor, " n"],
    null: int,
    scale: float,
    channels: int | None = None,
) -> Float[Tensor, "n out *latent"]:
    """null + scale (labeled - null), one call of 2n rows; at scale 1 and below one of n rows (Ho & Salimans).

    Only the first `channels` are guided (None: all); the others are those of the label.
    """
    if scale <= 1:
        return network(x, t, labels)
    both = network(torch.cat((x, x)), torch.cat((t, t)), torch.cat((labels, torch.full_like(labels, null))))
    labeled, unlabeled = both.chunk(2)
    both = unlabeled + scale * (labeled - unlabeled)
    return both if channels is None else torch.cat((both[:, :channels], labeled[:, channels:]), dim=1)


def guidance_named(scale: float) -> float | str:
    """The scale as an identity says it: all under 1 are none, and meant something else before they were."""
    return scale if scale >= 1 else "none"


def predict(output: Tensor, x: Tensor, t: Tensor, schedule: Schedule, kind: str) -> Prediction:
    """A network's output as x0 and eps, with x = alpha x0 + sigma eps.

    `velocity` is noise - x0 on the straight path (alpha + sigma = 1); `eps` is the noise itself.
    """
    rows = (-1, *[1] * (x.ndim - 1))
    alpha, sigma = schedule.alpha(t).view(rows).to(x.dtype), schedule.sigma(t).view(rows).to(x.dtype)
    if kind == "velocity":
        return Prediction(x0=x - sigma * output, eps=x + alpha * output)
    return Prediction(x0=(x - sigma * output) / alpha, eps=output)


def guidance_gap(
    one: Float[Tensor, "n *latent"],
    other: Float[Tensor, "n *latent"],
    t: Float[Tensor, " n"],
    schedule: Schedule,
    kind: str,
) -> Float[Tensor, " n"]:
    """Mean squared difference of the eps that two outputs of a network (of `predict`'s kinds) stand for."""
    scale = schedule.alpha(t).to(one.dtype) if kind == "velocity" else 1.0
    return scale**2 * (one - other).flatten(1).square().mean(dim=1)


def decode_range(x0: Float[Tensor, "n c h w"], low: float, high: float) -> Float[Tensor, "n 3 h w"]:
    """Pixels from [low, high] to images in [0, 1], clipped; one channel is repeated."""
    return ((x0.float() - low) / (high - low)).clamp(0, 1).expand(-1, 3, -1, -1)


def build(architecture: Mapping[str, Any], frequency_shift: int = 1) -> ClassTransformer:
    """The network of the architecture, untrained; the global random state stays as it was.

    `architecture` holds arguments of diffusers' `DiTTransformer2DModel`; a ValueError names one that is not known.
    """
    if unknown := sorted(set(architecture) - set(signature(ClassTransformer).parameters)):
        raise ValueError(f"{unknown[0]} is no part of a {_KIND} that is known here")
    with torch.random.fork_rng(devices=[]):
        return ClassTransformer(**architecture, frequency_shift=frequency_shift)


class BundledTransformer(ABC):
    """A denoiser over a transformer from a weights file of this package's format; subclasses encode and ask it.

    What comes out is float32, whatever `dtype` the weights and activations inside the network have; `cache`, for
    drafts: see `scaling.models.step_cache.apply_cache`.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    kind: ClassVar[str]  # of network that the file's header names
    build: ClassVar[Callable[[Mapping[str, Any]], nn.Module]]  # the untrained network of an architecture
    inputs: ClassVar[Callable[[], dict[str, Any]]]  # what the network takes beside one latent, without content

    def __init__(
        self, path: str, schedule: Schedule, guidance_scale: float, dtype: str, device: str, cache: Any
    ) -> None:
        """A ValueError names the weights' file where it does not fit the architecture in its header."""
        number, weights = dtype_of(dtype), load_weights(path, self.kind)
        self.schedule: Schedule = schedule
        self.guidance_scale = float(guidance_scale)
        self.forwards_per_call = 1 if self.guidance_scale <= 1 else 2
        self.device = pick_device(device)
        self._meta, self._sha256, self._dtype = weights.metadata, weights.sha256, dtype
        self.latent_shape: tuple[int, ...] = _shape(self._meta["architecture"])
        network = type(self).build(self._meta["architecture"])
        try:
            network.load_state_dict(weights.state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{weights_path(path)} does not fit the architecture in its header ({reason})") from None
        move(network, self.device, number)
        self.network: Any = network.eval().requires_grad_(False)
        self.cache = dict(cache or {})
        if self.cache:
            apply_cache(self.network, self.cache)

    def begin_solve(self) -> None:
        """What follows are the steps of a new solve, of whatever rows."""
        if self.cache:
            begin(self.network)

    def decode(self, x0: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1]."""
        return decode_range(x0, *self._meta["data_range"])

    def gflops(self) -> float:
        """GFLOPs of one network forward of one row (2 per multiply-add)."""
        return _gflops(type(self), _text(self._meta["architecture"]))

    def gflops_along(self, nfe: int) -> float:
        """The same on average over the forwards of a solve of so many NFE, of which a cache leaves some out."""
        if not self.cache:
            return self.gflops()
        return _gflops(type(self), _text(self._meta["architecture"]), _text(self.cache), nfe)

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


def network_gflops(architecture: Mapping[str, Any]) -> float:
    """GFLOPs of one forward of one row of a `DiTTransformer2DModel` (2 per multiply-add)."""
    return _gflops(DiT, _text(architecture))


@cache
def _gflops(kind: type[BundledTransformer], architecture: str, step_cache: str = "{}", nfe: int = 1) -> float:
    """Of one forward of one row, counted on the meta device: fused attention on the CPU would count 0.

    With a cache (its options as json) they are the mean over the `nfe` forwards of a solve.
    """
    config = json.loads(architecture)
    with torch.device("meta"):
        network, x, inputs = kind.build(config), torch.empty(1, *_shape(config)), kind.inputs()
    return gflops_along(network, lambda: network(x, **inputs), json.loads(step_cache), nfe)


def _shape(architecture: Mapping[str, Any]) -> tuple[int, int, int]:
    return architecture["in_channels"], architecture["sample_size"], architecture["sample_size"]


def _text(node: Mapping[str, Any]) -> str:
    return json.dumps(node, sort_keys=True)


class DiT(BundledTransformer):
    """A class-conditional `DiTTransformer2DModel`.

    `path` is a bundled name (fashion_s, fashion_m, fashion_l) or a file, whose header names the parametrization;
    `guidance_scale` 1 means no guidance; velocity needs a straight path (`Flow`), which is the default. `dtype` and
    `cache`: see `BundledTransformer`.
    """

    kind, build = _KIND, build
    inputs = staticmethod(lambda: {"timestep": torch.empty(1), "class_labels": torch.empty(1, dtype=torch.long)})

    def __init__(
        self,
        *,
        path: str,
        guidance_scale: float = 1.0,
        dtype: str = "float32",
        device: str = "auto",
        schedule: Schedule | None = None,
        cache: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path, schedule or Flow(), guidance_scale, dtype, device, cache)
        if (predicts := self._meta.get("prediction")) not in ("velocity", "eps"):
            raise ValueError(f"{weights_path(path)} predicts {predicts}: a {_KIND} with velocity or eps is needed")

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """The labels, one row a condition; a ValueError names a condition that has none."""
        labels = class_labels(conditions, self._meta["architecture"]["num_embeds_ada_norm"])
        return {"class_label": labels.to(self.device)}

    def __call__(self, x: Float[Tensor, " n *latent"], t: Float[Tensor, " n"], encoded: Encoded) -> Prediction:
        """x0 and eps at the times t, in float32; gradients flow to x where it asks for them."""
        x, t = x.float(), t.to(x.device)
        out = guided(self._forward, x, t, encoded["class_label"], self._meta["null_class"], self.guidance_scale)
        return predict(out, x, t, self.schedule, self._meta["prediction"])

    @override
    def identity(self) -> dict[str, Any]:
        return super().identity() | {"prediction": self._meta["prediction"], "schedule": repr(self.schedule)}

    def _forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """One pass of the network; a learned variance (twice the channels) is dropped."""
        timestep = t.float() * self._meta["timestep_scale"]
        x = x.to(DTYPES[self._dtype])
        return self.network(x, timestep=timestep, class_labels=labels)[:, : x.shape[1]].float()
