"""The presets of the paper's text-to-image tables and figures compose, and every node binds; nothing is loaded."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_class, instantiate

from scaling.analysis.figures.specs import FIGURES, TABLES
from scaling.compose import CONF, grid

NAMES = ("tab01", "tab02", "tab03", "tab04", "tab07", "tab08", "fig08", "fig09")
PAPER = {  # runs, conditions, rungs in search NFE at 30 NFE a candidate (40 for SDXL)
    "tab01": (4, "t2i-compbench", [30, 1920]),
    "tab02": (4, "drawbench", [30, 2880]),
    "tab03": (2, "drawbench", [40, 1280]),
    "tab04": (2, "drawbench", [30, 120, 480, 1920]),
    "tab07": (2, "drawbench", [30, 120, 480, 1920]),
    "tab08": (3, "drawbench", [30, 120, 480]),
    "fig08": (4, "drawbench", [30, 3840]),
    "fig09": (1, "drawbench", [30 * n for n in (1, 2, 4, 8, 16, 32, 48, 64, 96, 128)]),
}


def check(node: Any) -> None:
    """Every node with a target binds to it."""
    if isinstance(node, dict):
        if "_target_" in node:
            signature(get_class(node["_target_"])).bind(**{k: v for k, v in node.items() if k != "_target_"})
        for value in node.values():
            check(value)


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
