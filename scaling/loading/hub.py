"""Where weights and data lie: a local path first, then the hub's cache, and the hub itself only when needed.

Everything that can go wrong is one ValueError line with the command that would get the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scaling.files import user_path

Kind = Literal["model", "dataset"]
_ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w.-]+))?(/(?P<file>[^/].*))?")


@dataclass(frozen=True)
class HubId:
    """`owner/name`, `owner/name@revision` or `owner/name/folder/file` as users write it."""

    repo: str
    revision: str | None = None
    file: str | None = None
    kind: Kind = "model"

    @classmethod
    def parse(cls, text: str, kind: Kind = "model") -> HubId:
        """A ValueError where the text cannot be a hub id and, as a path, does not exist either."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(
                f"there is nothing at {text}: give a local path or a hub id, as owner/name or owner/name/file"
            )
        return cls(match["repo"], match["revision"], match["file"], kind)

    def command(self, files: Sequence[str] = ()) -> str:
        """What a user types to get it."""
        parts = ["hf download", self.repo]
        globs = any("*" in f for f in files)  # includes are ignored beside plain names
        parts += [f"--include '{f}'" if globs else f for f in files]
        parts += ["--repo-type dataset"] if self.kind == "dataset" else []
        return " ".join(parts + ([f"--revision {self.revision}"] if self.revision else []))


def find_file(path: str | Path, file: str | None = None, kind: Kind = "model") -> Path:
    """A local file, `file` in a local folder, or a file on the hub, as a local path."""
    local = user_path(path)
    if local.is_file():
        return local
    if local.is_dir():
        return _in_folder(local, file)
    hub = HubId.parse(str(path), kind)
    wanted = hub.file or file
    if wanted is None:
        raise ValueError(f"{path} is no local path, and of a hub id one file is needed: {path}/<file>")

    def get(offline: bool) -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(
            hub.repo, wanted, revision=hub.revision, repo_type=hub.kind, local_files_only=offline
        )  # fmt: skip

    return _cached_or_fetched(hub, [wanted], get)


def find_folder(path: str | Path, files: Sequence[str], kind: Kind = "model") -> Path:
    """A local folder, or the snapshot of a hub id with what matches `files` (globs, each of which must match)."""
    local = user_path(path)
    if local.is_dir():
        if missing := _unmatched(local, files):
            raise ValueError(f"the folder {local} lacks {', '.join(missing)}")
        return local
    if local.is_file():
        raise ValueError(f"{local} is a file: a folder with {', '.join(files)} is needed, or a hub id")
    hub = HubId.parse(str(path), kind)
    if hub.file is not None:
        raise ValueError(f"there is no folder at {path}: give a local one or a hub id, as {hub.repo}")

    def get(offline: bool) -> str:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import EntryNotFoundError

        folder = snapshot_download(
            hub.repo, revision=hub.revision, repo_type=hub.kind, allow_patterns=list(files), local_files_only=offline
        )
        if missing := _unmatched(Path(folder), files):
            raise EntryNotFoundError(f"no {', '.join(missing)}")
        return folder

    return _cached_or_fetched(hub, files, get)


def cache_folder() -> Path:
    """`scaling` in the user's cache."""
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "scaling"


def _in_folder(folder: Path, file: str | None) -> Path:
    if file is not None and (folder / file).is_file():
        return folder / file
    weights = (f.name for f in folder.iterdir() if f.suffix in (".pt", ".pth", ".bin", ".safetensors"))
    inside = sorted(name for name in weights if not name.startswith("."))
    if file is None and len(inside) == 1:
        return folder / inside[0]
    wanted = file or "a single weights file"
    raise ValueError(f"the folder {folder} does not hold {wanted}; it has {', '.join(inside) or 'no weights'}")


def _unmatched(folder: Path, files: Sequence[str]) -> list[str]:
    return [pattern for pattern in files if not any(folder.glob(pattern))]


def _beside(hub: HubId) -> str:
    """What a local folder of the owner's name holds: a path that was misspelt reads like a hub id."""
    folder, _, _ = hub.repo.partition("/")
    if not Path(folder).is_dir():
        return ""
    inside = sorted(path.name for path in Path(folder).iterdir() if not path.name.startswith("."))
    return f" (the folder {folder} has {', '.join(inside[:8]) or 'nothing'})"


def _cached_or_fetched(hub: HubId, files: Sequence[str], get: Callable[[bool], str]) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    what, command, beside = f"{hub.repo} ({', '.join(files)})", hub.command(files), _beside(hub)
    try:
        return Path(get(True))
    except EntryNotFoundError:  # not in the cache, or not all of it
        pass
    if constants.HF_HUB_OFFLINE:
        raise ValueError(
            f"{what} is no local path{beside} and not in the hub's cache, and HF_HUB_OFFLINE is set; get it: {command}"
        )
    try:
        return Path(get(False))
    except GatedRepoError:
        page = f"https://huggingface.co/{'datasets/' * (hub.kind == 'dataset')}{hub.repo}"
        raise ValueError(f"{hub.repo} is gated: accept its terms at {page}, then: hf auth login && {command}") from None
    except LocalEntryNotFoundError:
        raise ValueError(
            f"{what} is no local path{beside}, not in the hub's cache, and the hub is out of reach; get it: {command}"
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{what} is neither local{beside} nor on the hub ({reason}); try: {command}") from None
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{what} cannot be fetched from the hub ({reason}); try: {command}") from None
