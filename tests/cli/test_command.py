"""The command as a user types it: groups compose, mistakes are one line, a multirun goes on after one."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
EXPLAINED = ("search", "verifier", "model", "conditions", "budget")  # composed in tests/cli/test_option_help.py
OPTIONS = [
    (group.name, path.stem)
    for group in sorted(CONF.iterdir())
    if group.is_dir() and group.name not in ("hydra", "experiment", "quick", *EXPLAINED)
    for path in sorted(group.glob("*.yaml"))
]
MIXTURE = ["model=gaussian_mixture", "logger=none", "conditions.count=6", "batch_size=16", "samples=1"]


Typed = Callable[..., Any]  # the command in this process


def scaling(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scaling", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def curves(folder: Path) -> list[Path]:
    return sorted(folder.glob("outputs/*/*/curve.csv"))


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group: str, option: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"{group}={option}"])
    assert OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize(
    "name",
    [
        p.relative_to(CONF / "experiment").with_suffix("").as_posix()
        for p in sorted((CONF / "experiment").rglob("*.yaml"))
        if p.parent.name != "tuned"  # parts of experiment=contest
    ],
)
def test_every_preset_composes_and_names_its_study(name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"experiment={name}"])
    assert OmegaConf.to_container(config, resolve=True)
    assert config.study != "default"


def test_one_run_leaves_everything_behind(tmp_path: Path) -> None:
    done = scaling(tmp_path, *MIXTURE, "budget.candidates=[1,2,4]")
    assert done.returncode == 0, done.stderr
    (curve,) = curves(tmp_path)
    rows = list(csv.DictReader(curve.open()))
    assert [float(row["nfe"]) for row in rows] == [10, 20, 40]
    assert {row["model"] for row in rows} == {"gaussian_mixture"}
    names = {path.name for path in curve.parent.iterdir()}
    assert {
        "config.yaml",
        "environment.json",
        "cost.json",
        "winners.parquet",
        "candidates",
        "samples",
        "curve.png",
    } <= names
    assert json.loads((curve.parent / "cost.json").read_text())["done"]


def test_a_priced_ladder_takes_the_place_of_the_options_own(tmp_path: Path, typed: Typed) -> None:
    caps = [2e-06, 1e-05]
    done = typed(*MIXTURE, f"budget.gflops={caps}".replace(" ", ""))
    assert done.returncode == 0, done.stderr
    [curve] = curves(tmp_path)
    spent = {int(row["rung"]): float(row["total_gflops"]) for row in csv.DictReader(curve.read_text().splitlines())}
    assert set(spent) == {0, 1}
    assert all(0 < spent[rung] <= cap for rung, cap in enumerate(caps))


def test_a_finished_run_does_nothing_and_says_so(tmp_path: Path, typed: Typed) -> None:
    typed(*MIXTURE)
    (curve,) = curves(tmp_path)
    before = curve.stat().st_mtime_ns
    again = typed(*MIXTURE)
    assert "already finished" in again.stdout
    assert curve.stat().st_mtime_ns == before


def test_a_changed_configuration_is_another_run(tmp_path: Path, typed: Typed) -> None:
    typed(*MIXTURE)
    typed(*MIXTURE, "seed=1")
    assert len(curves(tmp_path)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verifier=contrl"], "did you mean control?"),
        (["budget.candidtes=[1]"], "did you mean budget.candidates?"),
        (["budgte=ladder"], "did you mean budget?"),
        (["budget.candidates=[0,1]"], "starts under one candidate"),
        (["budget.candidates=[4,2]"], "must rise, but 2 follows 4"),
        (["sampler._target_=scaling.sampling.Heun", "budget.nfes_per_iter=11"], "the nearest it can is 12"),
        (["output_dir=/dev/null/nowhere"], "/dev/null/nowhere"),
        (["search.nonsense=1"], "search.nonsense is no key"),
        (["+seeed=3"], "seeed is no key of the configuration; did you mean seed?"),
        (["journal.keep=scores"], "journal.keep is called journal.retention by now"),
        (["journal.retention=everything"], "'everything' is none of scores, winners, latents"),
        (["search=first_order"], "verifier=control has none"),
        (["seed=half"], "seed='half'"),
        (["conditions.count=abc"], "conditions.count='abc'"),
        (["study=42"], """quote it, as study='"42"'"""),
        (["batch_size=abc"], "batch_size='abc' must be a whole number"),
        (["journal.patience=x"], "journal.patience='x' must be a number"),
        (["budget.candidates=abc"], "whole numbers, not 'abc'"),
        (["debug=maybe"], "neither true nor false"),
        (["sampler=heun"], "sampler._target_=scaling.sampling.Heun"),
        (["model=models/sd15"], "model=pipeline model.path=models/sd15"),
        (["conditions.count=1,2"], "with -m it is several values"),
        (["red"], "'red' sets nothing"),
        (["hydra/launcher=slurm", "-m"], "srun"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    tmp_path: Path, typed: Typed, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # no cluster, whatever this machine has
    failed = typed(*MIXTURE, *arguments)
    assert failed.returncode == 1
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert not curves(tmp_path)


@pytest.mark.parametrize(
    "words",
    [["--config-dir", "mine"], ["--config-dir=mine"], ["-cd", "mine"], ["hydra.searchpath=[file://mine]"]],
    ids=lambda words: words[0],
)
def test_an_option_in_a_folder_of_ones_own_has_a_name_of_its_own(
    tmp_path: Path, typed: Typed, words: list[str]
) -> None:
    mine, ours = tmp_path / "mine/search", (CONF / "search/zero_order.yaml").read_text()
    mine.mkdir(parents=True)
    (mine / "zero_order.yaml").write_text(ours)  # a copy hides nothing
    (mine / "zero_order_mine.yaml").write_text(ours.replace("neighbors: 2", "neighbors: 3"))
    done = typed(*words, "search=zero_order_mine", "--cfg", "job")
    assert done.returncode == 0 and "neighbors: 3" in done.stdout
    (mine / "zero_order.yaml").write_text(ours.replace("neighbors: 2", "neighbors: 3"))
    failed = typed(*words, "search=zero_order", "--cfg", "job")
    assert failed.returncode == 1
    assert "mine/search/zero_order.yaml: search/zero_order is ours; give yours another name" in failed.stderr


def test_a_traceback_can_be_asked_for(tmp_path: Path) -> None:
    failed = scaling(tmp_path, *MIXTURE, "budget.candidates=[0,1]", "debug=true")
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr


def test_faults_of_a_multirun_are_said_first_and_do_not_stop_the_other_jobs(tmp_path: Path, typed: Typed) -> None:
    done = typed("-m", *MIXTURE, "search=first_order,random", "seed=0,1")
    assert done.returncode == 1
    assert len(curves(tmp_path)) == 2
    first, fault, *_ = done.stderr.splitlines()
    assert first == "2 of 4 jobs cannot run as they are; the other 2 run:"
    assert "search-first_order" in fault
    assert fault.endswith(
        "(and 1 more): search=first_order follows the score's gradient, and verifier=control has none"
    )
    assert "failed: " not in done.stderr  # each was said, and is listed at the end
    ending = done.stderr[done.stderr.index("scaling: 2 jobs failed") :].splitlines()
    assert [line.count("search-first_order") for line in ending] == [0, 1, 1]
    assert (tmp_path / "outputs" / "default" / "curve.png").exists()
    kept = [path.read_text() for path in sorted(tmp_path.glob("outputs/default/*/error.txt"))]
    assert kept == ["search=first_order follows the score's gradient, and verifier=control has none\n"] * 2


def test_own_code_that_is_not_found_is_said_before_any_job(tmp_path: Path, typed: Typed) -> None:
    done = typed("-m", *MIXTURE, "verifier=control", "verifier._target_=nowhere.Mine", "seed=0,1")
    assert done.returncode == 1
    first, fault, *_ = done.stderr.splitlines()
    assert first == "2 of 2 jobs cannot run as they are; nothing is run:"
    assert "nowhere" in fault
    assert str(tmp_path) in fault


def test_a_truncated_weights_file_is_named(tmp_path: Path) -> None:
    weights = Path(__file__).parents[2] / "scaling" / "weights" / "fashion_s.safetensors"
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:100_000])
    failed = scaling(tmp_path, "model=fashion_s", f"model.path={cut}", "logger=none")
    assert failed.returncode == 1
    assert str(cut) in failed.stderr
    assert "Traceback" not in failed.stderr


def test_one_class_gives_its_best_image_and_the_recipe(tmp_path: Path, typed: Typed) -> None:
    arguments = ["model=fashion_s", "conditions=one", "conditions.class_label=7", "budget.candidates=[1,4]"]
    done = typed(*arguments, "batch_size=4", "logger=none")
    assert done.returncode == 0, done.stderr
    (curve,) = curves(tmp_path)
    assert "accuracy" in curve.read_text()
    best = curve.parent / "samples" / "000040" / "00000.png"
    assert best.exists()
    assert done.stdout.splitlines()[-1] == str(best.relative_to(tmp_path))


def test_help_lists_the_groups(tmp_path: Path) -> None:
    said = scaling(tmp_path, "--help").stdout
    for group in ("model", "conditions", "verifier", "search", "budget", "metrics", "logger", "experiment"):
        assert group in said


def test_three_real_kills_change_nothing(tmp_path: Path) -> None:
    arguments = ["model=fashion_s", "logger=none", "conditions.count=24", "batch_size=16", "samples=2", "block_size=8"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    assert scaling(whole, *arguments).returncode == 0
    for attempt in range(3):
        size = journal_bytes(killed)
        process = subprocess.Popen([sys.executable, "-m", "scaling", *arguments], cwd=killed, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while journal_bytes(killed) < size + 100_000 * (attempt + 1) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert scaling(killed, *arguments).returncode == 0
    assert curves(killed)[0].read_text() == curves(whole)[0].read_text()
    paid = json.loads((curves(killed)[0].parent / "cost.json").read_text())["paid"]["nfe"]
    everything, batch = 24 * 16 * 10, 16 * 10
    assert abs(paid - everything) <= 3 * batch  # of all attempts together: a kill costs the batch at work, no more


def journal_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("outputs/journal/**/*.journal"))
