"""Numpy arrays from a pickle, and nothing else: a downloaded file must not be able to run code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_ALLOWED = {
    (module, name)
    for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
    for name in ("_reconstruct", "scalar", "_frombuffer")
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, and only numpy arrays are read")
        return super().find_class(module, name)


def load_arrays(file: Path, entry: str) -> Mapping[str, np.ndarray]:
    """One entry (`fid`, `fd_dinov2`) of an EDM2 statistics file, with `count` where the file says it.

    Raises a ValueError where the entry is missing, and a pickle error where the file holds more than arrays.
    """
    with file.open("rb") as f:
        statistics = _ArraysOnly(f).load()
    entries = [key for key, value in statistics.items() if isinstance(value, dict)]
    if entry not in entries:
        raise ValueError(f"{file} has no entry '{entry}'; it has {', '.join(entries) or 'none'}")
    return {**statistics[entry], "count": np.asarray(statistics.get("num_images", 0))}
