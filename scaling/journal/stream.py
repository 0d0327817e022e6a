"""A stream: all answers that one search process can get, named by the digest of what decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from scaling.files import replacing
from scaling.journal.block import Block
from scaling.journal.lease import Lease
from scaling.protocols import Condition, Conditions


def digest(identity: Mapping[str, Any]) -> str:
    """16 hex digits of a json-able description, independent of the order of its keys."""
    text = json.dumps(identity, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never a part."""
    with replacing(path) as part:
        part.write_bytes(data)


class Stream:
    """The folder of a stream: its identity in words, and a folder for every block of conditions."""

    def __init__(self, root: Path, identity: Mapping[str, Any], block_size: int) -> None:
        self.id = digest(identity)
        self.folder = root / self.id
        self.block_size = block_size
        description = self.folder / "stream.json"
        if not description.exists():
            write_atomically(description, json.dumps(identity, indent=1, sort_keys=True).encode())

    def block_folder(self, number: int) -> Path:
        """What a lease is taken of: a block's segments and its lease."""
        return self.folder / f"block-{number:05d}"

    def block(self, number: int, conditions: Sequence[Condition], lease: Lease | None = None) -> Block:
        """Opens a block of conditions: to read, or under its lease to write."""
        return Block(self.block_folder(number), conditions, lease)


def blocks_of(conditions: Conditions, size: int) -> Iterator[tuple[int, list[Condition]]]:
    """The conditions in fixed runs of `size`, numbered; the last may be shorter."""
    iterator = iter(conditions)
    number = 0
    while run := list(islice(iterator, size)):
        yield number, run
        number += 1
