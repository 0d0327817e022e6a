"""What a user wants run: a model, a verifier, a search and a ladder over many conditions; it says and checks it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scaling import checks
from scaling.budget import Budget, Prices
from scaling.engine.batch_size import BLOCK_SIZE
from scaling.engine.ladder import ORDERS, FittedSearch, fit, solves_again
from scaling.engine.prices import gflops_of
from scaling.engine.retention import Retention
from scaling.noise import NoiseSpace
from scaling.protocols import (
    IMAGE_AXES,
    Condition,
    Conditions,
    Denoiser,
    Features,
    Metric,
    PerSample,
    RankSelector,
    Search,
    SetSelector,
    Verifier,
)
from scaling.runner.calibration import Calibration
from scaling.runner.names import check_metrics, check_scorers
from scaling.sampling import Euler, Sampler
from scaling.traits import SearchTraits, VerifierTraits, refuse_former_name

RENAMED = {"keep": "retention", "probe": "probe_sigma"}


@dataclass(frozen=True)
class Study:
    """All parts of a run, built, and checked against each other.

    Raises:
        ValueError: names the first part or value that cannot be, and what can; before anything expensive starts.
    """

    denoiser: Denoiser  # the model
    conditions: Conditions  # what is sampled: a search each
    verifier: Verifier  # guides the search
    search: Search
    budget: Budget  # what the search may spend on a condition: the rungs of the curve
    sampler: Sampler = field(default_factory=Euler)  # solves the model's equation
    draft: Denoiser | None = None  # solves the search's candidates in the model's place; winners are solved again
    scorers: Mapping[str, Verifier] = field(default_factory=dict)  # scored beside, guiding nothing
    selector: RankSelector | SetSelector | None = None  # picks the winners afterwards, from what was recorded
    extractors: Mapping[str, Features] = field(default_factory=dict)  # networks whose outputs metrics read
    metrics: Mapping[str, Metric] = field(default_factory=dict)  # of the set of winners
    per_sample: Mapping[str, PerSample] = field(default_factory=dict)  # of each winner, reported by their mean
    names: Mapping[str, str] = field(default_factory=dict)  # how tables call model, verifier, search and selector
    seed: int = 0  # of all noises
    output_dir: Path = Path("outputs")  # of all studies and their journal
    study: str = "study"  # its folder there
    run: str = "run"  # the run's folder in that
    batch_size: int | None = None  # None: measured once per model and device
    block_size: int = BLOCK_SIZE  # conditions that are searched side by side, and that a worker takes at a time
    retention: str = "latents"  # of the samples of all candidates: latents, winners or scores
    probe_sigma: float | None = None  # noise level whose x0 prediction is kept with the latents, for later verifiers
    limit: float = 10e9  # bytes that latents may take; above it only those of winners are kept
    patience: float = 60.0  # seconds after which a worker that does not stir is taken for dead
    samples: int = 36  # conditions whose winners are kept as pictures
    seconds: Prices | None = None  # of one row of each part, for a budget in seconds: measured once, then kept
    calibration: Calibration | None = None  # what is known without search: measured first, and a gate
    order: str = "conditions"  # or budget: all conditions at one rung before the next, with a curve after each
    progress: bool = True  # whether it is shown

    def __new__(cls, *args: Any, **options: Any) -> Study:
        """Refuses arguments by names that they had before."""
        for old, new in RENAMED.items():
            if old in options:
                raise ValueError(f"Study's argument {old!r} is called {new!r} by now")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        self._check_names()
        Retention(self.retention)
        checks.one_of(ORDERS, order=self.order)
        checks.whole(seed=self.seed)
        if self.probe_sigma is not None:
            checks.above(0, probe_sigma=self.probe_sigma)
        for name in ("batch_size", "block_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        again = solves_again(SearchTraits.of(self.search), self.budget.nfes_per_iter, self.budget.final)
        self.budget.check(self.sampler, self.denoiser.schedule if again else None)
        self._check_needs()
        self._check_axes()
        self._check_draft()
        self._check_settings()
        self._check_denoiser()
        self._check_selector()
        if self.calibration is not None:
            judges = [*self.metrics, *self.per_sample, *self.scored]
            self.calibration.check(judges, len(self.conditions))
        if self.budget.unit != "seconds" and hasattr(self.searcher, "gflops"):  # seconds are measured first
            self.searches()

    def _check_names(self) -> None:
        """A ValueError where parts share a name, or one has an attribute by a name that it had before."""
        for name, verifier in self.scored.items():
            refuse_former_name(verifier, f"verifier {name}", "probe", "probe_sigma")
        readers = {**self.metrics, **self.per_sample}
        for name, metric in readers.items():
            refuse_former_name(metric, f"metric {name}", "reads", "feature")
        if isinstance(self.selector, SetSelector):
            refuse_former_name(self.selector, f"selector {self.name('selector')}", "reads", "feature")
        check_scorers(self.name("verifier"), self.verifier, self.scorers)
        check_metrics(self.scored, self.metrics, self.per_sample, self.extractors)

    def _check_needs(self) -> None:
        """A ValueError where the search needs what the verifier or the sampler does not have."""
        needs = SearchTraits.of(self.search).requires
        search, verifier = self.name("search"), self.name("verifier")
        if "gradient" in needs and not self.verifier.differentiable:
            raise ValueError(f"search={search} follows the score's gradient, and verifier={verifier} has none")
        if "gradient" in needs and getattr(self.searcher, "cache", None):
            raise ValueError(f"search={search} goes back through every step, and cache leaves some of the draft's out")
        if "calibrated" in needs and not getattr(self.verifier, "calibrated", True):
            raise ValueError(f"search={search} weighs candidates by their scores, and verifier={verifier} gives ranks")
        if "guidance" in needs and self.denoiser.forwards_per_call < 2:
            raise ValueError(
                f"search={search} reads how far guidance moved the prediction: it needs a model that runs guidance, "
                f"e.g. model.guidance_scale=2, not model.guidance_scale={self.denoiser.guidance_scale:g}"
            )
        if "stochastic" in needs and not isinstance(self.sampler, Euler):
            raise ValueError(
                f"search={search} makes its own stochastic steps of one evaluation each: it needs the Euler sampler, "
                f"not {type(self.sampler).__name__}"
            )

    def _check_axes(self) -> None:
        """A ValueError where a judge takes other samples than the model makes: images are no videos, nor latents."""
        made, shape = getattr(self.denoiser, "sample_axes", IMAGE_AXES), tuple(self.denoiser.latent_shape)
        for name, judge in self.scored.items():
            if wanted := VerifierTraits.of(judge).latent_shape:
                if wanted != shape:
                    raise ValueError(
                        f"model={self.name('model')} has latents of shape {list(shape)}, and verifier={name} takes "
                        f"{list(wanted)}"
                    )
                continue
            if made != (taken := getattr(judge, "sample_axes", IMAGE_AXES)):
                raise ValueError(
                    f"model={self.name('model')} makes samples with the axes {', '.join(made)}, and verifier={name} "
                    f"takes {', '.join(taken)}"
                )

    def _check_draft(self) -> None:
        """A ValueError where winners cannot be solved again, or where a draft's samples are none of the model's."""
        said = "model.draft" if self.draft is not None else "budget.final_from"
        if self.draft is None and self.budget.final_from is None:
            return
        if not SearchTraits.of(self.search).resolve_winner:
            raise ValueError(f"{said}: search={self.name('search')} ends with samples of its own, not solved again")
        if self.draft is None:
            if self.budget.final == self.budget.nfes_per_iter:
                raise ValueError(
                    "budget.final_from goes on from a draft: it needs model.draft, or budget.final_nfe above "
                    f"nfes_per_iter={self.budget.nfes_per_iter}"
                )
            return
        shapes = tuple(self.draft.latent_shape), tuple(self.denoiser.latent_shape)
        if shapes[0] != shapes[1]:
            raise ValueError(f"model.draft has latents of shape {list(shapes[0])}, the model {list(shapes[1])}")
        times = torch.linspace(0.1, 1, 10, dtype=torch.float64)
        for name in ("alpha", "sigma"):
            own, other = (getattr(each.schedule, name)(times) for each in (self.draft, self.denoiser))
            if not torch.allclose(own, other, atol=1e-4):
                raise ValueError("model.draft has another noise schedule than the model: one noise is not another's")

    def _check_settings(self) -> None:
        """A ValueError where a condition is none, comes twice, or sets what the model does not heed."""
        heeded, seen = {"seed"} | getattr(self.denoiser, "settings", frozenset()), dict[str, int]()
        for number, condition in enumerate(self.conditions, start=1):
            _check_condition(number, condition)
            if (first := seen.setdefault(condition.key, number)) != number:
                raise ValueError(
                    f"condition {number} ({condition.words}) is condition {first} once more: number equal ones by "
                    "`copy`, so that each draws noises of its own"
                )
            if ignored := [name for name, _ in condition.settings if name not in heeded]:
                raise ValueError(
                    f"condition {number} ({condition.prompt!r}) sets its own {ignored[0]}, which "
                    f"model={self.name('model')} does not take from a condition: leave that column out or rename it"
                )

        if len(seen) != len(self.conditions) or not seen:
            raise ValueError(f"the conditions say that they are {len(self.conditions)}, and are {len(seen)}")

    def _check_selector(self) -> None:
        """A ValueError where candidates depend on scores, or a selector by ranks wants scores that nobody records."""
        if self.selector is not None and not SearchTraits.of(self.search).open_loop:
            raise ValueError(
                f"verifier={self.name('selector')} picks afterwards, from candidates that do not depend on scores: "
                f"search={self.name('search')} is not open-loop; random is"
            )
        if isinstance(self.selector, RankSelector):
            self.selector.pick({name: np.zeros(1) for name in self.scored})

    def _check_denoiser(self) -> None:
        """A ValueError where a model does not say in numbers what its calls cost and how it is guided."""
        for model in {id(each): each for each in (self.searcher, self.denoiser)}.values():
            name = type(model).__name__
            checks.whole_from(1, **{f"{name}.forwards_per_call": model.forwards_per_call})
            if (scale := getattr(model, "guidance_scale", None)) is not None:
                checks.within(-math.inf, math.inf, **{f"{name}.guidance_scale": scale})

    @property
    def scored(self) -> dict[str, Verifier]:
        """All that scores candidates, by name; the guiding verifier first."""
        return {self.name("verifier"): self.verifier, **self.scorers}

    @property
    def metadata(self) -> tuple[str, str]:
        """Digests of what conditions carry beside prompts: of columns and of files' names, empty where none is."""
        return getattr(self.conditions, "metadata_digests", ("", ""))

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output_dir) / self.study / self.run

    def name(self, part: str) -> str:
        """What a part is called in names and tables: as given, else its class."""
        return self.names.get(part) or type(getattr(self, {"model": "denoiser"}.get(part, part))).__name__.lower()

    @property
    def searcher(self) -> Denoiser:
        """What solves the search's candidates: the draft, or the model itself."""
        return self.denoiser if self.draft is None else self.draft

    def space(self, condition: Condition) -> NoiseSpace:
        """The noise space of a condition."""
        denoiser = self.searcher
        shape = tuple(denoiser.latent_shape)
        nfe = self.budget.nfes_per_iter
        return NoiseSpace(self.seed, condition.key, shape, denoiser.schedule, self.sampler, nfe)

    def searches(self) -> list[FittedSearch]:
        """The search in every size that the ladder asks for, with the rungs that it answers."""
        return self._searches

    @cached_property
    def _searches(self) -> list[FittedSearch]:
        return fit(self.search, self.budget, self.space(next(iter(self.conditions))), self.prices())

    def prices(self) -> Prices | None:
        """Of a ladder in GFLOPs or seconds; a ValueError where they cannot be counted."""
        if self.budget.unit != "gflops":
            return self.seconds if self.budget.unit == "seconds" else None
        first, budget = next(iter(self.conditions)), self.budget
        prices = gflops_of(self.searcher, self.denoiser, self.verifier, first, budget.nfes_per_iter, budget.final)
        if not prices.forward > 0:
            raise ValueError(f"budget.gflops: model={self.name('model')} counts {prices.forward} GFLOPs a forward")
        if any(price != price for price in (prices.decode, prices.verify, prices.encode)):
            raise ValueError(
                "budget.gflops: the FLOPs of decoding, judging or encoding cannot be counted; take budget.nfe"
            )
        return prices


def _check_condition(number: int, condition: object) -> None:
    if not isinstance(condition, Condition):
        raise ValueError(f"condition {number} is {type(condition).__name__}, not a Condition: {condition!r}")
    if not (condition.prompt is None or isinstance(condition.prompt, str)):
        raise ValueError(f"the prompt of condition {number} is {condition.prompt!r}, and must be a text")
    label = condition.class_label
    if label is not None and (isinstance(label, bool) or not isinstance(label, Integral)):
        raise ValueError(f"the class of condition {number} is {label!r}, and must be a whole number")
