"""Fashion-MNIST from its four IDX files, and the rule by which networks share it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path("/usr/share/datasets/fashion-mnist")  # Debian: apt install dataset-fashion-mnist (MIT)
NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SHARES = {"classifier": 0, "evaluator": 1, "encoder": 2}  # index modulo 3: disjoint thirds of the training images


def _idx(path: Path) -> np.ndarray:
    """The uint8 array of one gzipped IDX file; a ValueError names a file that is missing or is not one."""
    try:
        with gzip.open(path) as stream:
            data = stream.read()
    except (OSError, EOFError) as error:
        raise ValueError(
            f"cannot read {path} ({error}); install Debian's dataset-fashion-mnist or give --data"
        ) from None
    if data[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not a gzipped IDX file of bytes")
    rank = data[3]
    shape = np.frombuffer(data, ">i4", rank, 4)
    return np.frombuffer(data, np.uint8, -1, 4 + 4 * rank).reshape(shape)


def load(split: str, folder: Path = DATA) -> tuple[Tensor, Tensor]:
    """All images [n,1,28,28] in [0,1] and labels [n] of `train` (60,000) or `test` (10,000), in the file's order."""
    prefix = {"train": "train", "test": "t10k"}[split]
    images = torch.from_numpy(_idx(folder / f"{prefix}-images-idx3-ubyte.gz").copy())[:, None].float() / 255
    labels = torch.from_numpy(_idx(folder / f"{prefix}-labels-idx1-ubyte.gz").copy()).long()
    return images, labels


def share(name: str, folder: Path = DATA) -> tuple[Tensor, Tensor]:
    """The third of the training images (20,000) that the named network may learn from."""
    images, labels = load("train", folder)
    return images[SHARES[name] :: 3], labels[SHARES[name] :: 3]
