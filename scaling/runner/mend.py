"""Damaged and missing files of a run's folder: named, and made again from what is kept, with what they cost."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

from scaling.budget import Cost
from scaling.files import Damaged
from scaling.notices import notice
from scaling.output.block_result import load
from scaling.output.run_folder import account, write_json
from scaling.output.whole import FROM_BLOCKS, faults, words
from scaling.runner.ledger import Account, account_of, keep_account, lost_part, read_ledger
from scaling.runner.progress import print_error

ACCOUNTED = ("blocks", "features")  # folders of files that know what they cost


def mend(folder: Path, journal: Path) -> None:
    """Opens a run again of whose files some are gone or damaged, so that they are made from the rest and the journal.

    Called under the run's lease.
    """
    done = account(folder)
    if done.get("done"):
        found = faults(folder, journal)
    else:
        found = {name: word for name, word in faults(folder, journal).items() if _is_needed(folder, name, word)}
    if not found:
        return
    print_error(f"{folder}: {words(found)}: made again from what is kept")
    if any(name in FROM_BLOCKS for name in found):
        for name in ACCOUNTED:
            _remove(folder, sorted((folder / name).glob("[0-9]*.npz")))
        (folder / "selection.npz").unlink(missing_ok=True)
    if "environment.json" in found:  # so it is not known what made the samples
        (folder / "environment.json").unlink(missing_ok=True)
        shutil.rmtree(folder / "samples", ignore_errors=True)
    if done:
        write_json(folder / "cost.json", {**done, "done": False, "rungs": 0})
    else:
        (folder / "cost.json").unlink(missing_ok=True)


def discard(folder: Path, damaged: Damaged) -> None:
    """Removes a damaged file that a run's folder keeps for itself; the `Damaged` itself where it is another one.

    Called under the run's lease: another process may have made it anew by now.
    """
    path = damaged.path
    if path.suffix != ".npz" or not path.is_relative_to(folder):
        raise damaged
    try:
        if path.exists():
            load(path)
    except Damaged:
        print_error(f"{damaged}: computed anew from the journal")
        if path.parent.name in ACCOUNTED:
            _remove(folder, [path])
        else:
            path.unlink(missing_ok=True)


def paid_for(folder: Path) -> Account:
    """What all processes paid for the run's own files, those that are gone included."""
    files = [
        path for name in ACCOUNTED for path in (folder / name).glob("[0-9]*.*") if path.suffix in (".npz", ".paid")
    ]
    parts = sorted({path.with_suffix(".npz") for path in files})
    return _sum([*parts, *(lost_part(folder / name) for name in ACCOUNTED)])


def _is_needed(folder: Path, name: str, word: str) -> bool:
    """Whether a fault of an unfinished run matters: most files are not there yet."""
    if name == "environment.json":
        return word == "is damaged" or any((folder / "blocks").glob("[0-9]*.npz"))
    return name == "cost.json" and word == "is damaged"


def _remove(folder: Path, paths: Sequence[Path]) -> None:
    """Removes files, and keeps what they cost: of a damaged one, what the run's account leaves for it."""
    for path in paths:
        try:
            lost = read_ledger(path) or account_of(path)
        except Damaged:
            lost = _left_for(folder, path)
        keep_account(path.parent, lost)
        path.unlink(missing_ok=True)
        path.with_suffix(".paid").unlink(missing_ok=True)


def _left_for(folder: Path, path: Path) -> Account:
    """What the run's account holds beyond its other files; where it says nothing either, that is said."""
    recorded = account(folder)
    if not recorded.get("paid"):
        unknown = "had cost is not known: it is missing from `paid` in cost.json"
        print_error(f"{folder}: what {path.name} {unknown}")
        notice(f"what {{n}} damaged files {unknown}", [path])
        return Account()
    others = paid_for(folder)
    names = [field.name for field in dataclasses.fields(Cost)]
    cost = Cost(**{name: max(0, recorded["paid"].get(name, 0) - getattr(others.cost, name)) for name in names})
    return Account(cost, max(0.0, recorded.get("seconds", 0.0) - others.seconds))


def _sum(parts: Sequence[Path]) -> Account:
    accounts = []
    for part in parts:
        try:
            accounts.append(read_ledger(part) or account_of(part))
        except Damaged:
            continue
    return sum(accounts, Account())
