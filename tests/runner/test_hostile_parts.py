"""Models, conditions and judges of one's own that say or do what they must not: refused by name, or without effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from studies import Toward, mixture, study
from torch import Tensor

import scaling
from scaling.budget import Budget
from scaling.protocols import Condition, Prediction

TWO = [Condition(class_label=0), Condition(class_label=1)]


class Model:
    """The mixture, with some of its answers or attributes changed."""

    def __init__(self, predict: Callable[..., Any] | None = None, decode: Callable[..., Any] | None = None) -> None:
        self._inner, self._predict, self._decode = mixture(), predict, decode

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, x: Tensor, t: Tensor, encoded: Mapping[str, Tensor]) -> Any:
        answer = self._inner(x, t, encoded)
        return answer if self._predict is None else self._predict(answer)

    def decode(self, x0: Tensor) -> Any:
        images = self._inner.decode(x0)
        return images if self._decode is None else self._decode(images)

    def identity(self) -> Mapping[str, Any]:
        return {"class": "Model"}


class Listed:
    """Conditions of one's own."""

    def __init__(self, conditions: Sequence[Any], says: int | None = None) -> None:
        self._conditions, self._says = conditions, says

    def __len__(self) -> int:
        return len(self._conditions) if self._says is None else self._says

    def __iter__(self) -> Iterator[Any]:
        return iter(self._conditions)

    def identity(self) -> Mapping[str, Any]:
        return {"class": "Listed"}


def run(folder: Path, **parts: Any) -> Path:
    return scaling.run(
        study(folder, **{"conditions": Listed(TWO), "budget": Budget(nfes_per_iter=2, candidates=[1, 2]), **parts})
    )


CONDITIONS = {
    "texts": (Listed(["a fox", "a hen"]), "condition 1 is str, not a Condition: 'a fox'"),
    "a prompt that is no text": (Listed([Condition(prompt=42)]), "the prompt of condition 1 is 42, and must be a text"),
    "a class that is no number": (Listed([Condition(class_label=0.5)]), "the class of condition 1 is 0.5"),
    "one twice": (
        Listed([TWO[0], TWO[1], TWO[0]]),
        "condition 3 (class 0) is condition 1 once more: number equal ones",
    ),
    "none": (Listed([]), "the conditions say that they are 0, and are 0"),
    "fewer than they say": (Listed(TWO, 5), "the conditions say that they are 5, and are 2"),
    "more than they say": (Listed(TWO, 1), "the conditions say that they are 1, and are 2"),
}


@pytest.mark.parametrize(("conditions", "line"), CONDITIONS.values(), ids=CONDITIONS)
def test_conditions_that_are_none_are_named(tmp_path: Path, conditions: Listed, line: str) -> None:
    with pytest.raises(ValueError) as refused:
        run(tmp_path, conditions=conditions)
    assert str(refused.value).startswith(line)


def test_equal_conditions_with_numbers_of_their_own_are_samples_of_their_own(tmp_path: Path) -> None:
    folder = run(tmp_path, conditions=Listed([TWO[0], Condition(class_label=0, copy=1)]))
    first, second = pq.read_table(folder / "winners.parquet").sort_by("condition")["search/toward"].to_pylist()[::2]
    assert first != second


PREDICTIONS = {
    "a tuple": (tuple, "the model gave tuple; it must be a Prediction of x0 and eps, both of shape [16, 1, 1, 2]"),
    "a tensor": (lambda p: p.x0, "the model gave Tensor; it must be a Prediction"),
    "one row": (lambda p: Prediction(p.x0[:1], p.eps[:1]), "the model gave x0 of shape [1, 1, 1, 2] and eps of shape"),
    "flat": (lambda p: Prediction(p.x0.flatten(1), p.eps), "the model gave x0 of shape [16, 2] and eps"),
}


@pytest.mark.parametrize(("predict", "line"), PREDICTIONS.values(), ids=PREDICTIONS)
def test_predictions_that_are_none_are_named(tmp_path: Path, predict: Callable[..., Any], line: str) -> None:
    with pytest.raises(ValueError) as refused:
        run(tmp_path, denoiser=Model(predict))
    assert str(refused.value).startswith(line)


IMAGES = {
    "from -1 to 1": (
        lambda images: 0 * images - 1,
        "the model gave an image with -1 for condition 0 (class 0), candidate 0",
    ),
    "up to 255": (lambda images: 0 * images + 255, "the model gave an image with 255 for condition 0"),
    "bytes": (lambda images: (255 * images).byte(), "the model's decode gave torch.uint8; its images must be floats"),
}


@pytest.mark.parametrize(("decode", "line"), IMAGES.values(), ids=IMAGES)
def test_images_of_another_range_are_not_judged(tmp_path: Path, decode: Callable[..., Any], line: str) -> None:
    with pytest.raises(ValueError) as refused:
        run(tmp_path, denoiser=Model(decode=decode))
    assert str(refused.value).startswith(line)


def test_a_decoder_may_overshoot(tmp_path: Path) -> None:
    run(tmp_path, denoiser=Model(decode=lambda images: 1.1 * images - 0.05))


ATTRIBUTES = [
    ("forwards_per_call", 0, "Model.forwards_per_call=0 must be a whole number of at least 1"),
    ("forwards_per_call", 1.5, "Model.forwards_per_call=1.5 must be a whole number"),
    ("guidance_scale", "high", "Model.guidance_scale='high' must be a number"),
    ("gflops", lambda: float("nan"), "Model.gflops() says nan: GFLOPs of a forward, 0 or more, are needed"),
    ("gflops", lambda: -1.0, "Model.gflops() says -1: GFLOPs"),
]


@pytest.mark.parametrize(("name", "value", "line"), ATTRIBUTES)
def test_what_a_model_says_of_its_cost_and_guidance_is_a_number(
    tmp_path: Path, name: str, value: Any, line: str
) -> None:
    model = Model()
    setattr(model, name, value)
    with pytest.raises(ValueError) as refused:
        run(tmp_path, denoiser=model)
    assert str(refused.value).startswith(line)


class Writes(Toward):
    """Scores as its base does, and then writes into what it was given."""

    def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Tensor:
        scores = super().__call__(images, conditions, probes)
        images.fill_(0.5)
        return scores


class WritesFeatures:
    def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
        flat = images.flatten(1).clone()
        images.zero_()
        return {"flat": flat}

    def identity(self) -> Mapping[str, Any]:
        return {"class": "WritesFeatures"}


class Mean:
    feature = "second.flat"

    def __call__(self, values: Tensor, labels: Tensor) -> Tensor:
        return values.mean(1).double()


def test_a_judge_that_writes_into_its_images_changes_nobody_elses(tmp_path: Path) -> None:
    def scores(guide: Toward, first: Any) -> list[Any]:
        extractors = {"first": first, "second": WritesFeatures()}
        parts = {"scorers": {"other": Toward(0.2)}, "extractors": extractors, "per_sample": {"mean": Mean()}}
        folder = run(tmp_path / type(guide).__name__, verifier=guide, names={"verifier": "guide"}, samples=2, **parts)
        winners = pq.read_table(folder / "winners.parquet").to_pydict()
        candidates = pq.read_table(folder / "candidates" / "part-00000.parquet").to_pydict()
        pictures = [path.read_bytes() for path in sorted((folder / "samples").rglob("*.png"))]
        return [winners["mean"], candidates["search/guide"], candidates["search/other"], pictures]

    class Reads(WritesFeatures):
        def __call__(self, images: Tensor, conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
            return {"flat": images.flatten(1)}

    assert scores(Writes(), WritesFeatures()) == scores(Toward(), Reads())
