"""Samples for anyone else's evaluator: the .npz layout of ADM's (Dhariwal & Nichol 2105.05233)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy.lib import format as npy
from torch import Tensor

from scaling.files import replacing
from scaling.pixels import eight_bits


def export_adm(
    path: Path, batches: Iterable[tuple[Float[Tensor, "_ 3 h w"], Int[Tensor, " _"]]], count: int, size: tuple[int, int]
) -> None:
    """Writes `count` images in [0, 1] of `size` (height, width) as arr_0, uint8 NHWC, and their labels as arr_1, int64.

    Streams: a batch is in memory at a time (50,000 at 256 px are 9.8 GB). Written atomically, uncompressed. Raises a
    ValueError where the batches hold another number or size of images.
    """
    labels: list[np.ndarray] = []
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as file:
            header = {"descr": npy.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False}
            npy.write_array_header_1_0(file, {**header, "shape": (count, *size, 3)})
            for images, batch_labels in batches:
                if tuple(images.shape[1:]) != (3, *size):
                    raise ValueError(f"an export of {size} images was given one of {tuple(images.shape[2:])}")
                pixels = eight_bits(images).permute(0, 2, 3, 1)
                file.write(pixels.cpu().contiguous().numpy().tobytes())
                labels.append(batch_labels.cpu().numpy().astype(np.int64))
        written = sum(map(len, labels))
        if written != count:
            raise ValueError(f"an export of {count} images was given {written}")
        with archive.open("arr_1.npy", "w") as file:
            npy.write_array(file, np.concatenate(labels))
