"""Runs as lines: what is averaged over seeds is of the same conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folders import make_run, without_scores

from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.lines import intervals
from scaling.cli.study.command import main
from scaling.statistics import mean_interval

UNREAD = {0: [(0, [3, 4]), (1, [7])], 1: [(0, [5, 6]), (1, [7, 8])]}  # at the first rung as many, but others


@pytest.fixture
def seeds(tmp_path: Path) -> list[Run]:
    runs = []
    for seed, missing in UNREAD.items():
        path = make_run(tmp_path / "unread", f"seed-{seed}", seed=seed, ladder=(1, 2), conditions=30)
        for rung, conditions in missing:
            without_scores(path, "classifier", rung, conditions)
        runs.append(Run(path))
    return runs


def test_seeds_are_averaged_over_the_conditions_that_all_of_them_have(seeds: list[Run]) -> None:
    found = intervals(seeds, "classifier")
    for rung, missing in enumerate(([3, 4, 5, 6], [7, 8])):
        kept = np.setdiff1d(np.arange(30), missing)
        both = np.mean([run.per_sample("classifier")[rung][kept] for run in seeds], axis=0)
        assert found[rung] == mean_interval(both)


def test_where_the_same_conditions_lack_it_the_value_is_the_mean_of_the_seeds(tmp_path: Path) -> None:
    paths = [make_run(tmp_path, f"seed-{seed}", seed=seed, ladder=(1, 2), conditions=30) for seed in (0, 1)]
    for path in paths:
        without_scores(path, "classifier", 0, [3])
    runs = [Run(path) for path in paths]
    assert intervals(runs, "classifier")[0].value == np.mean([run.series("classifier")[0].value for run in runs])


def test_where_no_condition_has_it_in_all_seeds_there_is_no_interval(seeds: list[Run]) -> None:
    without_scores(seeds[0].path, "classifier", 0, range(15))
    without_scores(seeds[1].path, "classifier", 0, range(15, 30))
    first = intervals([Run(run.path) for run in seeds], "classifier")[0]
    assert np.isfinite(first.value) and np.isnan(first[1:]).all()


@pytest.mark.parametrize("command", ["show", "report", "advise"])
def test_commands_take_seeds_whose_scores_do_not_apply_everywhere(seeds: list[Run], command: str) -> None:
    extra = ["--budget", "40", "--metric", "classifier"] if command == "advise" else []
    assert main([command, str(seeds[0].path.parent), *extra]) == 0
