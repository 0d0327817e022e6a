"""A plan is what a run then spends, and needs neither weights nor statistics nor the hub."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from configs import options
from hydra.utils import instantiate
from safetensors import safe_open
from studies import study

import scaling
from scaling.budget import Budget
from scaling.cli.study.command import main
from scaling.config.build import study_of
from scaling.config.compose import grid
from scaling.config.outline import outline_of
from scaling.journal.records import RecordFile
from scaling.models.outline import published
from scaling.models.sit import SiT
from scaling.protocols import Search
from scaling.runner.run import execute
from scaling.runner.study import Study
from scaling.search.beam import Beam
from scaling.search.first_order import FirstOrder
from scaling.search.paths import Paths
from scaling.search.random import Random
from scaling.search.steps import Steps
from scaling.search.zero_order import ZeroOrder
from scaling.tools.plan import plan, tflops_of

GOLDEN = Path(__file__).parents[1] / "golden" / "sit.safetensors"
SEARCHES: list[Search] = [FirstOrder(), Random(), ZeroOrder(), ZeroOrder(neighbors=3), Paths(width=1), Steps(), Beam()]
SMALL = Budget(nfes_per_iter=10, candidates=[1, 4, 7])
TWICE = Budget(nfes_per_iter=10, candidates=[2, 7])  # a candidate with its gradient costs two


def paid(folder: Path) -> dict[str, int]:
    return json.loads((folder / "cost.json").read_text())["paid"]


def kept_bytes(run: Study) -> int:
    """Bytes of all samples in the journal."""
    total = 0
    for stream in (Path(run.output_dir) / "journal").glob("*/stream.json"):
        for segment in stream.parent.glob("block-*/*.journal"):
            for record in RecordFile(segment).records:
                arrays = (record[name] for name in record if name.rpartition("/")[2] in ("latents", "x", "x0"))
                total += sum(4 * math.prod(array.shape) for array in arrays)
    return total


@pytest.mark.parametrize("search", SEARCHES, ids=repr)
def test_what_a_search_spends_is_known_beforehand(tmp_path: Path, search: Search) -> None:
    run = study(tmp_path, search=search, budget=TWICE if isinstance(search, FirstOrder) else SMALL)
    planned = plan([run])
    folder = scaling.run(run)
    assert planned.nfe == planned.left == paid(folder)["nfe"]
    assert planned.final_nfe == 0
    assert planned.disk == kept_bytes(run)
    after = plan([run])
    assert (after.finished, after.left) == (1, 0)


def test_final_solves_and_gflops_are_those_of_the_curve(tmp_path: Path) -> None:
    run = study(tmp_path, search=Random(), budget=Budget(nfes_per_iter=4, final_nfe=6, candidates=[3]))
    planned = plan([run])
    folder = scaling.run(run)
    assert planned.nfe + planned.final_nfe == paid(folder)["nfe"]
    assert planned.disk == kept_bytes(run)
    row = next(csv.DictReader((folder / "curve.csv").open()))
    assert planned.gflops == pytest.approx(20 * float(row["gflops"]))


@pytest.mark.parametrize("search", ["first_order", "reno"])
@pytest.mark.parametrize("scale", [1.0, 1.5], ids=["one forward an NFE", "two"])
def test_backward_passes_are_planned_as_they_are_counted(tmp_path: Path, search: str, scale: float) -> None:
    lines = ["model=fashion_s", f"search={search}", "metrics=none", "conditions.count=2", "samples=0", "logger=none"]
    lines += [
        "budget.candidates=[2,4]",
        "budget.nfes_per_iter=4",
        "budget.final_nfe=4",
        f"model.guidance_scale={scale}",
    ]
    ((config, overrides),) = grid([*lines, "progress=false", f"output_dir={tmp_path}"])
    run = study_of(config, overrides)
    planned = plan([run])
    *_, row = csv.DictReader((execute(run) / "curve.csv").open())
    of_others = sum(float(row[f"{part}_gflops"]) for part in ("decode", "verify", "encode"))
    assert planned.gflops == pytest.approx(2 * (float(row["total_gflops"]) - of_others))
    assert planned.gflops > 1.9 * 2 * float(row["gflops"])
    assert planned.hours(1, tflops=1) == pytest.approx(planned.gflops / 1000 / 3600)
    assert planned.hours(1, nfe_per_second=1) == pytest.approx(2 * planned.nfe / 3600)  # half of the NFE have one
    assert "multiply-add; a backward pass counts as two forwards)" in planned.text(1, "")
    after = plan([run])
    assert after.hours(1, tflops=1) == after.hours(1, nfe_per_second=1) == 0
    assert after.gflops == planned.gflops


@pytest.mark.parametrize("draft", ["{guidance_scale: 1}", "{cache: {kind: taylor_seer, cache_interval: 2}}"])
def test_a_drafts_gflops_are_planned_as_they_are_counted(tmp_path: Path, draft: str) -> None:
    lines = ["model=fashion_s", "search=random", "verifier=control", "metrics=none", "conditions.count=2", "samples=0"]
    lines += ["budget.candidates=[3]", "budget.nfes_per_iter=6", f"model.draft={draft}", "logger=none"]
    ((config, overrides),) = grid([*lines, "progress=false", f"output_dir={tmp_path}"])
    run = study_of(config, overrides)
    planned = plan([run]).gflops
    row = next(csv.DictReader((execute(run) / "curve.csv").open()))
    assert planned == pytest.approx(2 * float(row["gflops"]))


def test_an_embedded_grid_spends_what_its_plan_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["model=fashion_s", "model.guidance_scale=1.5", "metrics=none", "conditions.count=3", "batch_size=8"]
    lines += ["search=random,zero_order", "verifier=classifier,control", "budget.candidates=[1,3]", "logger=none"]
    lines += ["budget.nfes_per_iter=4", "budget.final_nfe=4", "samples=0"]
    lines += ["progress=false", f"output_dir={tmp_path}"]
    runs = grid(lines)
    planned = plan([outline_of(*run) for run in runs])
    folders = [execute(study_of(*run)) for run in runs]
    assert (planned.runs, len(planned.streams)) == (4, 3)  # the random stream is one for both verifiers
    assert planned.nfe == sum(paid(folder)["nfe"] for folder in folders) == 3 * 3 * 3 * 4
    assert planned.apart == 4 * 3 * 3 * 4
    deep = plan([outline_of(*run) for run in runs])
    assert (deep.finished, deep.left) == (4, 0)
    assert main(["plan", *lines, "--speed", "9"]) == 0
    assert "4 runs, 4 of them finished, on 3 streams" in capsys.readouterr().out


def test_a_gate_is_planned_once_and_shares_the_random_stream(tmp_path: Path) -> None:
    node = "calibration={conditions: 4, metrics: {control: {expected: 0, tolerance: 1e9}}}"
    lines = ["model=gaussian_mixture", "verifier=control", "conditions.count=8", f"output_dir={tmp_path}", node]
    lines += ["budget.candidates=[2]", "budget.final_nfe=12", "batch_size=8", "logger=none", "progress=false"]
    runs = grid([*lines, "search=zero_order,zero_order_4"])
    planned = plan([outline_of(*run) for run in runs])
    folders = [execute(study_of(*run)) for run in runs]
    (gate,) = (tmp_path / "calibration").iterdir()
    assert planned.gates == 4 * (10 + 12) == paid(gate)["nfe"]
    assert planned.apart >= planned.nfe  # the gate counts in both
    assert planned.nfe + planned.final_nfe == sum(paid(folder)["nfe"] for folder in (*folders, gate))
    both = grid([*lines, "search=random"])
    alone = plan([outline_of(*run) for run in both])
    assert alone.nfe == 8 * 2 * 10


FIGURES = [name for name in options("experiment/paper") if name.startswith("fig")]


@pytest.mark.parametrize("name", [n if n == "fig06" else pytest.param(n, marks=pytest.mark.slow) for n in FIGURES])
def test_a_plan_of_the_papers_imagenet_figures_needs_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = grid([f"experiment=paper/{name}", f"output_dir={tmp_path / 'none'}"])
    if not runs[0][0]["choices"]["model"].startswith("sit"):
        pytest.skip("the configurations of text-to-image models are on the hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["plan", f"experiment=paper/{name}", f"output_dir={tmp_path / 'none'}", "--gpu", "h100"]) == 0
    text = capsys.readouterr().out
    assert f"{len(runs)} runs, 0 of them finished" in text
    assert "at 27 TFLOP/s (h100, float32)" in text
    assert not (tmp_path / "none").exists()


def test_hours_are_those_of_the_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    total = plan([outline_of(*run) for run in grid(["model=sit_xl", f"output_dir={tmp_path}"])])
    assert total.hours(2, tflops=100) == pytest.approx(total.gflops / 100_000 / 3600 / 2)
    assert total.hours(1, nfe_per_second=50) == pytest.approx((total.nfe + total.final_nfe) / 50 / 3600)
    assert tflops_of("A100", "bfloat16") == pytest.approx(0.4 * 312)
    with pytest.raises(ValueError, match="--gpu tpu is none of h200, h100"):
        tflops_of("tpu", "float32")
    assert main(["plan", "model=sit_xl", f"output_dir={tmp_path}"]) == 1
    assert "--gpu h100" in capsys.readouterr().err


def test_published_sizes_are_those_of_the_paper() -> None:
    """Ma et al. 2501.09732 count 118.6, 80.7 and 23.0 multiply-adds an NFE for XL, L and B."""
    for name, giga in (("XL", 118.6), ("L", 80.7), ("B", 23.0)):
        ((config, said),) = grid([f"model=sit_{name.lower()}"])
        assert outline_of(config, said).denoiser.gflops() / 2 == pytest.approx(giga, rel=0.01)
    assert published("facebook/DiT-XL-2-512")["sample_size"] == 64
    with pytest.raises(ValueError, match=r"model.path=mine.pt is neither there nor named like a published model"):
        published("mine.pt")


def test_an_outline_is_the_model_that_a_local_checkpoint_makes(tmp_path: Path) -> None:
    with safe_open(GOLDEN, "pt") as f:
        keys = [key for key in f.keys() if key.startswith("state_dict.")]  # noqa: SIM118
        torch.save({k.removeprefix("state_dict."): f.get_tensor(k) for k in keys}, tmp_path / "sit.pt")
    ((config, _),) = grid(["model=sit_l", f"model.path={tmp_path}/sit.pt", "model.heads=3", "model.guidance_scale=1.5"])
    outline = SiT.outline(config["model"])
    model: Any = instantiate({**config["model"], "vae": None, "device": "cpu"})
    for part in ("latent_shape", "forwards_per_call", "guidance_scale"):
        assert getattr(outline, part) == getattr(model, part)
    assert outline.gflops() == model.gflops()


def test_a_plan_refuses_what_the_run_would_refuse(tmp_path: Path) -> None:
    def outlined(*lines: str) -> None:
        for run in grid([*lines, f"output_dir={tmp_path}"]):
            outline_of(*run)

    with pytest.raises(ValueError, match="is not open-loop"):
        outlined("model=sit_xl", "verifier=fid_oracle", "+verifier@scorers.control=control", "search=zero_order")
    with pytest.raises(ValueError, match="follows the score's gradient"):
        outlined("model=sit_xl", "verifier=inception", "search=first_order")
    outlined("model=shapes", "verifier=shapes_weak", "search=first_order")  # an ensemble of a judge that has a gradient
