"""Where a study stands: which runs are done, at work, stopped or failed, what they cost and what is left."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scaling.files import Damaged, read_json
from scaling.output.block_result import load, rungs_in
from scaling.output.run_folder import is_done
from scaling.runner.heartbeat import counts
from scaling.runner.mend import paid_for

LOOK = 3.5  # seconds between two looks at who is at work; they count every patience / 20, three by default


@dataclass(frozen=True)
class Status:
    """One run."""

    name: str
    state: str  # done, running, failed, stopped
    done: int  # blocks with all rungs
    blocks: int
    share: float  # of the search NFE of all blocks
    nfe: int  # paid so far
    seconds: float  # of all workers together
    error: str = ""

    @property
    def left(self) -> float:
        """Seconds of one worker that the missing blocks will take; NaN before the first is there."""
        return self.seconds / self.share * (1 - self.share) if self.share else float("nan")


def statuses(folder: Path, look: float = LOOK) -> list[Status]:
    """All runs of a study; it looks twice at their processes' counts, since only one that moves is a sign of life."""
    runs = [path.parent for path in sorted(folder.glob("*/config.yaml"))]
    if not runs:
        raise ValueError(f"{folder} holds no run; give a study's folder, e.g. outputs/quickstart")
    waiting = [run for run in runs if not is_done(run)]
    before = {run: counts(run) for run in waiting}
    if any(before.values()):
        time.sleep(look)
    moved = {run for run in waiting if any(before[run].get(who) != count for who, count in counts(run).items())}
    return [_status(run, run in moved) for run in runs]


def text(runs: list[Status], width: int | None = None) -> str:
    """A line a run and one for all.

    Where lines are longer than `width` (None: there is no edge) the last columns are left out, but for the state; a
    name that does not fit beside it either, and an error, have lines of their own.
    """
    room, lines = math.inf if width is None else width, list[str]()
    longest = max(len(run.name) for run in runs) + 2
    beside = _fitting(runs, room - longest)
    columns = beside or _fitting(runs, room) or 2
    for run in runs:
        shown = "  ".join(_cells(run)[:columns])
        lines += [f"{shown}  {run.name}"] if beside else [shown, f"  {run.name}"]
        lines += [f"          {run.error}"] if run.error else []
    states = [run.state for run in runs]
    counted = ", ".join(f"{states.count(s)} {s}" for s in ("done", "running", "failed", "stopped") if s in states)
    total = (
        f"{len(runs)} runs: {counted}; {sum(run.nfe for run in runs):,} NFE and {sum(r.seconds for r in runs):.0f} s"
    )
    if "failed" in states or "stopped" in states:
        total += "; the same command goes on with what is missing"
    return "\n".join([*lines, total])


def _cells(run: Status) -> list[str]:
    """The columns, the most telling first."""
    left = [f"about {run.left:.0f} s left"] if run.state != "done" and run.share else []
    return [f"{run.state:8}", f"{run.done}/{run.blocks} blocks", *left, f"{run.nfe:,} NFE", f"{run.seconds:.0f} s"]


def _fitting(runs: list[Status], room: float) -> int:
    """How many columns fit, 2 at least; 0 where these do not."""
    rows = [_cells(run) for run in runs]
    counts = range(max(map(len, rows)), 1, -1)
    return next((n for n in counts if max(len("  ".join(cells[:n])) for cells in rows) <= room), 0)


def _status(run: Path, alive: bool) -> Status:
    faults, environment = _faults(run), {}
    with suppress(Damaged):
        environment = read_json(run / "environment.json")
    identities, budgets = environment.get("identities", {}), environment.get("caps", [])
    error = (run / "error.txt").read_text(errors="replace").strip() if (run / "error.txt").exists() else ""
    account, done = paid_for(run), is_done(run)
    state = "done" if done else "running" if alive else "failed" if error else "stopped"
    blocks = 0
    if identities:
        blocks = -(-identities["conditions"] // int(next(iter(identities["streams"].values()))["block_size"]))
    reached = [_reached(path, budgets) for path in sorted((run / "blocks").glob("[0-9]*.npz"))]
    whole, share = sum(r == 1 for r in reached), sum(reached) / max(blocks, 1)
    words = "; ".join([*([] if done or alive or not error else [error]), *faults])
    return Status(run.name, state, whole, blocks, share, account.cost.nfe, account.seconds, words)


def _faults(run: Path) -> list[str]:
    """The run's own files that are damaged, each with what is wrong."""
    found = []
    for read, paths in ((read_json, run.glob("*.json")), (load, sorted(run.glob("blocks/[0-9]*.npz")))):
        for path in paths:
            try:
                read(path)
            except Damaged as damaged:
                found.append(str(damaged))
    return found


def _reached(path: Path, budgets: list[int]) -> float:
    """How far up the ladder a block's file is, by NFE."""
    try:
        rungs = rungs_in(path)
    except Damaged:
        return 0.0
    return budgets[rungs - 1] / budgets[-1] if budgets else 1.0  # before order=budget there were none but whole ones
