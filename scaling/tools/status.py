"""Where a study stands: which runs are done, at work, stopped or failed, what they cost and what is left."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.output.block_result import rungs_in
from scaling.output.run_folder import is_done
from scaling.runner.heartbeat import counts
from scaling.runner.ledger import spent

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
    return [_status(run, run in before and _moved(before[run], counts(run))) for run in runs]


def text(runs: list[Status]) -> str:
    """A line a run and one for all."""
    lines = []
    for run in runs:
        parts = [f"{run.state:8}", f"{run.done}/{run.blocks} blocks", f"{run.nfe:,} NFE", f"{run.seconds:.0f} s"]
        if run.state != "done" and run.share:
            parts.append(f"about {run.left:.0f} s left")
        lines.append("  ".join(parts) + f"  {run.name}" + (f"\n          {run.error}" if run.error else ""))
    states = [run.state for run in runs]
    counted = ", ".join(f"{states.count(s)} {s}" for s in ("done", "running", "failed", "stopped") if s in states)
    total = (
        f"{len(runs)} runs: {counted}; {sum(run.nfe for run in runs):,} NFE and {sum(r.seconds for r in runs):.0f} s"
    )
    if "failed" in states or "stopped" in states:
        total += "; the same command goes on with what is missing"
    return "\n".join([*lines, total])


def _status(run: Path, alive: bool) -> Status:
    environment = _environment(run)
    said, caps = environment.get("identities", {}), environment.get("caps", [])
    error = (run / "error.txt").read_text().strip() if (run / "error.txt").exists() else ""
    parts = sorted((run / "blocks").glob("*.npz"))
    begun = {path.with_suffix(".npz") for path in (run / "blocks").glob("*.paid")}  # and not complete
    paid, seconds, _ = spent(sorted({*parts, *begun}))
    done = is_done(run)
    state = "done" if done else "running" if alive else "failed" if error else "stopped"
    blocks = -(-said["conditions"] // _block_size(said)) if said else 0
    reached = [_reached(path, caps) for path in parts]
    whole, share = sum(r == 1 for r in reached), sum(reached) / max(blocks, 1)
    return Status(run.name, state, whole, blocks, share, paid.nfe, seconds, "" if done or alive else error)


def _reached(path: Path, caps: list[int]) -> float:
    """How far up the ladder a block's file is, by NFE."""
    return caps[rungs_in(path) - 1] / caps[-1] if caps else 1.0  # before order=budget there were none but whole ones


def _block_size(identities: dict[str, Any]) -> int:
    return int(next(iter(identities["streams"].values()))["block_size"])


def _environment(run: Path) -> dict[str, Any]:
    path = run / "environment.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _moved(before: dict[Path, bytes], after: dict[Path, bytes]) -> bool:
    return any(before.get(folder) != state for folder, state in after.items())
