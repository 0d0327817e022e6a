"""Several processes of one run on this machine: each leases blocks; the first that finds all parts there ends the run.

The same command on another node that shares the folder joins in just so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.cli.errors import one_line
from scaling.cli.quiet import quiet_libraries
from scaling.config.build import study_of
from scaling.config.run_name import run_name
from scaling.notices import keep_notices, print_notices
from scaling.stop import asked_to_stop, check_stop, stopping_at_batches

POLL = 0.1  # seconds


def run_workers(config: Mapping[str, Any], overrides: list[str], folder: Path) -> None:
    """Runs `workers` processes until the run is complete; a dead one is reported, and the others take its blocks.

    A ValueError says why none of them could end the run.
    """
    from scaling.output.run_folder import is_done

    count = config["workers"]
    processes = [_start(config, overrides, folder, index) for index in range(count)]
    last_words: dict[int, str] = {}
    while len(last_words) < count:
        time.sleep(POLL)
        if asked_to_stop():
            for process in processes:
                process.terminate()
        for index, process in enumerate(processes):
            if index not in last_words and process.poll() is not None:
                last_words[index] = _end(process, index, left=count - len(last_words) - 1)
    check_stop()
    if not is_done(folder):
        raise ValueError(next((words for words in last_words.values() if words), "no worker could end the run"))


def worker_environment(index: int, count: int, gpus: list[str], threads: int) -> dict[str, str]:
    """What tells a worker its own: one GPU each, in turn, and its share of the threads."""
    mine = {"OMP_NUM_THREADS": str(max(threads // count, 1))}
    return mine | ({"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {})


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by index or UUID as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name] if torch.cuda.is_available() else []
    return [str(index) for index in range(torch.cuda.device_count())]


def _start(config: Mapping[str, Any], overrides: list[str], folder: Path, index: int) -> subprocess.Popen[str]:
    """A worker; the first shows its progress here, the others write theirs into the run's folder."""
    import torch

    environment = worker_environment(index, config["workers"], visible_gpus(), torch.get_num_threads())
    with open(folder / f"worker-{index}.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "scaling.cli.entry"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if index == 0 else log,
            env=os.environ | environment,
            text=True,
        )
    assert process.stdin is not None
    with process.stdin:
        json.dump([dict(config), overrides], process.stdin)
    return process


def _end(process: subprocess.Popen[str], index: int, left: int) -> str:
    """What a worker said at its end; a death is told at once."""
    assert process.stdout is not None
    with process.stdout:
        words = process.stdout.read().strip()
    if process.returncode < 0:
        words = f"worker {index} was killed by {signal.Signals(-process.returncode).name}"
    elif process.returncode and not words:
        words = f"worker {index} ended with exit code {process.returncode}; see worker-{index}.log"
    if process.returncode and left:
        print(f"{words}; {left} go on with its blocks", file=sys.stderr, flush=True)
    return words if process.returncode else ""


def main() -> None:
    """A worker: the run's configuration comes by standard input, one line about a user's error goes to output."""
    from scaling.runner.run import execute

    quiet_libraries()
    config, overrides = json.load(sys.stdin)
    with stopping_at_batches():
        try:
            execute(study_of(config, overrides), renew=True)
        except Exception as error:
            print(one_line(error), flush=True)
            sys.exit(1)
        finally:
            keep_notices(Path(config["output_dir"]) / config["study"] / run_name(config, overrides))
            print_notices()
