import os
import socket
import subprocess
import sys
import time

import pytest
from folders import make_run

from scaling.analysis import publisher

MARK = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'seen').touch(); "


@pytest.fixture
def runs(tmp_path):
    names = [f"run-{number}" for number in range(4)]
    for name in names:
        (tmp_path / "study" / name).mkdir(parents=True)
    return [tmp_path / "study" / name for name in names]


def publishes(monkeypatch, code):
    monkeypatch.setattr(publisher, "PUBLISH", (sys.executable, "-c", MARK + code))


def queue(root, runs, monkeypatch):
    """Queues runs as jobs do, with publishers that are counted instead of started; their handles are duplicates."""
    started = []

    class Counted:
        def __init__(self, command, pass_fds=(), **options):
            started.append(os.dup(pass_fds[0]))  # as the child would hold it

    monkeypatch.setattr(publisher.subprocess, "Popen", Counted)
    for run in runs:
        publisher.publish_later(run, root)
    monkeypatch.undo()
    return started


def test_however_many_runs_end_one_publisher_waits(tmp_path, runs, monkeypatch):
    started = queue(tmp_path, runs, monkeypatch)
    assert len(started) == 1
    publishes(monkeypatch, "")
    publisher.drain(tmp_path / ".publish", started[0])
    assert all((run / "seen").exists() for run in runs)
    assert not list((tmp_path / ".publish" / "queue").iterdir())
    assert len(queue(tmp_path, runs[:1], monkeypatch)) == 1  # the next one finds nobody waiting


def test_a_run_has_a_limit_and_the_rest_is_left_out_when_patience_ends(tmp_path, runs, monkeypatch):
    (started,) = queue(tmp_path, runs, monkeypatch)
    publishes(monkeypatch, "time.sleep(60)")
    begin = time.monotonic()
    publisher.drain(tmp_path / ".publish", started, limit=0.5, patience=0.8)
    assert time.monotonic() - begin < 20
    assert sum((run / "seen").exists() for run in runs) <= 2
    logs = [(run / "publish.log").read_text() for run in runs]
    assert all(f"later: scaling-study sync {run}" in log for run, log in zip(runs, logs, strict=True))
    assert sum("left out" in log for log in logs) >= 2


def test_failures_that_cost_little_time_do_not_stop_the_others(tmp_path, runs, monkeypatch):
    (started,) = queue(tmp_path, runs, monkeypatch)
    publishes(monkeypatch, "sys.exit(1)")
    publisher.drain(tmp_path / ".publish", started)
    assert all((run / "seen").exists() for run in runs)


@pytest.mark.slow
def test_nothing_is_left_of_a_server_that_never_answers(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts and says nothing
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_MODE", "online")
        folder = make_run(tmp_path / "study", ladder=(1, 2), conditions=20)
        told = f'echo $$ > {tmp_path}/pid; exec {sys.executable} -m scaling.analysis.publish --background "$0"'
        monkeypatch.setattr(publisher, "PUBLISH", ("sh", "-c", told))
        assert not publisher.publish_now(folder, limit=8)
    assert "later: scaling-study sync" in (folder / "publish.log").read_text()
    end = time.monotonic() + 30
    while cores((tmp_path / "pid").read_text().strip()):
        assert time.monotonic() < end, "wandb's own process is still there"
        time.sleep(0.2)


def cores(pid: str) -> list[str]:
    """wandb's processes that serve one of ours."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in listed if "wandb-core" in line and f"--pid {pid}" in line]
