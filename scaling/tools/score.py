"""Scores images that exist, by any verifiers, into a table that best of n is read off; what is there is not redone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scaling.identity import digest_of
from scaling.protocols import Verifier
from scaling.tools.image_files import ImageFile
from scaling.tools.score_table import TAKEN, Identities, Key, Line, Scores, Table, read_scores
from scaling.traits import refuse_latents

_Row = tuple[Key, ImageFile, Tensor]  # an image, ready to be judged: its pixels are float32 [3, h, w]


@dataclass
class Scoring:
    """What came of it, with a line for each image of the call that has no score."""

    computed: int = 0  # scores
    known: int = 0  # scores that were there
    others: int = 0  # rows of images that are not in this call
    lacking: int = 0  # those of them that have no score by some verifier of this call
    failures: list[str] = field(default_factory=list)


def score(
    images: Sequence[ImageFile],
    verifiers: Mapping[str, Verifier],
    out: Path,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
    tell: Callable[[str], None] = print,
) -> Scoring:
    """Scores every image by every verifier and writes `condition, candidate, path, digest` and a column for each.

    A score that `out` holds already, of an image of the same bytes and condition by a verifier of the same identity,
    is kept. Columns of other verifiers and rows of other images stay. The table is written twice a minute,
    so that a stopped command goes on.

    Args:
        images: what to score.
        verifiers: by the name of their column.
        out: a parquet file, there or not.
        batch_size: images of one size that are judged together.
        device: where the images lie, float32 in [0, 1].
        tell: takes a line for each image that cannot be read or judged; it has no score, the others do.

    Raises:
        ValueError: where a verifier judges none of the first batch or has the name of a column that is no score, and
            where `out` is something else.
    """
    done = Scoring()

    def fail(line: str) -> None:
        done.failures.append(line)
        tell(line)

    before, kept, identities = _kept(out, verifiers, tell)
    keys = {image.path: _key(image) for image in images if image.path.is_file()}
    table = Table(out, before, [(each, keys[each.path]) for each in images if each.path in keys], kept, identities)
    for image in (each for each in images if each.path not in keys):
        fail(f"{image.path} is not there")
    for name, verifier in verifiers.items():
        known = kept.setdefault(name, {})
        wanted = {key: image for image in images if (key := keys.get(image.path)) and key not in known}
        done.known += len(keys) - len(wanted)
        for batch in _batches(wanted, batch_size, fail):
            found = _judged(partial(_scores, verifier, device), batch, must=not done.computed, fail=fail)
            known |= found
            done.computed += len(found)
            if table.write_now_and_then():
                tell(f"{name}: {sum(key in known for key in wanted)} of {len(wanted)} images scored")
    table.write()
    done.others, done.lacking = len(table.others), table.lacking(verifiers)
    return done


def _kept(
    out: Path, verifiers: Mapping[str, Verifier], tell: Callable[[str], None]
) -> tuple[list[Line], Scores, Identities]:
    """The rows of `out`, its scores that stay, by column, and the identities of all columns, the new ones too."""
    for name, verifier in verifiers.items():
        if name in TAKEN:
            raise ValueError(f"--verifier {name}: the table has a column {name} that is no score; call it otherwise")
        refuse_latents(verifier, f"--verifier {name}: a file holds an image")
    identities = {name: digest_of(verifier) for name, verifier in verifiers.items()}
    lines, kept, before = read_scores(out)
    for name, identity in identities.items():
        if before.get(name, identity) != identity:
            tell(f"{name} is another one than in {out}: its scores there are dropped, all images are scored anew by it")
            del kept[name]
    return lines, kept, {**before, **identities}


def _batches(wanted: Mapping[Key, ImageFile], size: int, fail: Callable[[str], None]) -> Iterator[list[_Row]]:
    """Full batches as they come, by size of image, and what is left of each in the end."""
    waiting: dict[tuple[int, ...], list[_Row]] = {}
    for key, image in wanted.items():
        try:
            pixels = read_image(image.path)
        except (OSError, ValueError, SyntaxError) as error:  # Pillow raises these for what is damaged
            fail(f"{image.path} cannot be read: {' '.join(str(error).split())}")
            continue
        rows = waiting.setdefault(tuple(pixels.shape), [])
        rows.append((key, image, pixels))
        if len(rows) == size:
            yield waiting.pop(tuple(pixels.shape))
    yield from waiting.values()


def read_image(path: Path) -> Float[Tensor, "3 h w"]:
    """A picture as float32 in [0, 1], upright, its transparency dropped."""
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError(f"it has {picture.mode} pixels, and 8 bits a channel are needed")
        pixels = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels / 255).permute(2, 0, 1)


def _judged(
    judge: Callable[[Sequence[_Row]], list[float]], batch: Sequence[_Row], must: bool, fail: Callable[[str], None]
) -> dict[Key, float]:
    """The scores of a batch; where it fails, one by one, so that one image costs no other its score.

    If `must`, one of them has to succeed: else the verifier itself is wrong, which a ValueError says.
    """
    try:
        return dict(zip((key for key, _, _ in batch), judge(batch), strict=True))
    except ValueError as error:
        first = error
    found: dict[Key, float] = {}
    lines: list[str] = []
    for row in batch:
        try:
            (found[row[0]],) = judge([row])
        except ValueError as error:
            lines.append(f"{row[1].path} has no score: {' '.join(str(error).split())}")
    if must and not found:
        raise first
    for line in lines:
        fail(line)
    return found


@torch.no_grad()
def _scores(verifier: Verifier, device: torch.device | str, batch: Sequence[_Row]) -> list[float]:
    pixels = torch.stack([pixels for _, _, pixels in batch]).to(device)
    values = verifier(pixels, [image.condition for _, image, _ in batch])
    if not bool(values.isfinite().all()):
        raise ValueError("the verifier returned a score that is not a finite number")
    return [float(value) for value in values]


def _key(image: ImageFile) -> Key:
    return image.condition.key, hashlib.blake2b(image.path.read_bytes(), digest_size=8).hexdigest()
