"""Reference statistics: what a set of samples is compared with, read and checked before anything expensive starts.

Layouts, told apart by their names (.npz or .safetensors):
  ours    mean [d] float64, covariance [d, d] float64 (ddof 1), count (int), features [m, d] float32/16 (optional)
  ADM     mu [d], sigma [d, d] (Dhariwal & Nichol 2105.05233; mu_s and sigma_s, for sFID, are ignored)
  EDM     the same two names in an .npz; EDM2 nests them in a .pkl as `fid` and `fd_dinov2` (Karras et al. 2312.02696)
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scaling.files import replacing, user_path
from scaling.loading.weights_file import weights_folder


@dataclass(frozen=True)
class Reference:
    """Mean and covariance (ddof 1) of the features of real images, and a subset of the rows where it was kept."""

    execution_only: ClassVar[frozenset[str]] = frozenset({"source"})  # where it lies decides nothing
    mean: Float[Tensor, " d"]
    covariance: Float[Tensor, "d d"]
    count: int | None = None  # images behind mean and covariance; None: the file does not say
    features: Float[Tensor, "m d"] | None = None
    source: str = "memory"

    @property
    def width(self) -> int:
        """The number of features."""
        return len(self.mean)

    @cached_property
    def factor(self) -> Float[Tensor, "d d"]:
        """F with F F^T = covariance: F^T C F has the eigenvalues of covariance @ C and is symmetric."""
        eigenvalues, vectors = torch.linalg.eigh(self.covariance)
        return vectors * eigenvalues.clamp(min=0).sqrt()

    @cached_property
    def variance(self) -> float:
        """The trace of the covariance."""
        return float(self.covariance.trace())

    def check(self, width: int, feature: str) -> None:
        """Raises a ValueError unless features of this width can be compared with the reference."""
        if width != self.width:
            raise ValueError(f"{self.source} holds statistics of {self.width} features, but {feature} has {width}")

    def rows(self) -> Float[Tensor, "m d"]:
        """The kept feature rows, or a ValueError that says how to get them."""
        if self.features is None:
            raise ValueError(
                f"{self.source} holds no feature rows, which KID, precision and recall need: "
                "make them from the images with scripts/reference_statistics.py"
            )
        return self.features


def load_reference(path: str | Path, width: int | None = None) -> Reference:
    """Reads reference statistics from a path or the name of a bundled file; `file.pkl#fd_dinov2` picks an EDM2 entry.

    `width`, where given, is the number of features it must have. Raises a one-line ValueError where the file is
    missing, truncated, of another layout or of another width. A file is read once a process.
    """
    name, _, entry = str(path).partition("#")
    file = _find(name)
    reference = _read(file, entry or "fid", file.stat().st_mtime_ns)
    if width is not None:
        reference.check(width, "the metric's `width`")
    return reference


def save_reference(path: Path, reference: Reference) -> None:
    """Writes our layout as .npz, atomically; feature rows in half precision."""
    arrays: dict[str, Any] = {
        "mean": reference.mean.double().numpy(),
        "covariance": reference.covariance.double().numpy(),
        "count": np.int64(reference.count or 0),
    }
    if reference.features is not None:
        arrays["features"] = reference.features.half().numpy()
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def reference_from_batches(batches: Iterable[Float[Tensor, "_ d"]], keep: int = 0, seed: int = 0) -> Reference:
    """Streams feature batches into statistics, keeping `keep` rows at random (a reservoir; all where fewer come).

    Memory is d^2 + keep d, whatever the number of images. Raises a ValueError with fewer than two rows.
    """
    rng, count = np.random.default_rng(seed), 0
    kept: list[Tensor] = []
    shift = total = scatter = torch.zeros(0)
    for batch in batches:
        rows = batch.double().cpu()
        if count == 0:  # a shift near the mean keeps the covariance exact where the mean is large
            shift = rows.mean(0)
            total, scatter = torch.zeros_like(shift), torch.zeros(len(shift), len(shift), dtype=torch.float64)
        for seen, row in enumerate(batch.cpu() if keep else [], start=count + 1):
            if len(kept) < keep:
                kept.append(row.clone())
            elif (place := int(rng.integers(seen))) < keep:
                kept[place] = row.clone()
        rows = rows - shift
        total, scatter, count = total + rows.sum(0), scatter + rows.T @ rows, count + len(rows)
    if count < 2:
        raise ValueError(f"statistics need at least 2 images, not {count}")
    mean = total / count
    covariance = (scatter - count * torch.outer(mean, mean)) / (count - 1)
    return Reference(mean + shift, covariance, count, torch.stack(kept) if kept else None)


def _find(name: str) -> Path:
    for file in (user_path(name), weights_folder() / name, weights_folder() / f"{name}.npz"):
        if file.is_file():
            return file
    bundled = ", ".join(sorted(p.name for p in weights_folder().glob("*reference*"))) or "none"
    raise ValueError(f"no reference statistics at {name} (bundled: {bundled})")


@lru_cache(maxsize=4)
def _read(file: Path, entry: str, modified: int) -> Reference:
    try:
        arrays = _arrays(file, entry)
    except ValueError:
        raise
    except Exception as error:  # zipfile, safetensors, pickle and numpy each raise their own
        raise ValueError(f"{file} cannot be read ({type(error).__name__}: {error}); is it truncated?") from error
    return _reference(arrays, str(file))


def _arrays(file: Path, entry: str) -> Mapping[str, np.ndarray]:
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as opened:
            wanted = ("mean", "covariance", "count", "features", "mu", "sigma")
            return {key: opened[key] for key in wanted if key in opened.files}
    if file.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(file)
    if file.suffix == ".pkl":
        return load_arrays(file, entry)
    raise ValueError(f"{file}: reference statistics are .npz, .safetensors or .pkl (EDM2), not '{file.suffix}'")


def _reference(arrays: Mapping[str, np.ndarray], source: str) -> Reference:
    names = ("mean", "covariance") if "mean" in arrays else ("mu", "sigma")
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"{source} lacks {' and '.join(missing)}; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    mean, covariance = (torch.from_numpy(np.array(arrays[name], dtype=np.float64)) for name in names)
    features = torch.from_numpy(np.asarray(arrays["features"])).float() if "features" in arrays else None
    d = mean.numel()
    if mean.shape != (d,) or covariance.shape != (d, d) or (features is not None and features.shape[1:] != (d,)):
        shapes = [tuple(mean.shape), tuple(covariance.shape)] + ([] if features is None else [tuple(features.shape)])
        raise ValueError(f"{source}: shapes {', '.join(map(str, shapes))} do not belong together")
    if not (mean.isfinite().all() and covariance.isfinite().all()):
        raise ValueError(f"{source} holds values that are not finite")
    if not torch.allclose(covariance, covariance.T, rtol=1e-4, atol=1e-6 * float(covariance.abs().max())):
        raise ValueError(f"{source}: the covariance is not symmetric")
    count = int(np.asarray(arrays["count"]).reshape(-1)[0]) if "count" in arrays else 0
    return Reference(mean, (covariance + covariance.T) / 2, count or None, features, source)


_ALLOWED = {
    (module, name)
    for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
    for name in ("_reconstruct", "scalar", "_frombuffer")
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _ArraysOnly(pickle.Unpickler):
    """Numpy arrays from a pickle, and nothing else: a downloaded file must not be able to run code."""

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
