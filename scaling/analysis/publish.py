"""Publishes a run's folder to Weights & Biases, whenever it suits: nothing is lost or delayed where that fails.

    python -m scaling.analysis.publish outputs/quickstart/random-classifier

One wandb run per run folder, in the group named after the study; a history row per rung with `nfe` as the step of
every curve; the grids of winners as images; a small table of the rungs; the whole config. Candidates stay in the
folder. Without a key it works offline, into the folder's `wandb/`, from where `wandb sync` uploads. `wandb.json`
remembers what was published.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import netrc
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import numpy as np

from scaling.analysis.runs.folder import Run, open_run
from scaling.files import Damaged, read_json, replacing
from scaling.schema import COSTS, LABELS

PROJECT = os.environ.get("WANDB_PROJECT") or "scaling"
MODES = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}
LOGGED = ("budget_nfe", *COSTS, "conditions")  # of every rung, beside its metrics
LOW, HIGH = "_ci_low", "_ci_high"  # endings of the interval's columns


def publish(
    folder: Path | str,
    project: str = PROJECT,
    entity: str | None = None,
    tags: Sequence[str] = (),
    force: bool = False,
    timeout: float = 30.0,
    new_id: bool = False,
) -> dict[str, Any]:
    """Publishes one run folder and returns what `wandb.json` remembers: id, mode, rungs, digest and path or url.

    Nothing happens where the same content was published before, unless forced. A run that grew gets its new rungs.
    `timeout` is the seconds that a server has to answer; `new_id` makes it a run of its own beside the earlier one.
    ValueErrors name a folder that is no run; wandb's own errors pass through.
    """
    run = open_run(folder)
    before, mode = _remembered(run), _mode()
    rows, digest = list(history(run)), _digest(run)
    known = before.get("digest") == digest and (before.get("mode") == "online" or mode != "online")
    if mode == "disabled" or (known and not (force or new_id)):
        return before
    synced = "path" in before and any((run.path / before["path"]).glob("*.synced"))  # the mark of `wandb sync`
    uploaded = before.get("mode") == "online" or synced
    if not uploaded and "path" in before:  # an offline copy that nobody uploaded is simply made anew
        shutil.rmtree(run.path / before["path"], ignore_errors=True)
    first, identity = before.get("rungs", 0) if uploaded else 0, before.get("id")
    changed = first > 0 and before.get("sent") not in (None, _digest_of(rows[:first]))  # rows there cannot be replaced
    if new_id or changed or identity is None:
        first, identity = 0, _identity(run, again=new_id or changed)
    settings = {"id": identity, "project": before.get("project") or project, "entity": entity, "mode": mode}
    published = _log(run, settings, (*_tags(run), *tags), first, timeout)
    state = {**published, "sent": _digest_of(rows), "project": settings["project"], "mode": mode, "digest": digest}
    _remember(run, state)
    return state


def history(run: Run) -> Iterator[dict[str, Any]]:
    """A row per rung as it is logged: every cost, and every metric with its interval."""
    by_rung: dict[int, dict[str, Any]] = {}
    for point in run.curve:
        row = by_rung.setdefault(point.rung, {name: getattr(point, name) for name in LOGGED})
        values = {point.metric: point.value, point.metric + LOW: point.ci_low, point.metric + HIGH: point.ci_high}
        row.update({name: value for name, value in values.items() if np.isfinite(value)})
    yield from (by_rung[rung] for rung in sorted(by_rung))


def _log(run: Run, settings: dict[str, Any], tags: Sequence[str], first: int, timeout: float) -> dict[str, Any]:
    """Opens the wandb run, logs the rungs from `first` on and closes it."""
    import wandb

    quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True, init_timeout=timeout)
    resume: Literal["allow"] | None = "allow" if settings["mode"] == "online" else None
    session = wandb.init(
        **settings,
        resume=resume,
        group=run.study,
        name=_name(run),
        job_type=run.identity.search,
        tags=[tag[:64] for tag in dict.fromkeys(tags)],
        config={**run.config, "identity": {name: getattr(run.identity, name) for name in LABELS}},
        dir=os.environ.get("WANDB_DIR") or str(run.path),
        settings=quiet,
    )
    try:
        session.define_metric("nfe")
        for metric in run.metrics:
            session.define_metric(metric, step_metric="nfe")
            for ending in (LOW, HIGH):
                session.define_metric(metric + ending, step_metric="nfe", hidden=True)
        rows = list(history(run))
        for rung, row in enumerate(rows):
            if rung >= first and rung not in run.idle:
                last = {"budgets": _table(run)} if rung == len(rows) - 1 else {}
                session.log({**row, **_grid(run, rung, row), **last})
        session.summary["done"] = run.done
        where = _where(session, run)
    finally:
        session.finish()
    return {"id": session.id, "rungs": len(rows), **where}


def _grid(run: Run, rung: int, row: dict[str, Any]) -> dict[str, Any]:
    """The rung's grid of winners as an image, where there is one."""
    import wandb

    grids = list(run.grids.values())
    if rung >= len(grids):
        return {}
    return {"winners": wandb.Image(str(grids[rung]), caption=f"{row['nfe']:g} NFE")}


def _table(run: Run) -> Any:
    """A row per rung for the dashboard's table."""
    import wandb

    columns: list[str | int] = ["search", "verifier", "model", "candidates", "nfe", *run.metrics]
    point = run.identity
    table = wandb.Table(columns=columns)
    for rung, first in enumerate(run.series(point.metric)):
        values = [run.series(metric)[rung].value for metric in run.metrics]
        table.add_data(point.search, point.verifier, point.model, first.candidates, first.nfe, *values)
    return table


def _where(session: Any, run: Run) -> dict[str, str]:
    if not session.offline:
        return {"url": session.url}
    folder = Path(session.dir).parent.resolve()  # .../wandb/offline-run-<date>-<id>/files
    own = run.path.resolve()
    return {"path": str(folder.relative_to(own) if folder.is_relative_to(own) else folder)}


def _name(run: Run) -> str:
    """The folder's name, with the budget where that was chosen for it: runs of a sweep differ in nothing else."""
    chosen = any(str(each).lstrip("+~").startswith("budget") for each in run.config.get("overrides") or ())
    return f"{run.name}, {run.curve[-1].budget_nfe} NFE" if chosen else run.name


def _tags(run: Run) -> tuple[str, ...]:
    point = run.identity
    budget = f"{run.curve[-1].budget_nfe} NFE"  # runs of a sweep over budgets differ in nothing else
    return tuple(name for name in (run.study, point.model, point.verifier, point.search, budget) if name)


def _mode() -> str:
    """WANDB_MODE where it is set, else online with a key and offline without."""
    asked = os.environ.get("WANDB_MODE", "")
    if asked in MODES:
        return MODES[asked]
    if asked:
        raise ValueError(f"WANDB_MODE={asked!r} is unknown; there are {', '.join(MODES)}")
    return "online" if os.environ.get("WANDB_API_KEY") or _in_netrc() else "offline"


def without_key() -> bool:
    """Whether runs are kept offline for want of a key, not because that was asked for."""
    return not os.environ.get("WANDB_MODE") and _mode() == "offline"


def _in_netrc() -> bool:
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _identity(run: Run, again: bool) -> str:
    """A new id: of what decides the run and of when its folder was made; asked for `again`, of this moment, too."""
    made = min(path.stat().st_mtime_ns for path in run.path.iterdir())
    what = [run.config, run.environment.get("identities"), made, time.time_ns() if again else 0]
    return hashlib.blake2b(json.dumps(what, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


def _digest_of(rows: Sequence[dict[str, Any]]) -> str:
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()


def _digest(run: Run) -> str:
    """Of all that is published: the curve, the config and the grids."""
    hasher = hashlib.blake2b(digest_size=16)
    for path in (run.path / "curve.csv", run.path / "config.yaml", *run.grids.values()):
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def _remembered(run: Run) -> dict[str, Any]:
    try:
        return read_json(run.path / "wandb.json")
    except Damaged:  # what was published is not known: it is published as a new run
        return {}


def _remember(run: Run, state: dict[str, Any]) -> None:
    with replacing(run.path / "wandb.json") as part:
        part.write_text(json.dumps(state, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Publishes the folders named on the command line; 1 where one failed, with a line about it."""
    import wandb

    parser = argparse.ArgumentParser(prog="python -m scaling.analysis.publish", description=publish.__doc__)
    parser.add_argument("folders", nargs="+", metavar="RUN_FOLDER")
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--entity")
    parser.add_argument("--force", action="store_true", help="publish again what was published before")
    parser.add_argument("--new-id", action="store_true", help="publish as runs of their own, beside earlier ones")
    parser.add_argument("--background", action="store_true", help="without a key, offline is what was asked for")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds that the server has to answer")
    options = parser.parse_args(arguments)
    names = ("project", "entity", "force", "timeout", "new_id")
    failed, wanted = 0, {name: getattr(options, name) for name in names}
    for folder in options.folders:
        try:
            state = publish(folder, **wanted)
        except (wandb.Error, ValueError, OSError) as error:
            print(f"error: {folder} was not published: {' '.join(str(error).split())}", file=sys.stderr)
            failed = 1
        else:
            print(f"{folder}: {state.get('url') or state.get('path') or 'wandb is disabled'}")
    if without_key():
        said = "no key for Weights & Biases, so runs were kept offline: wandb login, then scaling-study sync"
        print(f"{said} {options.folders[0] if len(options.folders) == 1 else 'STUDY'}", file=sys.stderr)
        failed = failed or int(not options.background)
    return failed


if __name__ == "__main__":
    sys.exit(main())
