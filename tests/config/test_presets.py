"""The presets of the paper's text-to-image tables and figures compose, and every node binds; nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configs import check, options
from hydra.utils import instantiate

from scaling.analysis.figures.specs import FIGURES, TABLES
from scaling.config.compose import grid
from scaling.config.places import CONF
from scaling.engine.ladder import fit, rungs_of
from scaling.noise import NoiseSpace
from scaling.sampling import Euler
from scaling.schedules import Flow

NAMES = ("tab01", "tab02", "tab03", "tab04", "tab07", "tab08", "fig07", "fig08", "fig09")
PAPER = {  # runs, conditions, rungs in search NFE at 30 NFE a candidate (40 for SDXL)
    "tab01": (4, "t2i-compbench", [30, 1920]),
    "tab02": (4, "drawbench", [30, 2880]),
    "tab03": (2, "drawbench", [40, 1280]),
    "tab04": (2, "drawbench", [30, 120, 480, 1920]),
    "tab07": (2, "drawbench", [30, 120, 480, 1920]),
    "tab08": (3, "drawbench", [30, 120, 480]),
    "fig07": (4, "drawbench", [30, 120, 480, 1920]),
    "fig08": (4, "drawbench", [30, 3840]),
    "fig09": (1, "drawbench", [30 * n for n in (1, 2, 4, 8, 16, 32, 48, 64, 96, 128)]),
}


def checked(preset: str, *overrides: str) -> list[dict[str, Any]]:
    runs = [config for config, _ in grid([f"experiment={preset}", *overrides])]
    for config in runs:
        check({key: value for key, value in config.items() if key not in ("choices", "logger")})
        assert config["study"] == preset
        assert config["scorers"] or config["choices"]["verifier"] != "mean_rank"
        budget, sampler = instantiate(config["budget"], _convert_="all"), instantiate(config["sampler"])
        budget.check(sampler)
    return runs


@pytest.mark.parametrize("name", NAMES)
def test_an_embedded_preset_builds_and_records_what_its_figure_shows(name: str) -> None:
    runs = checked(name)
    spec = TABLES.get(name) or FIGURES[name]
    for config in runs:
        reported = {config["choices"]["verifier"], *config["scorers"]}
        reported |= {*config["metrics"]["set"], *config["metrics"]["per_sample"]}
        assert set(spec.embedded) <= reported
    assert len({len(config["budget"]["candidates"]) for config in runs}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_of_the_papers_models_builds(name: str) -> None:
    runs = checked(f"paper/{name}")
    count, conditions, rungs = PAPER[name]
    assert len(runs) == count
    for config in runs:
        assert config["conditions"]["path"].endswith(conditions)
        assert list(instantiate(config["budget"], _convert_="all").rungs) == rungs
    metrics = {*runs[0]["scorers"], *runs[0]["metrics"]["per_sample"]}
    spec = TABLES.get(name) or FIGURES[name]
    others = {"unidet_spatial", "unidet_numeracy", "complex"}  # read back from the benchmark's own evaluators
    assert set(spec.metrics) - others <= metrics


def test_the_other_searches_of_table_2_are_one_command_more() -> None:
    searches = "search=zero_order,paths"
    assert len(checked("paper/tab02", searches, "verifier=aesthetic,clip_score,image_reward")) == 6
    assert len(checked("paper/tab02", searches, "verifier=ensemble", "verifier.calibration=outputs/x/y")) == 2


@pytest.mark.parametrize("preset", [*NAMES, *(f"paper/{name}" for name in NAMES)])
def test_a_preset_opens_with_its_command(preset: str) -> None:
    first, second, *_ = (Path(CONF) / "experiment" / f"{preset}.yaml").read_text().splitlines()
    assert first == "# @package _global_"
    assert second == f"# scaling -m experiment={preset}   then: scaling-study figure {preset}"


def test_every_search_is_compared_as_it_was_tuned_and_fits_the_smallest_budget() -> None:
    tuned = {path.stem for path in (CONF / "experiment" / "tuned").glob("*.yaml")}
    one_judge = ["experiment=contest", "verifier=shapes_middling", "budget.nfe=[120,480,1920]"]
    runs = [config for config, _ in grid(one_judge)]
    compared = {config["choices"]["search"]: config for config in runs}
    assert compared.keys() == tuned and len(runs) == len(tuned)
    for name, config in compared.items():
        check(config["search"])
        budget, search = instantiate(config["budget"], _convert_="all"), instantiate(config["search"], _convert_="all")
        space = NoiseSpace(0, "k", (3, 24, 24), Flow(), Euler(), budget.nfes_per_iter)
        assert [rung.nfe for rung in rungs_of(fit(search, budget, space))] == [120, 480, 1920], name
    covered = {option for option in options("search") if not option.rpartition("_")[2].isdigit()}
    assert covered - {"steps", "zero_order_near"} == tuned


def test_the_contest_has_every_tuned_search_under_three_judges() -> None:
    tuned = {path.stem for path in (CONF / "experiment" / "tuned").glob("*.yaml")}
    pairs = {(config["choices"]["verifier"], config["choices"]["search"]) for config, _ in grid(["experiment=contest"])}
    judges = ("shapes_weak", "shapes_middling", "shapes_strong")
    assert pairs == {(judge, search) for judge in judges for search in tuned}
