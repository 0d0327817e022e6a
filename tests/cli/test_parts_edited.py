"""Every part of one's own, edited in place between two equal commands: the second gives what a fresh place gives."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.cli.run import main
from scaling.config.build import clear_cache

PARTS = """
import json
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch
import beside
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.conditions.class_labels import ClassLabels
from scaling.sampling import Euler
from scaling.schedules import Flow
from scaling.search.random import Random
MIXTURE = [[-2, -2], [-2, 2], [2, -2], [2, 2]]
class Judge:
    differentiable, probe_sigma = True, None
    def __call__(self, images, conditions, probes=None):
        return beside.factor() * images.flatten(1).mean(1)
class Model(GaussianMixture):
    def __init__(self, weights="weights.pt"):
        super().__init__(MIXTURE, 0.5, latent_shape=[1, 1, 2])
        self._shift = torch.load(weights, weights_only=True)
    def __call__(self, x, t, encoded):
        answer = super().__call__(x, t, encoded)
        return answer._replace(x0=answer.x0 + self._shift)
class Plain:
    forwards_per_call, guidance_scale, latent_shape = 1, 1.0, (1, 1, 2)
    def __init__(self, weights="weights.pt"):
        self._inner, self.device, self.schedule = Model(weights), torch.device("cpu"), Flow()
    def encode(self, conditions): return self._inner.encode(conditions)
    def __call__(self, x, t, encoded): return self._inner(x, t, encoded)
    def decode(self, x0): return self._inner.decode(x0)
    def gflops(self): return 0.0
class Labels:
    def __init__(self, count):
        self.count = count
        self._labels = ClassLabels(count=count, classes=4, seed=int(beside.factor()))
    def __len__(self): return self.count
    def __getitem__(self, i): return self._labels[i]
    def __iter__(self): return iter(self._labels)
class Search(Random):
    def __call__(self, space):
        from scaling.protocols import Proposal
        for k in range(99):
            yield Proposal(beside.factor() * space.start(space.draw("candidate", k)), space.times)
@dataclass(frozen=True)
class Strong(Euler):
    strength: float = 1.0
    def advance(self, denoise, schedule, x, times, score, probe_sigma=None):
        return super().advance(denoise, schedule, beside.factor() * self.strength * x, times, score, probe_sigma)
class Warped(Flow):
    def grid(self, steps, start=1.0, stop=0.0):
        return super().grid(steps, start, stop) ** beside.factor()
class Least:
    def __init__(self, names=None): self.names = names
    def pick(self, scores):
        return int(beside.factor() * np.argmin(next(iter(scores.values())))) % len(next(iter(scores.values())))
class Sees:
    def __call__(self, images, conditions):
        return {"mean": beside.factor() * images.flatten(1).mean(1)[:, None]}
class Value:
    feature = "sees.mean"
    def __call__(self, values, labels):
        return beside.factor() * values[:, 0]
def redness(images, prompts):
    return beside.factor() * images.flatten(1).mean(1)
"""
JUDGED = ("verifier=control", "verifier._target_=mine.Judge")
LINES = {
    "verifier": JUDGED,
    "verifier of a function": ("verifier=mine.py:redness",),
    "scorer": ("verifier=control", "+scorers.mine._target_=mine.Judge"),
    "search": (*JUDGED, "search=mine.py:Search"),
    "conditions": (*JUDGED, "conditions=mine.py:Labels", "+conditions.count=4"),
    "sampler": (*JUDGED, "sampler._target_=mine.Strong"),
    "schedule": (*JUDGED, "+model.schedule._target_=mine.Warped"),
    "selector": ("verifier=mean_rank", "verifier._target_=mine.Least", "+scorers.a._target_=mine.Judge"),
    "extractor and metric": (
        *JUDGED, "+metrics.extractors.sees._target_=mine.Sees", "+metrics.per_sample.mine._target_=mine.Value",
    ),
    "metric of a function": (*JUDGED, "metrics=mine.py:redness"),
    "ensemble": (
        "verifier=ensemble", "~verifier.members", "+verifier.members.mine._target_=mine.Judge",
        "verifier.calibration={mine:[0,1]}",
    ),
}  # fmt: skip
COMMON = ["block_size=4", "batch_size=4", "logger=none", "progress=false", "samples=0", "budget.candidates=[1,2]"]
Run = Callable[..., list[str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], without_pictures: None
) -> Iterator[Run]:
    """Runs the command in a folder of its own as a new process would; its curve."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("mine.py").write_text(PARTS)
    Path("beside.py").write_text("def factor(): return 1.0\n")
    torch.save(torch.tensor(0.1), "weights.pt")

    def forget() -> None:
        for name in ("mine", "beside"):
            sys.modules.pop(name, None)
        clear_cache()

    def ran(*line: str, model: str = "model=gaussian_mixture", outputs: str = "out") -> list[str]:
        forget()
        count = () if any("conditions" in word for word in line) else ("conditions.count=4",)
        arguments = [model, *COMMON, *count, *line, "study=one", f"output_dir={outputs}"]
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments])
        main()
        [curve] = Path(outputs, "one").glob("*/curve.csv")
        return [f"{row['rung']} {row['metric']} {row['value']}" for row in csv.DictReader(curve.open(newline=""))]

    yield ran
    forget()


def edited(run: Run, edit: Callable[[], object], *line: str, **options: str) -> None:
    """The run is finished, then it is not, and the same command gives what it gives where nothing was before."""
    before = run(*line, **options)
    assert run(*line, **options) == before
    edit()
    after = run(*line, **options)
    assert after != before
    assert after == run(*line, outputs="elsewhere", **options)
    Path("out/one").rename("out/before")  # another study of the same journal
    assert after == run(*line, **options)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_module_beside_any_part_is_edited(run: Run, line: tuple[str, ...]) -> None:
    edited(run, lambda: Path("beside.py").write_text("def factor(): return 3.0\n"), *line)


@pytest.mark.parametrize("kind", ["Model", "Plain"])
@pytest.mark.parametrize("given", [(), ("+model.weights=weights.pt",)], ids=["its default", "given"])
def test_the_weights_of_a_model_are_edited(run: Run, kind: str, given: tuple[str, ...]) -> None:
    line = (*JUDGED, "conditions.count=4", "conditions=four_classes", *(word.lstrip("+") for word in given))
    edited(run, lambda: torch.save(torch.tensor(0.9), "weights.pt"), *line, model=f"model=mine.py:{kind}")


def test_a_sampler_gets_a_parameter_more(run: Run) -> None:
    plain = PARTS.replace("strength: float = 1.0", "").replace("self.strength * ", "")
    Path("mine.py").write_text(plain)
    line = (*JUDGED, "sampler._target_=mine.Strong")
    edited(
        run, lambda: Path("mine.py").write_text(PARTS.replace("strength: float = 1.0", "strength: float = 2.0")), *line
    )


def test_prompts_are_sorted_anew(run: Run) -> None:
    Path("prompts.txt").write_text("a hen\na fox\na cow\na bee\n")
    line = (*JUDGED, "conditions=prompts", "conditions.path=prompts.txt")
    before = run(*line)
    Path("prompts.txt").write_text("a bee\na cow\na fox\na hen\n")
    again = run(*line)
    assert again == run(*line, outputs="elsewhere")
    Path("prompts.txt").write_text("a hen\na fox\na cow\na bee\n")
    assert run(*line) == before


def test_statistics_of_real_images_are_edited(run: Run) -> None:
    def write(seed: int) -> None:
        rows = np.random.default_rng(seed).standard_normal((50, 2))
        np.savez("real.npz", mu=rows.mean(0) + seed, sigma=np.cov(rows, rowvar=False))

    write(0)
    fid = "+metrics.set.fid={_target_:scaling.metrics.fid.FID,reference:real.npz,feature:pixels.flat}"
    Path("mine.py").write_text(
        PARTS.replace('{"mean": beside.factor() * images', '{"flat": images.flatten(1)[:, :2], "mean": images')
    )
    line = (*JUDGED, "+metrics.extractors.pixels._target_=mine.Sees", fid, "conditions.count=20")
    edited(run, lambda: write(2), *line)
