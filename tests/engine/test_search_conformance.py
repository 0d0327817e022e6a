"""What every search in conf/search must do under the runner, whatever its method."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from configs import built, options
from studies import Toward, mixture, study

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.engine.batches import Batches
from scaling.protocols import Search
from scaling.runner.study import Study
from scaling.traits import SearchTraits

NAMES = options("search")
NFE = [110, 187]  # the first fits whole solves of ten exactly, the second fits nothing exactly


def build(name: str) -> Search:
    return built("search", name)


def small(folder: Path, name: str, **changes: object) -> Study:
    return study(
        folder,
        search=build(name),
        budget=Budget(nfes_per_iter=10, nfe=NFE),
        conditions=ClassLabels(count=2, classes=2),
        extractors={},
        samples=0,
        **changes,
    )


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "curve.csv").open()))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Rows that the denoiser was really called with; batches of one row leave no padding."""
    calls = 0
    denoise = type(mixture()).__call__

    def call(self: object, x: object, *args: object) -> object:
        nonlocal calls
        calls += len(x)  # type: ignore[arg-type]
        return denoise(self, x, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(type(mixture()), "__call__", call)
    return lambda: calls


@pytest.mark.parametrize("name", NAMES)
def test_what_is_charged_is_what_is_called(tmp_path: Path, counted: Callable[[], int], name: str) -> None:
    folder = scaling.run(small(tmp_path, name, batch_size=1))
    paid = json.loads((folder / "cost.json").read_text())["paid"]
    assert paid["nfe"] == paid["forwards"] == counted()
    by_rung = {float(row["search_nfe"]) for row in rows(folder)}
    assert by_rung
    sized = SearchTraits.of(build(name)).size_parameter is not None
    assert paid["nfe"] == (2 * sum(by_rung) if sized else 2 * max(by_rung))


@pytest.mark.parametrize("name", NAMES)
def test_no_rung_is_overspent(tmp_path: Path, name: str) -> None:
    spent = sorted(float(row["search_nfe"]) for row in rows(scaling.run(small(tmp_path, name))))
    assert all(0 < nfe <= cap for nfe, cap in zip(spent[::-1], NFE[::-1], strict=False))


@pytest.mark.parametrize("name", NAMES)
def test_grouping_changes_no_bit(tmp_path: Path, name: str) -> None:
    together = scaling.run(small(tmp_path / "2", name, block_size=2)) / "curve.csv"
    apart = scaling.run(small(tmp_path / "1", name, block_size=1)) / "curve.csv"
    assert together.read_text() == apart.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_replays_after_a_crash_at_any_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    whole = (scaling.run(small(tmp_path / "whole", name)) / "curve.csv").read_text()
    solve = Batches.solve
    crashes, curve = 0, ""
    while not curve:
        done = 0

        def dying(self: Batches, rows: object, block: object, last: int = crashes + 2) -> object:
            nonlocal done
            done += 1
            if done == last:  # each attempt goes a little further than the one before, from where that ended
                raise KeyboardInterrupt
            return solve(self, rows, block)  # type: ignore[arg-type]

        monkeypatch.setattr(Batches, "solve", dying)
        try:
            curve = (scaling.run(small(tmp_path / "crash", name)) / "curve.csv").read_text()
        except KeyboardInterrupt:
            crashes += 1
    assert curve == whole
    assert crashes


@pytest.mark.parametrize("name", ["first_order", "reno"])
def test_a_verifier_without_a_gradient_is_an_error(tmp_path: Path, name: str) -> None:
    verifier = Toward()
    verifier.differentiable = False
    with pytest.raises(ValueError, match="has none"):
        small(tmp_path, name, verifier=verifier)


@pytest.mark.parametrize("name", ["smc", "svdd", "rbf", "bfs", "dfs", "eps_greedy"])
def test_a_stochastic_search_needs_one_evaluation_a_step(tmp_path: Path, name: str) -> None:
    from scaling.sampling import Heun

    with pytest.raises(ValueError, match="Euler"):
        small(tmp_path, name, sampler=Heun())
