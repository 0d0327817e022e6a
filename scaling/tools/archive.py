"""A study as one archive to hand on: links become what they point to, machinery is left out."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path


def export(folder: Path, archive: Path) -> Path:
    """Writes a .tar.gz of a study or run; a ValueError where there is none."""
    if not any(folder.glob("curve.csv")) and not any(folder.glob("*/curve.csv")):
        raise ValueError(f"{folder} holds no finished run; give a study's or a run's folder")
    part = archive.with_name(f".{archive.name}.part")
    with tarfile.open(part, "w:gz", dereference=True) as out:
        out.add(folder, folder.resolve().name, filter=_shared)
    os.replace(part, archive)
    return archive


def _shared(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Everything but hidden files, whose it was, and images for others' evaluators, which can be made again."""
    if Path(member.name).name.startswith(".") or Path(member.name).name == "exports":
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
