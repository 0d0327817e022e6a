"""Golden answers of our own classes that decide results, with the version under which each gave them.

`python tests/helpers/versions.py` writes those of new classes and of raised versions; it refuses answers that changed
under an old version.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from configs import built, options
from driver import COARSE, drive, model, space_of
from torch import Tensor

from scaling import sampling
from scaling.protocols import Condition
from scaling.schedules import Flow, VariancePreserving
from scaling.traits import SearchTraits

TABLE = Path(__file__).parents[1] / "golden" / "versions.json"
SAMPLERS = ("Euler", "Heun", "RK4")
SCHEDULES = (Flow(), Flow(shift=3.0), VariancePreserving.linear_betas(), replace(COARSE, spacing="leading"))
DENOISERS = ("gaussian_mixture", "fashion_s", "shapes")
CLOTHES = ("classifier", "self_supervised", "control", "oracle")
SHAPES = (
    "shapes_clip", "shapes_reader", "shapes_latents", "shapes_oracle", "shapes_aesthetic", "shapes_self_supervised",
)  # fmt: skip
METRICS = ("fid", "kid", "inception_score", "precision", "recall")
PROMPTS = [Condition(prompt="a red square"), Condition(prompt="two blue rings")]
LABELS = [Condition(class_label=0), Condition(class_label=1)]


@dataclass(frozen=True)
class Part:
    """Something of ours that decides answers."""

    name: str
    kind: type
    answers: Callable[[], list[float]]

    @property
    def version(self) -> int:
        return vars(self.kind).get("version", 1)


def names() -> list[str]:
    """All that are held: searches by their options, samplers, schedules, embedded denoisers, judges and metrics."""
    found = {
        "search": options("search"),
        "sampler": SAMPLERS,
        "schedule": range(len(SCHEDULES)),
        "model": DENOISERS,
        "verifier": (*CLOTHES, *SHAPES),
        "metric": METRICS,
    }
    return [f"{kind} {name}" for kind, several in found.items() for name in several]


def part(name: str) -> Part:
    """One of them, built."""
    kind, _, option = name.partition(" ")
    make: dict[str, Callable[[], Any]] = {
        "search": lambda: _small(built("search", option)),
        "sampler": lambda: getattr(sampling, option)(),
        "schedule": lambda: SCHEDULES[int(option)],
        "model": lambda: built("model", option),
        "verifier": lambda: built("verifier", option),
        "metric": lambda: _metrics()[option],
    }
    answers: dict[str, Callable[[Any], list[float]]] = {
        "search": _search,
        "sampler": _sampler,
        "schedule": _schedule,
        "model": _denoiser,
        "verifier": lambda verifier: _verifier(verifier, option in SHAPES),
        "metric": _metric,
    }
    made = make[kind]()
    return Part(name, type(made), lambda: answers[kind](made))


@cache
def _metrics() -> dict[str, Any]:
    return built("metrics", "fashion")["set"]


def written() -> dict[str, Any]:
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def summary(*tensors: Tensor) -> list[float]:
    """A few numbers that change with any value and with their order."""
    values = torch.cat([each.detach().double().flatten() for each in tensors]).nan_to_num(nan=-7.0)
    weights = torch.cos(torch.arange(len(values), dtype=torch.float64))
    found = (values.sum(), values.abs().sum(), (values * weights).sum())
    return [float(len(values)), *(float(f"{number:.6g}") for number in found)]


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _small(search: Any) -> Any:
    sizes = {"nfe": 20, "branches": 2, "rounds": 2, "budget": 50, "particles": 4, "children": 3, "candidates": 6}
    name = SearchTraits.of(search).size_parameter
    return search if name is None else replace(search, **{name: sizes.get(name, 2)})


def _search(search: Any) -> list[float]:
    run = drive(search, space_of(model(COARSE), nfe=10), cap=200)
    return summary(*(proposal.x for proposal in run.proposals), *(answer.scores for answer in run.answers))


def _sampler(sampler: Any) -> list[float]:
    solved = []
    for schedule in SCHEDULES[:3]:
        denoiser = model(schedule)
        encoded, times = denoiser.encode([Condition()] * 3), schedule.grid(4).expand(3, -1)
        try:
            solved.append(sampler.advance(lambda x, t: denoiser(x, t, encoded), schedule, noise(3, 2), times, True).x)  # noqa: B023
        except ValueError:  # no sampler for this schedule
            solved.append(torch.zeros(0))
    return summary(*solved)


def _schedule(schedule: Any) -> list[float]:
    t = torch.linspace(0, 1, 21, dtype=torch.float64)
    return summary(schedule.alpha(t), schedule.sigma(t), schedule.grid(5), schedule.grid(3, 0.8, 0.2))


def _denoiser(denoiser: Any) -> list[float]:
    conditions = PROMPTS if type(denoiser).__name__ == "Shapes" else LABELS
    x, t = noise(2, *denoiser.latent_shape), torch.tensor([0.3, 0.9])
    with torch.inference_mode():
        answer = denoiser(x, t, denoiser.encode(conditions))
        return summary(answer.x0, answer.eps, denoiser.decode(x))


def _verifier(verifier: Any, shapes: bool) -> list[float]:
    images = noise(2, 3, 24 if shapes else 28, 24 if shapes else 28).sigmoid()
    probes = images.flip(3) if verifier.probe_sigma is not None else None
    with torch.inference_mode():
        return summary(verifier(images, PROMPTS if shapes else LABELS, probes))


def _metric(metric: Any) -> list[float]:
    rows = noise(200, 10) if metric.feature.endswith("logits") else metric.reference.rows()[:200] + 0.3 * noise(200, 32)
    metric.reset()
    metric.update(rows.float(), torch.arange(200), torch.arange(200) % 10)
    found = summary(torch.as_tensor(metric.compute()), torch.as_tensor(metric.replicates(20)))
    metric.reset()
    return found


def main() -> None:
    """Writes the table anew."""
    torch.set_num_threads(1)
    before, now = written(), {}
    for name in names():
        old, found = before.get(name), part(name)
        now[name] = {"version": found.version, "answers": found.answers()}
        if old is not None and old["version"] == found.version and differ(old["answers"], now[name]["answers"]):
            raise SystemExit(f"{name} answers otherwise: raise the version of {found.kind.__qualname__} first")
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(now.items()))
    TABLE.write_text(f"{{\n{lines}\n}}\n")


def differ(one: list[float], other: list[float]) -> bool:
    """Whether two summaries are of different answers; rounding differs between processors."""
    return len(one) != len(other) or any(
        abs(a - b) > 1e-3 * max(1.0, abs(a), abs(b)) for a, b in zip(one, other, strict=True)
    )


if __name__ == "__main__":
    main()
