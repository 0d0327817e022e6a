"""What holds for any search, any part and any moment: drawn at random."""

from __future__ import annotations

import functools
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import Told, study

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.identity import digest_of
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal


class Killed(BaseException):
    """The end of the process, as far as the code under test can tell."""


@dataclass(frozen=True)
class Round:
    """Some candidates, fresh or near the best so far, solved whole or up to a time, with or without a score."""

    rows: int
    nearness: float
    stop: int
    score: bool


@dataclass(frozen=True)
class Program:
    """A search that goes through its rounds again and again."""

    rounds: tuple[Round, ...]

    def __call__(self, space: NoiseSpace) -> Iterator[Proposal]:
        best, highest, count, times = None, -float("inf"), 0, space.times
        while True:
            for each in self.rounds:
                noise = torch.cat([space.draw("row", count + row) for row in range(each.rows)])
                count += each.rows
                if best is not None:
                    noise = each.nearness * best + (1 - each.nearness**2) ** 0.5 * noise
                end = len(times) if each.stop == 0 else each.stop + 1
                answer = yield Proposal(space.start(noise), times[:end], score=each.score)
                scores = answer.scores.nan_to_num(nan=-float("inf"))
                if float(scores.max()) > highest:
                    highest, best = float(scores.max()), noise[scores.argmax()][None]


rounds = st.builds(Round, st.integers(1, 3), st.floats(0, 1), st.sampled_from([0, 0, 1]), st.booleans())
programs = st.builds(
    lambda first, rest: Program((first, *rest)),
    st.builds(Round, st.integers(1, 3), st.just(0.0), st.just(0), st.just(True)),
    st.lists(rounds, max_size=3),
)


def run(folder: Path, search: Program, at_batch: Callable[[], None] = lambda: None) -> str:
    done = scaling.run(
        study(
            folder,
            denoiser=Told(at_batch),
            search=search,
            budget=Budget(nfes_per_iter=2, candidates=[3, 9]),
            conditions=ClassLabels(count=3, classes=2),
            block_size=2,
            batch_size=2,
            samples=0,
            extractors={},
        )
    )
    return (done / "curve.csv").read_text() + repr((done / "winners.parquet").read_bytes())


@given(programs, st.lists(st.integers(1, 6), min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_a_random_search_killed_at_random_batches_equals_the_undisturbed_one(
    search: Program, moments: list[int]
) -> None:
    left = 0

    def dying() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    with tempfile.TemporaryDirectory() as folder:
        whole = run(Path(folder, "whole"), search)
        for left in moments:  # noqa: B007
            try:
                run(Path(folder, "killed"), search, dying)
            except Killed:
                continue
        assert run(Path(folder, "killed"), search) == whole


values = st.one_of(st.integers(), st.floats(), st.text(max_size=5), st.booleans(), st.none())
names = st.sampled_from(["alpha", "beta", "gamma"])


@given(st.dictionaries(names, values, min_size=1), st.frozensets(names), names, values)
@settings(max_examples=100, deadline=None)
def test_a_parameter_decides_unless_the_class_says_that_it_does_not(
    parameters: dict[str, Any], how: frozenset[str], edited: str, value: Any
) -> None:
    names = sorted({*parameters, edited})
    kind = make_dataclass("Part", [(name, object, field(default=None)) for name in names], frozen=True)
    kind.__module__, kind.execution_only = "scaling.made.up", how
    before, after = kind(**parameters), kind(**{**parameters, edited: value})
    same = edited in how or (type(parameters.get(edited)), repr(parameters.get(edited))) == (type(value), repr(value))
    assert (digest_of(before) == digest_of(after)) == same


CODE = """
from beside import FACTOR
STEP = {step}
class Plain:
    def __init__(self, w=1.0):
        self.w = w
    def __call__(self, space):
        yield FACTOR * STEP * {factor}
def generator(space, w=1.0):
    yield w {sign} {factor}
"""
code = st.fixed_dictionaries({"step": st.integers(0, 3), "factor": st.integers(0, 3), "sign": st.sampled_from("+-*")})


@given(st.tuples(code, st.integers(0, 2)), st.tuples(code, st.integers(0, 2)), st.floats(), st.floats())
@settings(max_examples=25, deadline=None)
def test_an_edit_of_code_of_a_neighbor_or_of_a_parameter_is_another_part_and_nothing_else_is(
    one: tuple[dict, int], other: tuple[dict, int], w: float, v: float
) -> None:
    def digests(text: tuple[dict, int], value: float) -> list[str]:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            patch.setattr(sys, "dont_write_bytecode", True)
            Path(folder, "drawn.py").write_text(CODE.format(**text[0]))
            Path(folder, "beside.py").write_text(f"FACTOR = {text[1]}\n")
            importlib.invalidate_caches()
            module = importlib.import_module("drawn")
            try:
                return [digest_of(module.Plain(value)), digest_of(functools.partial(module.generator, w=value))]
            finally:
                sys.modules.pop("drawn", None), sys.modules.pop("beside", None)

    before, after = digests(one, w), digests(other, v)
    same = one == other and repr(w) == repr(v)
    assert [x == y for x, y in zip(before, after, strict=True)] == [same, same]
    assert digests(one, w) == before
