"""The nouns that every floor shares; each is data or an interface, never both.

Shapes are jaxtyping's: `n` rows, `*latent` the model's space, images `n 3 h w` in [0, 1]. Time: 1 (noise) to 0 (clean).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

SETTINGS: Mapping[str, tuple[type, str]] = {  # what a condition may set for itself alone
    "negative_prompt": (str, "a text"),
    "seed": (int, "a whole number"),
    "guidance_scale": (float, "a number"),
}
IMAGE_AXES = ("channels", "height", "width")  # of a sample, behind its row; a video's would have "frames" before them
Settings = tuple[tuple[str, str | int | float], ...]  # pairs of a name of `SETTINGS` and its value, in their order


@dataclass(frozen=True, slots=True)
class Condition:
    """What one sample is conditioned on: a class label or a prompt, and which copy of it this is.

    Two conditions of equal content and copy are the same condition: they draw the same noises. `settings` are content:
    a `seed` picks other noises, the others are for models that say so (`Denoiser`).
    `metadata` travels along for metrics and exports; it decides nothing but what these say.
    """

    class_label: int | None = None
    prompt: str | None = None
    copy: int = 0
    metadata: Mapping[str, Any] | None = field(default=None, compare=False)
    settings: Settings = ()

    @property
    def key(self) -> str:
        """The content as 32 hex digits, the same whatever else is in the study."""
        content = f"class:{self.class_label}" if self.prompt is None else f"prompt:{self.prompt}"
        settings = f"#{json.dumps(self.settings)}" if self.settings else ""
        return hashlib.blake2b(f"{content}#{self.copy}{settings}".encode(), digest_size=16).hexdigest()

    @property
    def words(self) -> str:
        """The content for people: `class 3`, or the prompt in quotes."""
        return f"class {self.class_label}" if self.prompt is None else repr(self.prompt)


class Conditions(Protocol):
    """A prefix-stable sequence of conditions: a larger count only appends."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Condition]: ...

    def identity(self) -> Mapping[str, Any]:
        """All that decides the sequence, its length aside, as plain json."""
        ...


class Prediction(NamedTuple):
    """What a denoiser sees in a noisy sample: x = alpha x0 + sigma eps.

    Both are given, since either alone loses the other where alpha or sigma is 0. A model that runs guidance may add the
    mean squared difference of the eps that it predicts with and without the condition.
    """

    x0: Float[Tensor, "n *latent"]
    eps: Float[Tensor, "n *latent"]
    gap: Float[Tensor, " n"] | None = None


class Schedule(Protocol):
    """Signal and noise coefficients over time: x_t = alpha(t) x0 + sigma(t) noise; elementwise, any shape."""

    def alpha(self, t: Tensor) -> Tensor:
        """What the clean sample is multiplied by at times t in [0, 1]."""
        ...

    def sigma(self, t: Tensor) -> Tensor:
        """What the noise is multiplied by at times t in [0, 1]."""
        ...

    def grid(self, steps: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, " {steps}+1"]:
        """`steps` steps from start to stop as the model likes them: falling times, float64 on the CPU."""
        ...


Encoded = Mapping[str, Tensor]  # conditions as the network takes them, one row a condition


class Denoiser(Protocol):
    """A model: what it predicts from a noisy sample. Differences of parametrization end at this edge, in fp32.

    One that encodes with networks of their own may have `prepare(conditions)`: it is told of all of them beforehand.
    One whose `encode` heeds a condition's `negative_prompt` or `guidance_scale` says so in `settings: frozenset[str]`
    (default none); conditions that set what it does not heed are refused. The axes of what `decode` gives are in
    `sample_axes: tuple[str, ...]` (default `IMAGE_AXES`). One that remembers what earlier steps of a solve computed has
    `begin_solve()`, `gflops_along(nfe)` for the mean over such a solve, and a `cache` not empty.
    """

    schedule: Schedule
    latent_shape: tuple[int, ...]  # of one sample, without its row
    forwards_per_call: int  # network forwards a row of one call costs: 2 where guidance is run, else 1
    guidance_scale: float  # 1 = no guidance
    device: torch.device  # where x, t and encoded conditions lie

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """The conditions as the network takes them, on its device, one row each.

        Raises:
            ValueError: names a condition that the model cannot take.
        """
        ...

    def __call__(self, x: Float[Tensor, "n *latent"], t: Float[Tensor, " n"], encoded: Encoded) -> Prediction:
        """Predicts row by row, whatever rows lie beside; gradients flow to x where it asks for them.

        Args:
            x: noisy samples, float32 on the model's device.
            t: the time of each row in (0, 1], float32 on the model's device.
            encoded: what `encode` gave, for the same rows.

        Returns:
            x0 and eps in float32, shaped as x.
        """
        ...

    def decode(self, x0: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1] of clean samples, with a gradient where x0 asks for one."""
        ...

    def gflops(self) -> float:
        """GFLOPs of one network forward of one row (2 per multiply-add)."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """All that decides the answers (architecture, hash of the weights, dtype, guidance), as plain json."""
        ...


def begin_solve(denoiser: Denoiser) -> None:
    """Tells a denoiser that remembers the steps of a solve that a new one begins."""
    if begin := getattr(denoiser, "begin_solve", None):
        begin()


class Metric(Protocol):
    """Judges a set of samples afterwards (a torchmetrics Metric is one, with `feature` and `replicates` added)."""

    feature: str  # the output of a Features network that it takes, as "<extractor>.<output>"

    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes values of rows; `index` are the conditions' places in the study, `labels` their class (-1: none)."""
        ...

    def compute(self) -> Float[Tensor, ""]:
        """The metric of all rows since the last `reset`, a float64 scalar."""
        ...

    def replicates(self, groups: int) -> Float[Tensor, " groups"]:
        """The metric without the conditions of each group (index mod groups), for the delete-group jackknife."""
        ...

    def reset(self) -> None:
        """Forgets all rows."""
        ...


class PerSample(Protocol):
    """A metric with a value for every sample, reported by its mean."""

    feature: str  # as a Metric's

    def __call__(self, values: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """A value for every row, NaN where it does not apply; `labels` are the classes (-1: none)."""
        ...


class Verifier(Protocol):
    """Judges samples one by one, during the search; higher is better.

    One that takes other samples than images names their axes in `sample_axes: tuple[str, ...]` (default `IMAGE_AXES`).
    One with a `latent_shape: tuple[int, ...]` takes the model's latents of that shape, as they are before `decode`, in
    the place of images and probes: nothing is decoded for its scores (`scaling.traits.VerifierTraits`).
    """

    differentiable: bool  # whether the score has a gradient to the images
    probe_sigma: float | None  # the noise level whose x0 prediction it wants to see beside the final sample

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Scores each image, whatever images lie beside it.

        Args:
            images: in [0, 1], float32 on the model's device; clean latents or x0 predictions for a judge of latents.
            conditions: what each image was made for.
            probes: the decoded x0 predictions at the noise level `probe_sigma`; None where that is None.

        Returns:
            finite scores, on any device.

        Raises:
            ValueError: names a condition that it cannot judge.
        """
        ...

    def identity(self) -> Mapping[str, Any]:
        """All that decides the scores (class, options, hash of the weights), as plain json."""
        ...


@runtime_checkable
class RankSelector(Protocol):
    """Picks among one condition's candidates so far by all recorded scores, where a verifier could only score one."""

    def pick(self, scores: Mapping[str, Any]) -> int:
        """The place of the winner; `scores` are arrays, one entry a candidate, by the scorer's name."""
        ...


@runtime_checkable
class SetSelector(Protocol):
    """Picks the winners of all conditions together, by the features of all candidates."""

    feature: str  # "<extractor>.<output>"

    def select(
        self, features: Any, candidates: int | None = None, conditions: Sequence[Condition] = ()
    ) -> Int[Tensor, " c"]:
        """Places of winners; `features` are [c, k, ...] of c `conditions`; only the first `candidates` of k may win."""
        ...


class Features(Protocol):
    """A network whose outputs metrics read: named tensors, one row an image."""

    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
        """Named outputs of images in [0, 1], one row an image."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """All that decides the outputs, as plain json."""
        ...


@dataclass(frozen=True)
class Proposal:
    """A search says: take these along these times."""

    x: Float[Tensor, "n *latent"]  # at times[0]
    times: Float[Tensor, " times"]  # strictly decreasing; a single time asks for x0 there alone
    score: bool = True  # False: no decode, no verifier
    gradient: bool = False  # True: also the gradient of the score with respect to x
    parents: Int[Tensor, " n"] | None = None  # ids of the candidates these came from, for the records

    def __len__(self) -> int:
        return self.x.shape[0]


@dataclass(frozen=True)
class Scored:
    """The runner's answer, row by row. An open-loop search may be asked ahead and is then told nothing (None)."""

    x: Float[Tensor, "n ..."]  # at times[-1]; this and x0 are shaped as latents, [n, 0] where they are not read
    x0: Float[Tensor, "n ..."]  # clean prediction there (= x where times[-1] is 0)
    scores: Float[Tensor, " n"]  # higher is better; NaN where none was asked for
    ids: Int[Tensor, " n"]  # running numbers of these candidates within the condition
    gradient: Float[Tensor, "n ..."] | None = None  # of the score to the proposed x, where asked for
    gap: Float[Tensor, " n"] | None = None  # of guidance (`Prediction`), summed over the steps; where it is read


SearchRun = Generator[Proposal, Scored, None]


@runtime_checkable
class Search(Protocol):
    """A function of a noise space that returns a search run; a plain generator function is one.

    It may say more of itself in class attributes, all of which a plain function lacks: `scaling.traits.SearchTraits`.
    """

    def __call__(self, space: Any) -> SearchRun:
        """Proposes, and is sent the answer to each proposal; closed where its budget ends before it does.

        All its randomness is drawn from `space`, the `NoiseSpace` of one condition.
        """
        ...


Denoise = Callable[[Tensor, Tensor], Prediction]  # a denoiser with its conditions bound: (x, t) -> prediction
