"""Answers of a user's parts, checked where they enter: one line names the part, the condition, the candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from scaling.protocols import Condition, Prediction, Proposal

IMAGES_SOUND = "images_sound"  # a column of answers that is looked at and dropped
FAR = 0.5  # how far from [0, 1] a decoder's overshoot cannot be: images in [-1, 1] or of bytes are
Where = Callable[[int], str]  # of a row: its condition and candidate in words


def scores(verifier: str, answer: object, conditions: Sequence[Condition]) -> Tensor:
    """A verifier's scores as float32, one an image, on its device; a ValueError where they are no such thing."""
    count = len(conditions)
    if isinstance(answer, Tensor) and tuple(answer.shape) == (count,) and not (answer.is_complex() or answer.is_meta):
        return answer.float()
    expected = f"its scores must be a tensor of real numbers of shape [{count}], one an image"
    raise ValueError(f"verifier {verifier} gave {_kind(answer, 'shape ')} for {_batch(conditions)}; {expected}")


def features(extractor: str, answer: object, conditions: Sequence[Condition]) -> Mapping[str, Tensor]:
    """An extractor's outputs by name, a row an image, float32 or bytes; a ValueError where they are no such thing."""
    count, said = len(conditions), ""
    if not isinstance(answer, Mapping):
        said = _kind(answer, "shape ") if not isinstance(answer, Tensor) else "Tensor"
    for name, value in answer.items() if isinstance(answer, Mapping) else ():
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != count or value.is_complex():
            said = said or f"{name} {_kind(value, 'of shape ', 'as ')}"
    if said:
        expected = f"its outputs must be tensors of shape [{count}, d] by name"
        raise ValueError(f"extractor {extractor} gave {said} for {_batch(conditions)}; {expected}")
    assert isinstance(answer, Mapping)
    return {name: value if value.dtype == torch.uint8 else value.float() for name, value in answer.items()}


def metric_values(metric: str, answer: object, count: int, where: str) -> np.ndarray:
    """A metric's values of single samples, [count]; a ValueError where they are no such thing, NaN is one."""
    if isinstance(answer, Tensor) and tuple(answer.shape) == (count,) and not answer.is_complex():
        return answer.numpy()
    expected = f"its values must be a tensor of shape [{count}], one a sample"
    raise ValueError(f"metric {metric} gave {_kind(answer, 'shape ')} for {where}; {expected}")


def images(answer: object, count: int) -> Tensor:
    """Decoded images, [count, 3, h, w], not of bytes; a ValueError where they are no such thing."""
    if not isinstance(answer, Tensor) or answer.ndim != 4 or answer.shape[:2] != (count, 3):
        got = f"shape {list(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise ValueError(f"the model's decode gave {got}; its images must be a tensor of shape [{count}, 3, h, w]")
    if not answer.is_floating_point():
        raise ValueError(f"the model's decode gave {answer.dtype}; its images must be floats in [0, 1]")
    return answer


def prediction(answer: object, x: Tensor, t: Tensor) -> Prediction:
    """A denoiser's answer at a time a row; a ValueError where it is none, or of another shape than `x`."""
    if isinstance(answer, Prediction) and (t.ndim != 1 or answer.x0.shape == answer.eps.shape == x.shape):
        return answer
    got = type(answer).__name__
    if isinstance(answer, Prediction):
        got = f"x0 of shape {list(answer.x0.shape)} and eps of shape {list(answer.eps.shape)}"
    raise ValueError(f"the model gave {got}; it must be a Prediction of x0 and eps, both of shape {list(x.shape)}")


def solved(x: Tensor, shape: tuple[int, ...]) -> None:
    """A ValueError where a denoiser's predictions led to samples of another shape."""
    if tuple(x.shape) != shape:
        raise ValueError(f"the model's predictions lead to samples of shape {list(x.shape)}, not {list(shape)}")


def finite(part: str, values: np.ndarray, where: Where) -> None:
    """A ValueError that names the first row with a value that is not a finite number."""
    good = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        bad = values[row][~np.isfinite(values[row])].flat[0]
        raise ValueError(f"{part} {bad} for {where(row)}; it must be a finite number")


def answers(columns: dict[str, np.ndarray], score_columns: Mapping[str, str], where: Where) -> None:
    """A ValueError where an answer is not finite: of the model first, since a judge may hide or pass it on."""
    for name in ("x", "x0", "probe"):
        if name in columns:
            finite(f"the model gave a sample ({name}) with", columns[name], where)
    images = columns.pop(IMAGES_SOUND, None)
    if images is not None:
        finite("the model gave an image with", images, where)
        if images.any():
            row = int(np.argmax(images != 0))
            raise ValueError(f"the model gave an image with {images[row]:g} for {where(row)}; it must lie in [0, 1]")
    for name, column in score_columns.items():
        if column in columns:
            finite(f"verifier {name} gave the score", columns[column], where)
    if "gradient" in columns:
        finite("the gradient of the score has the entry", columns["gradient"], where)


def soundness(samples: Tensor, decoded: bool = True) -> Tensor:
    """0 for each sound sample, NaN for others, and for images a value far out of [0, 1]; [n] float32 on their device.

    Nothing waits for it before all answers are copied.
    """
    least, most = samples.detach().flatten(1).float().aminmax(dim=1)
    none = torch.zeros_like(most)
    far = torch.where(least < -FAR, least, torch.where(most > 1 + FAR, most, none)) if decoded else none
    return torch.where(least.isfinite() & most.isfinite(), far, torch.nan)


def proposal(search: str, proposed: object, shape: tuple[int, ...], candidates: int, where: str) -> Proposal:
    """What a search yielded, where it is well formed; `candidates` are those that the condition has so far."""
    fault = _fault(proposed, shape, candidates)
    if fault is None:
        assert isinstance(proposed, Proposal)
        return proposed
    raise ValueError(f"search {search}, {where}, candidate {candidates}: {fault}")


def times(search: str, proposed: Proposal, where: str) -> Tensor:
    """The times of a proposal on the CPU in float64; a ValueError where they do not fall within [0, 1]."""
    grid = proposed.times
    good = isinstance(grid, Tensor) and grid.ndim == 1 and len(grid) > 0 and grid.is_floating_point()
    if good:
        grid = grid.double().cpu()
        good = bool((grid.diff() < 0).all()) and bool(grid[0] <= 1) and bool(grid[-1] >= 0)
    if not good:
        text = f"{[round(t, 4) for t in grid.flatten().tolist()[:6]]}" if isinstance(grid, Tensor) else repr(grid)
        raise ValueError(
            f"search {search}, {where}: times must be a tensor that strictly falls within 1 to 0, not {text}"
        )
    return grid


def _kind(answer: object, before: str, otherwise: str = "") -> str:
    """What somebody's part gave instead of what it should."""
    if not isinstance(answer, Tensor):
        return f"{otherwise}{type(answer).__name__}"
    kind = "on the meta device" if answer.is_meta else str(answer.dtype).removeprefix("torch.")
    return f"{before}{list(answer.shape)} ({kind})"


def _batch(conditions: Sequence[Condition]) -> str:
    return f"{len(conditions)} images, the first of {conditions[0].words}"


def _fault(proposed: object, shape: tuple[int, ...], candidates: int) -> str | None:
    if not isinstance(proposed, Proposal):
        return f"it yielded {type(proposed).__name__}, not a Proposal"
    x, parents = proposed.x, proposed.parents
    if not isinstance(x, Tensor):
        return f"x is {type(x).__name__}, not a tensor"
    if x.ndim != len(shape) + 1 or tuple(x.shape[1:]) != shape or len(x) == 0:
        return f"x has the shape {list(x.shape)}, and must have [n, {', '.join(map(str, shape))}] with n at least 1"
    if x.dtype != torch.float32:
        return f"x is {x.dtype}, and must be torch.float32"
    if not x.isfinite().all():
        return "x is not finite"
    if parents is None:
        return None
    if not isinstance(parents, Tensor) or tuple(parents.shape) != (len(x),) or parents.is_floating_point():
        return f"parents must be {len(x)} whole numbers in a tensor, the ids of candidates"
    if not ((parents >= -1) & (parents < candidates)).all():
        return f"parents must be ids of earlier candidates, below {candidates}, not {parents.tolist()[:6]}"
    return None
