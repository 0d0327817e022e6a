"""Parts of a user's own that answer what they must not: one line that names the part, what it gave and for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from studies import mixture, study
from torch import Tensor

import scaling
from scaling.noise import NoiseSpace
from scaling.protocols import Condition, Encoded, Prediction, Proposal

NAN = float("nan")


def refused(folder: Path, **parts: Any) -> str:
    """The one line of an error."""
    with pytest.raises(ValueError) as caught:
        scaling.run(study(folder, **parts))
    line = str(caught.value)
    assert "\n" not in line
    assert not (folder / "study" / "run" / "curve.csv").exists()
    return line


class Judge:
    """Gives what is said, instead of the scores that it has."""

    differentiable = True
    probe_sigma: float | None = None

    def __init__(self, give: Callable[[Tensor], Any]) -> None:
        self.give = give

    def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Any:
        return self.give(images.flatten(1).mean(1))

    def identity(self) -> Mapping[str, Any]:
        return {"class": "Judge"}


SCORES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "2n": (lambda s: torch.cat([s, s]), "gave shape [32] (float32)"),
    "n - 1": (lambda s: s[1:], "gave shape [15] (float32)"),
    "[n, 1]": (lambda s: s[:, None], "gave shape [16, 1] (float32)"),
    "one": (lambda s: s.mean(), "gave shape [] (float32)"),
    "complex": (lambda s: s.to(torch.complex64), "gave shape [16] (complex64)"),
    "meta": (lambda s: s.to("meta"), "gave shape [16] (on the meta device)"),
    "list": (lambda s: s.tolist(), "gave list"),
    "array": (lambda s: s.numpy(), "gave ndarray"),
    "none": (lambda s: None, "gave NoneType"),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_that_are_none_are_named_with_what_they_were_for(tmp_path: Path, name: str) -> None:
    give, expected = SCORES[name]
    said = refused(tmp_path, verifier=Judge(give), names={"verifier": "mine"})
    assert said.startswith(f"verifier mine {expected} for 16 images, the first of class 1; ")
    assert said.endswith("its scores must be a tensor of real numbers of shape [16], one an image")


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_a_score_that_is_no_number_is_named_with_its_candidate(tmp_path: Path, value: float) -> None:
    def last(scores: Tensor) -> Tensor:
        return torch.cat([scores[:-1], torch.tensor([value])])

    said = refused(tmp_path, verifier=Judge(last), names={"verifier": "mine"})
    where = "condition 3 (class 1), candidate 3"
    assert said == f"verifier mine gave the score {value} for {where}; it must be a finite number"


@pytest.mark.parametrize("kind", [torch.int64, torch.float16, torch.bool, torch.float64])
def test_scores_of_another_real_type_are_scores(tmp_path: Path, kind: torch.dtype) -> None:
    scaling.run(study(tmp_path, verifier=Judge(lambda scores: (100 * scores).to(kind))))


class Sick:
    """The mixture, with some of its answers changed."""

    def __init__(self, predict: Callable = lambda x: x, decode: Callable = lambda x: x) -> None:
        self._inner, self.predict, self.change = mixture(), predict, decode

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def __call__(self, x: Tensor, t: Tensor, encoded: Encoded) -> Prediction:
        answer = self._inner(x, t, encoded)
        return Prediction(self.predict(answer.x0), answer.eps)

    def decode(self, x0: Tensor) -> Any:
        return self.change(self._inner.decode(x0))


def poisoned(values: Tensor) -> Tensor:
    """The fourth row is no number."""
    return torch.where(torch.arange(len(values)).view(-1, *[1] * (values.ndim - 1)) == 3, NAN, values)


MODELS: dict[str, tuple[dict[str, Callable], str]] = {
    "nan": ({"predict": poisoned}, "the model gave a sample (x) with nan for condition 0 (class 1), candidate 3"),
    "nan image": ({"decode": poisoned}, "the model gave an image with nan for condition 0 (class 1), candidate 3"),
    "few images": ({"decode": lambda i: i[1:]}, "the model's decode gave shape [15, 3, 1, 2]; its images must be"),
    "gray": ({"decode": lambda i: i[:, :1]}, "the model's decode gave shape [16, 1, 1, 2]; its images must be"),
    "no image": ({"decode": lambda i: None}, "the model's decode gave NoneType; its images must be"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_sick_model_is_named_under_a_judge_that_passes_nothing_on(tmp_path: Path, name: str) -> None:
    changes, expected = MODELS[name]
    blind = Judge(lambda scores: torch.zeros(len(scores)))
    assert refused(tmp_path, denoiser=Sick(**changes), verifier=blind).startswith(expected)


def searching(propose: Callable[[NoiseSpace, Tensor], Any]) -> Callable:
    def mine(space: NoiseSpace) -> Iterator[Any]:
        for k in range(8):
            yield propose(space, space.start(space.draw("candidate", k)))

    return mine


def forged(space: NoiseSpace, noise: Tensor, **changes: Any) -> Proposal:
    """A proposal with fields of a kind that tests, which check the package's own shapes, do not let pass."""
    made = Proposal(noise, space.times)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


SEARCHES: dict[str, tuple[Callable[[NoiseSpace, Tensor], Any], str]] = {
    "times all 0": (lambda s, x: Proposal(x, s.times * 0), "strictly falls within 1 to 0, not [0.0, 0.0, 0.0"),
    "times doubled": (lambda s, x: Proposal(x, s.times * 2), "strictly falls within 1 to 0, not [2.0, 1.5"),
    "ascending": (lambda s, x: Proposal(x, s.times.flip(0)), "strictly falls within 1 to 0, not [0.0, 0.25"),
    "negative": (lambda s, x: Proposal(x, s.times - 0.5), "strictly falls within 1 to 0, not [0.5, 0.25"),
    "no times": (lambda s, x: Proposal(x, s.times[:0]), "strictly falls within 1 to 0, not []"),
    "whole times": (lambda s, x: forged(s, x, times=torch.tensor([1, 0])), "strictly falls within 1 to 0, not [1, 0]"),
    "list of times": (lambda s, x: forged(s, x, times=[1.0, 0.0]), "strictly falls within 1 to 0, not [1.0, 0.0]"),
    "above 0": (
        lambda s, x: Proposal(x, s.times[:-1]),
        "mine has 1 scored candidates, which all end above",
    ),
    "never scored": (lambda s, x: Proposal(x, s.times, score=False), "mine asked for no score of its"),
    "a tensor": (lambda s, x: x, "candidate 0: it yielded Tensor, not a Proposal"),
    "a list": (lambda s, x: [Proposal(x, s.times)], "candidate 0: it yielded list, not a Proposal"),
    "nothing": (lambda s, x: None, "candidate 0: it yielded NoneType, not a Proposal"),
    "no rows": (lambda s, x: Proposal(x[:0], s.times), "x has the shape [0, 1, 1, 2], and must have [n, 1, 1, 2]"),
    "one sample": (lambda s, x: Proposal(x[0], s.times), "x has the shape [1, 1, 2], and must have [n, 1, 1, 2]"),
    "other shape": (lambda s, x: Proposal(x[..., :1], s.times), "x has the shape [1, 1, 1, 1], and must have"),
    "whole numbers": (lambda s, x: forged(s, x, x=x.long()), "x is torch.int64, and must be torch.float32"),
    "array": (lambda s, x: forged(s, x, x=x.numpy()), "x is ndarray, not a tensor"),
    "nan": (lambda s, x: Proposal(x * NAN, s.times), "x is not finite"),
    "later parent": (lambda s, x: Proposal(x, s.times, parents=torch.tensor([9])), "ids of earlier candidates"),
    "list of parents": (lambda s, x: forged(s, x, parents=[0]), "parents must be 1 whole numbers in a tensor"),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_proposal_that_is_none_is_named_with_search_and_condition(tmp_path: Path, name: str) -> None:
    propose, expected = SEARCHES[name]
    said = refused(tmp_path, search=searching(propose))
    assert expected in said
    assert "condition 0" in said and "mine" in said


def test_a_search_that_yields_nothing_is_said(tmp_path: Path) -> None:
    def mine(space: NoiseSpace) -> Iterator[Proposal]:
        yield from ()

    said = refused(tmp_path, search=mine)
    assert "budget of 4 NFE leaves condition 0 without a finished candidate" in said
    assert "mine proposed nothing" in said


def test_a_search_that_does_not_end_is_closed_by_the_budget_and_one_that_ends_early_keeps_its_winner(
    tmp_path: Path,
) -> None:
    def endless(space: NoiseSpace) -> Iterator[Proposal]:
        while True:
            yield Proposal(space.start(space.draw("candidate", 0)), space.times)

    def single(space: NoiseSpace) -> Iterator[Proposal]:
        yield Proposal(space.start(space.draw("candidate", 0)), space.times)

    curves = [(scaling.run(study(tmp_path, run=s.__name__, search=s)) / "winners.parquet") for s in (endless, single)]
    import pyarrow.parquet as pq

    values = [pq.read_table(path)["toward"].to_numpy() for path in curves]
    assert np.array_equal(*values)


class Extractor:
    def __init__(self, give: Callable[[Tensor], Any]) -> None:
        self.give = give

    def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> Any:
        return self.give(images.flatten(1))

    def identity(self) -> Mapping[str, Any]:
        return {"class": "Extractor"}


FEATURES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "n - 1": (lambda f: {"flat": f[1:]}, "flat of shape [15, 6] (float32)"),
    "a tensor": (lambda f: f, "Tensor"),
    "a list": (lambda f: {"flat": f.tolist()}, "flat as list"),
    "nothing": (lambda f: None, "NoneType"),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_that_are_none_are_named(tmp_path: Path, name: str) -> None:
    give, expected = FEATURES[name]
    said = refused(tmp_path, extractors={"mine": Extractor(give)})
    assert said.startswith(f"extractor mine gave {expected}")
    assert "the first of class 1" in said and "[16, d]" in said


class Metric:
    feature = "pixels.features"

    def __init__(self, give: Callable[[Tensor], Any]) -> None:
        self.give = give

    def __call__(self, values: Tensor, labels: Tensor) -> Any:
        return self.give(values[:, 0])


VALUES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "2n": (lambda v: torch.cat([v, v]), "gave shape ["),
    "[n, 1]": (lambda v: v[:, None], "gave shape ["),
    "a list": (lambda v: v.tolist(), "gave list"),
    "nothing": (lambda v: None, "gave NoneType"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_metrics_values_that_are_none_are_named(tmp_path: Path, name: str) -> None:
    give, expected = VALUES[name]
    said = refused(tmp_path, per_sample={"mine": Metric(give)})
    assert said.startswith(f"metric mine {expected}")
    assert "conditions 0 to 7" in said


def test_features_that_a_metric_reads_and_nobody_gives_are_named(tmp_path: Path) -> None:
    metric = Metric(lambda values: values)
    metric.feature = "pixels.flat"
    said = refused(tmp_path, per_sample={"mine": metric})
    assert said == "metric mine reads pixels.flat, which no extractor gives; there are pixels.features, pixels.logits"
