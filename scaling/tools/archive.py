"""A study as one archive to hand on: links become what they point to, machinery is left out."""

from __future__ import annotations

import tarfile
from pathlib import Path

from scaling.files import replacing


def archive(folder: Path, out: Path) -> Path:
    """Writes a .tar.gz of a study or run; a ValueError where there is none."""
    if not any(folder.glob("curve.csv")) and not any(folder.glob("*/curve.csv")):
        raise ValueError(f"{folder} holds no finished run; give a study's or a run's folder")
    _check_links(folder, ())
    with replacing(out) as part, tarfile.open(part, "w:gz", dereference=True) as tar:
        tar.add(folder, folder.resolve().name, filter=_shared)
    return out


def _check_links(folder: Path, above: tuple[Path, ...]) -> None:
    """A ValueError names a link that leads nowhere or round in a circle."""
    within = (*above, folder.resolve())
    for path in sorted(folder.iterdir()):
        if not _is_shared(path.name):
            continue
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: a circle, for Python before 3.13
            raise ValueError(f"{path} is a link that leads nowhere: remove it, then export again") from None
        if target in within:
            raise ValueError(f"{path} is a link to a folder that it lies in: remove it, then export again")
        if path.is_dir():
            _check_links(path, within)


def _shared(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Everything but hidden files, whose it was, and images for others' evaluators, which can be made again."""
    if not _is_shared(Path(member.name).name):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _is_shared(name: str) -> bool:
    return not name.startswith(".") and name != "exports"
