"""plan, status, prune, export and regenerate on runs of the mixture and of an embedded model."""

from __future__ import annotations

import json
import re
import shlex
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.analysis.report.data import command as typed
from scaling.analysis.runs.folder import open_study
from scaling.cli.study.command import main
from scaling.config.run_name import run_name
from scaling.journal.lease import Leases
from scaling.runner.heartbeat import heartbeat

MIXTURE = ["model=gaussian_mixture", "conditions.count=10", "block_size=4", "batch_size=8", "logger=none"]


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_a_plan_counts_what_is_shared_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = ["budget.candidates=1,2,4", f"output_dir={tmp_path}", "--speed", 100]
    shared = said(capsys, "plan", *MIXTURE, "search=random,zero_order", *grid)
    assert "6 runs, 0 of them finished, on 2 streams" in shared
    assert "700 (1,200 if nothing were shared); 700 left" in shared
    assert "0.00 h on 1 worker at 100 NFE/s" in shared


def test_a_plan_knows_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None]
) -> None:
    command("-m", *MIXTURE, "budget.candidates=1,2", f"output_dir={tmp_path}")
    capsys.readouterr()
    text = said(capsys, "plan", *MIXTURE, "budget.candidates=1,2,4", f"output_dir={tmp_path}", "--speed", 100)
    assert "3 runs, 2 of them finished, on 1 streams" in text
    assert "400 (700 if nothing were shared); 200 left" in text


def test_a_plan_reads_an_experiments_own_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "plan", "experiment=quickstart", f"output_dir={tmp_path}", "--speed", 1000)
    assert "2 runs" in text
    assert "on 1 streams" in text
    assert f"{2000 * 32 * 4:,} " in text


def test_a_plan_says_whose_fault_it_is_and_adds_up_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", *MIXTURE, "search=random,paths", "budget.candidates=[1,2]", f"output_dir={tmp_path}"]
    assert main([*arguments, "--speed", "100"]) == 1
    out, err = capsys.readouterr()
    assert "1 runs, 0 of them finished" in out
    first, fault = err.splitlines()
    assert first == "1 of 2 jobs cannot run as they are; the other one runs:"
    assert "search-paths" in fault
    assert "Paths costs at least 88 NFE" in fault


def test_status_tells_done_running_stopped_and_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None]
) -> None:
    command("-m", *MIXTURE, "seed=0,1,2,3", f"output_dir={tmp_path}")
    runs = sorted((tmp_path / "default").glob("model*"))
    for run in runs[1:]:
        (run / "cost.json").unlink()
        sorted((run / "blocks").glob("*.npz"))[-1].unlink()
    (runs[2] / "error.txt").write_text("the disk was full\n")
    capsys.readouterr()
    before = set(threading.enumerate())  # other tests' libraries keep some of their own
    with heartbeat(runs[1], 0.2):
        text = said(capsys, "status", tmp_path / "default", "--look", 0.5)
    states = [line.split()[0] for line in text.splitlines() if "blocks" in line]
    assert states == ["done", "running", "failed", "stopped"]
    assert "the disk was full" in text
    assert "4 runs: 1 done, 1 running, 1 failed, 1 stopped" in text
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []


def test_a_stopped_run_is_not_running_because_another_is_at_its_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None]
) -> None:
    command("-m", *MIXTURE, "budget.candidates=[1],[1,2]", f"output_dir={tmp_path}")
    runs = sorted((tmp_path / "default").glob("model*"))
    streams = [json.loads((run / "environment.json").read_text())["identities"]["streams"] for run in runs]
    assert len({json.dumps(list(each.values())) for each in streams}) == 1
    for run in runs:
        (run / "cost.json").unlink()
    block = next((tmp_path / "journal").glob("*/block-00000"))
    capsys.readouterr()
    with Leases(0.2).wait(block), heartbeat(runs[0], 0.2):
        text = said(capsys, "status", tmp_path / "default", "--look", 0.5)
    assert [line.split()[0] for line in text.splitlines() if "blocks" in line] == ["running", "stopped"]


def test_an_export_has_no_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None]
) -> None:
    command(*MIXTURE, f"output_dir={tmp_path}")
    archive = tmp_path / "out.tar.gz"
    said(capsys, "export", tmp_path / "default", "--out", archive)
    with tarfile.open(archive) as file:
        members = file.getmembers()
    assert not any(member.issym() or member.islnk() for member in members)
    names = {Path(member.name).name for member in members}
    assert {"curve.csv", "part-00000.parquet", "winners.parquet"} <= names
    assert not any(name.startswith(".") for name in names)


@pytest.mark.parametrize("keep", ["latents", "scores"])
@pytest.mark.parametrize("final", [10, 12])
def test_an_image_is_made_again_from_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None], keep: str, final: int
) -> None:
    command(
        *("model=fashion_s", "metrics=none", "conditions.count=5", "block_size=4", "batch_size=8", "logger=none"),
        *(
            "budget.candidates=[1,4]",
            f"budget.final_nfe={final}",
            f"journal.retention={keep}",
            f"output_dir={tmp_path}",
        ),
    )
    run = next((tmp_path / "default").glob("model*"))
    for condition, rung, nfe in ((4, 1, 40), (2, 0, 10)):
        out = tmp_path / "image.png"
        said(capsys, "regenerate", run, "--condition", condition, "--rung", rung, "--out", out)
        assert out.read_bytes() == (run / "samples" / f"{nfe:06d}" / f"{condition:05d}.png").read_bytes()
    assert main(["regenerate", str(run), "--condition", "5"]) == 1
    assert "has no condition 5" in capsys.readouterr().err
    assert main(["regenerate", str(run), "--condition", "1", "--candidate", "9"]) == 1
    assert "no finished candidate" in capsys.readouterr().err


def test_pruning_says_what_it_freed_and_pictures_can_still_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None]
) -> None:
    command(
        *("model=fashion_s", "metrics=none", "conditions.count=5", "block_size=4", "batch_size=8", "logger=none"),
        *("budget.candidates=[1,4]", f"output_dir={tmp_path}"),
    )
    run = next((tmp_path / "default").glob("model*"))
    capsys.readouterr()
    assert re.fullmatch(
        r"journal of 1 stream: [\d.]+ kB before, [\d.]+ kB after\n", said(capsys, "prune", tmp_path / "default")
    )
    said(capsys, "prune", run, "--keep", "scores")
    said(capsys, "regenerate", run, "--condition", 4, "--out", tmp_path / "image.png")
    assert (tmp_path / "image.png").read_bytes() == (run / "samples" / "000040" / "00004.png").read_bytes()
    assert main(["prune", str(tmp_path / "journal")]) == 1
    assert "holds no run" in capsys.readouterr().err


def test_order_and_calibration_decide_no_folder(tmp_path: Path, command: Callable[..., None]) -> None:
    gate = "calibration={metrics: {toward: {expected: 0, tolerance: 1e9}}}"
    for extra in ([], ["order=budget"], [gate.replace("toward", "control")]):
        command(*MIXTURE, "verifier=control", "budget.candidates=[1,2]", f"output_dir={tmp_path}", *extra)
        assert len(list((tmp_path / "default").glob("model*"))) == 1


def test_a_run_keeps_what_was_typed_and_that_makes_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None]
) -> None:
    command("-m", *MIXTURE, "budget.candidates=[1,2],[2]", "seed=1", f"output_dir={tmp_path}")
    runs = open_study(tmp_path / "default").runs
    assert len(runs) == 2
    for run in runs:
        assert run.config["overrides"][-3:-1] == ["seed=1", f"output_dir={tmp_path}"]
        assert run_name(run.config, run.config["overrides"]) == run.name
        before = (run.path / "cost.json").stat().st_mtime_ns
        capsys.readouterr()
        command(*shlex.split(typed(run))[1:])
        assert "already finished" in capsys.readouterr().out
        assert (run.path / "cost.json").stat().st_mtime_ns == before
