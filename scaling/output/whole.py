"""Whether what a run's folder shows is all there and can be read."""

from __future__ import annotations

from pathlib import Path

from scaling.files import Damaged, read_json

TABLES = ("winners.parquet", "replicates.parquet")
FROM_BLOCKS = ("candidates", "environment.json")  # made with the blocks; the other files are made from these


def faults(folder: Path, journal: Path) -> dict[str, str]:
    """The files of a finished run that are gone or cannot be read, each with a word; nothing of it is built or loaded.

    What a run can do without, and what it would have to pay for again, is no fault: pictures, and candidates where
    the journal is gone.
    """
    found: dict[str, str] = {}
    for name in ("cost.json", "environment.json"):
        try:
            if not read_json(folder / name):
                found[name] = "is gone"
        except Damaged:
            found[name] = "is damaged"
    curve = folder / "curve.csv"
    if not curve.is_file():
        found["curve.csv"] = "is gone"
    elif not curve.read_bytes().strip():
        found["curve.csv"] = "is damaged"
    for name in TABLES:
        if word := _parquet(folder / name):
            found[name] = word
    blocks, candidates = list(folder.glob("blocks/[0-9]*.npz")), list(folder.glob("candidates/part-*.parquet"))
    # links are of runs from before each run kept its own: where they lead to is no fault of this one
    harmed = len(candidates) < len(blocks) or any(_parquet(path) for path in candidates if not path.is_symlink())
    if harmed and any(journal.glob("*/stream.json")):
        found["candidates"] = "are not all there"
    return found


def words(found: dict[str, str]) -> str:
    """The faults as one line says them."""
    return ", ".join(f"{name} {word}" for name, word in found.items())


def _parquet(path: Path) -> str:
    """What is wrong with a table; it must have an end that says what is in it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_metadata(path)
    except FileNotFoundError:
        return "is gone"
    except (pa.ArrowException, OSError):
        return "is damaged"
    return ""
