"""`model.draft`: another option, or other options of the model; without one a run is called as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling.config.build import study_of
from scaling.config.compose import grid
from scaling.config.draft import draft_node
from scaling.config.outline import outline_of
from scaling.config.run_name import run_name

LINE = ["model=fashion_m", "logger=none", "conditions.count=2"]


def node(*line: str) -> dict[str, object] | None:
    [(config, _)] = grid([*line, "logger=none"])
    return draft_node(config["model"])


def test_another_option_with_what_it_inherits() -> None:
    small = node("model=sit_xl", "model.draft=sit_b", "model.guidance_scale=1.5")
    assert small is not None
    assert str(small["path"]).endswith("SiT-B-2-256.pt")
    assert small["guidance_scale"] == 1.5
    large = grid(["model=sit_xl", "logger=none"])[0][0]["model"]
    assert {key for key in small if small[key] != large.get(key)} == {"path", "guidance_scale"}


def test_other_options_of_the_model() -> None:
    other = node("model=shapes", "model.draft={guidance_scale: 1.0}")
    [(config, _)] = grid(["model=shapes", "logger=none"])
    assert other == {**config["model"], "guidance_scale": 1.0}
    assert node("model=shapes") is None


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="model.draft=fashion_x is no option of model; the nearest is fashion_"):
        node("model=fashion_m", "model.draft=fashion_x")


def test_it_is_built_planned_and_in_the_runs_name(tmp_path: Path) -> None:
    line = [*LINE, f"output_dir={tmp_path}"]
    [(plain, overrides)] = grid(line)
    assert "draft" not in plain["model"]
    assert "final_from" not in plain["budget"]
    [(config, said)] = grid([*line, "model.draft=fashion_s", "budget.final_from=0.5"])
    study = study_of(config, said)
    assert study.draft.gflops() < study.denoiser.gflops()
    assert study.budget.final_from == 0.5
    assert outline_of(config, said).draft.gflops() == study.draft.gflops()
    assert run_name(plain, overrides).rpartition("-")[2] != run_name(config, said).rpartition("-")[2]
