"""The contest's table, picture and leaderboard, from synthetic runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folders import make_run, without_scores

from scaling.analysis.figures.contest import leaderboard, markdown
from scaling.analysis.figures.make import make
from scaling.analysis.questions.contest import base_of, cells_of, differences, entries
from scaling.analysis.runs.folder import open_study
from scaling.cli.study.command import main
from scaling.statistics import fixed_list_interval

JUDGES = ("shapes_weak", "shapes_strong")
SAME = {"conditions": 30, "ladder": (2, 8), "images": False}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    for judge in JUDGES:
        for search, strength in (("random", 1.0), ("smc", 1.4)):
            beside = {"scores": [judge], "sets": ["fid", "recall"]}
            make_run(tmp_path / "contest", f"{judge}-{search}", search, judge, strength=strength, **beside, **SAME)
    make_run(tmp_path / "contest", "weak-dfs", "dfs", JUDGES[0], **SAME)
    return tmp_path


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_cell_is_a_paired_difference_to_random_search(outputs: Path) -> None:
    found = entries(open_study(outputs / "contest").runs)
    weak, strong = (np.mean([e.values[judge, 40].mean() for e in found if (judge, 40) in e.values]) for judge in JUDGES)
    rising = JUDGES if weak < strong else JUDGES[::-1]
    assert cells_of(found) == [(judge, nfe) for judge in rising for nfe in (40, 160)]
    base, smc = base_of(found), next(entry for entry in found if entry.search == "smc")
    apart = differences(smc, base, "shapes_weak")
    for nfe, interval in apart.items():
        pairs = smc.values["shapes_weak", nfe] - base.values["shapes_weak", nfe]
        assert interval.value == pytest.approx(pairs.mean())
    every = np.mean([smc.values[cell] for cell in cells_of(found)], axis=0)
    assert smc.mean(cells_of(found)).value == pytest.approx(every.mean())


def test_what_was_not_run_is_empty_and_has_no_mean(outputs: Path) -> None:
    paths = make("contest", outputs, outputs / "figures")
    assert [path.suffix for path in paths] == [".png", ".pdf", ".md"]
    header, _, random, smc, dfs, *_ = paths[-1].read_text().splitlines()
    assert cells(header)[-1] == "mean of all"
    assert all(cells(random)) and all(cells(smc))
    strong = [place for place, name in enumerate(cells(header)) if "strong" in name]
    assert [cells(dfs)[place] for place in (*strong, -1)] == ["", "", ""]


def test_what_else_was_measured_is_said_by_judge_and_what_was_not_is_empty(outputs: Path) -> None:
    runs = open_study(outputs / "contest").runs
    header, _, _, smc, dfs = markdown(runs).split("\n\n")[1].splitlines()
    assert [name.split(":")[0] for name in cells(header)[1:4]] == ["own score", "FID", "recall"]
    judges = [judge for judge, nfe in cells_of(entries(runs)) if nfe == 160]
    of = {run.identity.verifier: run for run in runs if run.identity.search == "smc"}
    for place, metric in ((2, "fid"), (3, "recall")):
        assert cells(smc)[place] == " / ".join(f"{of[judge].series(metric)[-1].value:.3g}" for judge in judges)
    assert cells(smc)[1] == " / ".join(f"{of[judge].series(judge)[-1].value:.3g}" for judge in judges)
    assert all(cells(smc)[-3:])
    assert [bool(value.strip()) for value in cells(dfs)[2].split("/")] == [judge == "shapes_weak" for judge in judges]


def test_methods_are_compared_on_the_prompts_that_both_have(outputs: Path) -> None:
    whole = {entry.search: entry for entry in entries(open_study(outputs / "contest").runs)}
    for search, missing in (("random", [3, 4]), ("smc", [5, 6])):  # as many, but others
        without_scores(outputs / "contest" / f"shapes_weak-{search}", "accuracy", 1, missing)
    found = {entry.search: entry for entry in entries(open_study(outputs / "contest").runs)}
    cell, both = ("shapes_weak", 160), np.setdiff1d(np.arange(30), [3, 4, 5, 6])
    apart = (whole["smc"].values[cell] - whole["random"].values[cell])[both]
    assert differences(found["smc"], found["random"], cell[0])[cell[1]].value == pytest.approx(apart.mean())
    assert found["smc"].value(cell) == np.delete(whole["smc"].values[cell], [5, 6]).mean()
    assert len(leaderboard(open_study(outputs / "contest").runs).splitlines()) == 5


def test_seeds_are_averaged_by_prompt(outputs: Path) -> None:
    make_run(outputs / "contest", "again", "smc", JUDGES[0], seed=1, strength=1.4, **SAME)
    found = {entry.search: entry for entry in entries(open_study(outputs / "contest").runs)}
    assert (found["smc"].seeds, found["random"].seeds) == (2, 1)
    assert set(np.unique(found["smc"].values["shapes_weak", 40])) <= {0.0, 0.5, 1.0}


def test_settings_of_a_method_are_methods_of_their_own(outputs: Path) -> None:
    before = markdown(open_study(outputs / "contest").runs)
    for value in (2, 4):
        settings = {"search": {"neighbors": value}}
        make_run(outputs / "contest", f"zo{value}", "zero_order", JUDGES[0], settings=settings, **SAME)
    runs = open_study(outputs / "contest").runs
    assert [entry.label for entry in entries(runs)][-2:] == ["zero order, neighbors 2", "zero order, neighbors 4"]
    assert [cells(row)[0] for row in leaderboard(runs).splitlines()[2:]].count("zero order") == 0
    assert set(before.splitlines()) <= set(markdown(runs).splitlines())  # what others are called stays


def test_each_model_and_guidance_has_its_own_random_search(outputs: Path) -> None:
    for search, guidance in (("random", 4.0), ("smc", 4.0)):
        make_run(outputs / "contest", f"{search}4", search, JUDGES[0], guidance=guidance, **SAME)
    found = entries(open_study(outputs / "contest").runs)
    by_label = {entry.label: entry for entry in found}
    assert {"random, guidance 2", "random, guidance 4", "SMC, guidance 2", "SMC, guidance 4", "DFS"} == set(by_label)
    assert base_of(found, by_label["SMC, guidance 4"]).label == "random, guidance 4"
    assert base_of(found, by_label["DFS"]).label == base_of(found).label == "random, guidance 2"
    assert "| random, guidance 4 " in markdown(open_study(outputs / "contest").runs)
    make_run(outputs / "contest", "dfs6", "dfs", JUDGES[0], guidance=6.0, **SAME)
    with pytest.raises(ValueError, match="DFS, guidance 6 needs runs of random search beside it: model=fashion_m"):
        markdown(open_study(outputs / "contest").runs)


def test_a_run_that_lies_in_two_folders_is_no_repeat(outputs: Path) -> None:
    make_run(outputs / "copy", "smc", "smc", JUDGES[0], strength=1.4, **SAME)
    found = {entry.search: entry for entry in entries(open_study(outputs).runs)}
    assert {len(each) for each in found["smc"].repeats.values()} == {1}


def test_with_seeds_the_mean_has_an_interval_for_these_very_prompts(outputs: Path) -> None:
    for judge in JUDGES:
        make_run(outputs / "contest", f"{judge}-again", "smc", judge, seed=1, strength=1.4, **SAME)
    runs = open_study(outputs / "contest").runs
    smc = next(entry for entry in entries(runs) if entry.search == "smc")
    cells = cells_of(entries(runs))
    repeats = np.mean([smc.repeats[cell] for cell in cells], axis=0)
    assert smc.mean_of_these(cells) == fixed_list_interval(repeats)
    rows = leaderboard(runs).splitlines()
    assert ["these prompts" in row for row in rows].count(True) == 1


def test_the_leaderboard_is_a_command(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(outputs / "contest")]) == 0
    printed = capsys.readouterr().out
    assert printed == leaderboard(open_study(outputs / "contest").runs)
    header, _, *rows = printed.splitlines()
    assert cells(header)[-2:] == ["prompts", "seeds"]
    means = [float(cells(row)[1].split()[0]) for row in rows if cells(row)[1]]
    assert means == sorted(means, reverse=True) and len(rows) == 3


def test_runs_that_cannot_be_compared_are_refused(outputs: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "alone", "smc", "smc", **SAME)
    with pytest.raises(ValueError, match="needs runs of random search; there are smc"):
        markdown(open_study(tmp_path / "alone").runs)
    make_run(outputs / "contest", "longer", "bfs", JUDGES[0], **{**SAME, "conditions": 40})
    with pytest.raises(ValueError, match="different prompts"):
        markdown(open_study(outputs / "contest").runs)
    with pytest.raises(ValueError, match="no run has preference"):
        entries(open_study(outputs / "contest").runs, "preference")
