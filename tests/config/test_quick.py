"""Every preset is small with `quick=true`, and itself without."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from scaling.cli.study.command import main
from scaling.config.compose import grid
from scaling.config.places import CONF
from scaling.config.quick import shrunk, spelled
from scaling.config.run_name import deciding, run_name

PRESETS = sorted(
    str(path.relative_to(CONF / "experiment").with_suffix(""))
    for path in (CONF / "experiment").rglob("*.yaml")
    if path.parent.name != "tuned"
)


def first(preset: str) -> tuple[list[str], int]:
    """The overrides that make a sweep its first run, and how many runs it has."""
    hydra = OmegaConf.to_container(OmegaConf.load(CONF / "experiment" / f"{preset}.yaml")).get("hydra", {})
    swept = {key: str(value).split(",") for key, value in hydra.get("sweeper", {}).get("params", {}).items()}
    return [f"{key}={values[0]}" for key, values in swept.items()], math.prod(map(len, swept.values()))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_small(preset: str) -> None:
    lines, runs = first(preset)
    ((config, _),) = grid([f"experiment={preset}", "quick=true", *lines])
    assert config["conditions"]["count"] <= 20
    budget = config["budget"]
    unit = "nfe" if budget["candidates"] is None else "candidates"
    rungs = budget[unit] if isinstance(budget[unit], list) else [budget[unit]]
    assert 1 <= len(rungs) <= 3 and rungs == sorted(set(rungs))
    assert rungs[-1] <= {"nfe": 240, "candidates": 18}[unit]
    assert (config["output_dir"], config["calibration"]) == ("outputs/quick", None)
    total = runs * config["conditions"]["count"] * rungs[-1] * (1 if unit == "nfe" else budget["nfes_per_iter"])
    assert (
        preset.startswith("paper/") or preset == "contest" or total <= 200_000
    )  # at 1,500 NFE a second of two cores about two minutes; the contest is two dozen searches under three judges


def test_nothing_else_of_a_preset_changes() -> None:
    full, quick = grid(["experiment=fig03"]), grid(["experiment=fig03", "quick=true"])
    small = {"conditions", "budget", "choices", "output_dir", "quick"}
    for (config, _), (whole, _) in zip(quick, full, strict=True):
        assert {k: v for k, v in config.items() if k not in small} == {k: v for k, v in whole.items() if k not in small}
        assert config["choices"] == whole["choices"] | {"quick": "small"}


def test_what_is_typed_stays() -> None:
    overrides = ["experiment=fig06", "+quick=true", "conditions.count=99", "budget.candidates=[1,32]"]
    for config, _ in grid([*overrides, "output_dir=elsewhere"]):
        assert config["conditions"]["count"] == 99 and config["budget"]["candidates"] == [1, 32]
        assert config["output_dir"] == "elsewhere"
    ((config, _),) = grid(["quick=true", "quick.conditions=5", "quick.rungs=1"])
    assert config["conditions"]["count"] == 5 and config["budget"]["candidates"] == [1]


def test_a_quick_run_is_named_by_what_it_runs() -> None:
    small = ["conditions.count=20", "budget.candidates=[1,4,16]", "output_dir=outputs/quick"]
    ((quick, lines),) = grid(["quick=true", "model=fashion_s"])
    ((typed, _),) = grid([*small, "model=fashion_s"])
    assert deciding(quick) == deciding(typed)
    assert run_name(quick, lines).startswith("model-fashion_s-")


def test_without_it_nothing_changes() -> None:
    assert grid(["quick=false", "model=fashion_s"])[0][0] == grid(["model=fashion_s"])[0][0]
    assert spelled(["-m", "quick=True", "+quick=true", "a=1"]) == ["-m", "+quick=small", "+quick=small", "a=1"]
    config = {"conditions": {"count": 3}}
    assert shrunk(config, []) is config
    assert Path(CONF / "quick" / "small.yaml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("preset", [preset for preset in PRESETS if not preset.startswith("paper/")])
def test_every_job_of_it_can_run(preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", f"experiment={preset}", "quick=true", f"output_dir={tmp_path}"]) == 0
    assert "cannot run" not in capsys.readouterr().err
