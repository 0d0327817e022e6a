"""Which process holds a lease, so that others on its machine see at once that it has died."""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """A process, told from later ones of the same number by when it started."""

    host: str  # for people
    machine: str  # for comparison; empty where process numbers mean nothing to others
    pid: int
    started: str  # ticks since the machine's start, which no clock moves; empty where the system does not tell

    @classmethod
    def this(cls) -> Holder:
        """The process that asks."""
        return cls(socket.gethostname()[:64], machine(), os.getpid(), _state_and_start(os.getpid())[1])

    @classmethod
    def read(cls, raw: bytes) -> Holder | None:
        """What `bytes()` gave, or None where there is nothing that can be read."""
        try:
            return cls(**json.loads(raw))
        except (ValueError, TypeError):
            return None

    def __bytes__(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_dead(self) -> bool:
        """Whether the process has surely ended; False where it lives, or runs where this one cannot look."""
        if not self.machine or self.machine != machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # it is somebody else's
        state, started = _state_and_start(self.pid)
        return state in ("Z", "X") or bool(started and self.started and started != self.started)


@cache
def machine() -> str:
    """One word for all processes that see each other by their numbers: the machine since its start, or a container."""
    host = socket.gethostname()
    if not Path("/proc").is_dir():
        return f"{host} {uuid.getnode():x}"
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return ""  # /proc is another container's
        return (
            f"{host} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
        )
    except OSError:
        return ""


def _state_and_start(pid: int) -> tuple[str, str]:
    """A process's state letter and start from /proc, empty where that is not to be had."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return words[0], words[19]
    except (OSError, IndexError):
        return "", ""
