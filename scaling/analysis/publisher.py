"""Publishes runs behind a command's back, one at a time in an output folder, however many end at once.

A finished job leaves its run in the queue and starts a publisher, unless one is waiting already: at most one works
and one waits. What a run may take is bounded, and so is what is lost to a server that does not answer; runs that are
left out say in their publish.log what to type.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LIMIT = 120.0  # seconds that one run may take
PATIENCE = 60.0  # seconds lost to failures after which the rest of the queue is left out
PUBLISH = (sys.executable, "-m", "scaling.analysis.publish", "--background")
FOLDER = ".publish"  # beside the studies: the queue and its locks


def publish_later(folder: Path, output_dir: Path) -> None:
    """Queues a run and sees to it that somebody takes it from there, in a session of its own."""
    root = output_dir / FOLDER
    (root / "queue").mkdir(parents=True, exist_ok=True)
    name = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()
    (root / "queue" / name).write_text(str(folder.resolve()))
    with open(root / "waiting", "wb") as waiting:
        if not _lock(waiting.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB):
            return  # who holds it has not looked into the queue yet
        subprocess.Popen(
            [sys.executable, "-m", "scaling.analysis.publisher", str(root), str(waiting.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[waiting.fileno()],  # the lock goes with it
        )


def publish_now(folder: Path, limit: float = LIMIT) -> bool:
    """Publishes a run and waits for it, but no longer than that; what came of it is in the run's publish.log."""
    with open(folder / "publish.log", "wb") as log:
        try:
            done = subprocess.run(
                [*PUBLISH, str(folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=limit
            )
        except subprocess.TimeoutExpired:
            log.write(f"error: {folder} was not published within {limit:g} s; {_later(folder)}\n".encode())
            return False
    return done.returncode == 0


def drain(root: Path, waiting: int, limit: float = LIMIT, patience: float = PATIENCE) -> None:
    """Publishes what is queued once nobody else does; `waiting` is the lock that keeps others from waiting, too."""
    with open(root / "working", "wb") as working:
        _lock(working.fileno(), fcntl.LOCK_EX)
        os.close(waiting)
        lost = 0.0
        while queued := sorted((root / "queue").iterdir(), key=lambda path: path.stat().st_mtime_ns):
            folder = Path(queued[0].read_text())
            queued[0].unlink()
            if not folder.is_dir():
                continue
            if lost >= patience:
                (folder / "publish.log").write_text(
                    f"error: {folder} was left out, as others failed; {_later(folder)}\n"
                )
                continue
            begin = time.monotonic()
            lost += 0.0 if publish_now(folder, limit) else time.monotonic() - begin


def _later(folder: Path) -> str:
    return f"later: scaling-study sync {folder}"


def _lock(handle: int, how: int) -> bool:
    """Whether the lock was taken; a file system without locks gives it to everybody."""
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """Drains the queue in the folder that is named first; the second word is the inherited lock."""
    root, waiting = arguments or sys.argv[1:]
    drain(Path(root), int(waiting))


if __name__ == "__main__":
    main()
