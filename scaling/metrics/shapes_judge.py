"""What metrics read of images of shapes: the exact judge's answers, and CLIP's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.encoders import OpenClip
from scaling.protocols import Condition
from scaling.shapes import judge
from scaling.shapes.grammar import CATEGORIES, parse
from scaling.shapes.preference import preference


class ShapesJudge:
    """Gives, [n,1] each: `correct` (1 where all that the prompt says is so, else 0), `readable`, the `preference`
    of what was read (NaN where nothing was), and `correct` again by category, NaN for prompts of another one.

    Reads pixels and prompt alone; a ValueError names a prompt that is not of the grammar.
    """

    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """What the judge reads in images in [0, 1] and whether it is what the prompt says, [n, 1] each."""
        prompts = [parse(condition.prompt or "") for condition in conditions]
        scenes = [judge.read(image) for image in images.float().cpu().numpy()]
        correct = _column([judge.satisfies(scene, prompt) for scene, prompt in zip(scenes, prompts, strict=True)])
        nan = torch.full_like(correct, float("nan"))
        by_category = {
            name: torch.where(_column([prompt.category == name for prompt in prompts]) == 1, correct, nan)
            for name in CATEGORIES
        }
        return {
            "correct": correct,
            "readable": _column([scene is not None for scene in scenes]),
            "preference": _column([float("nan") if scene is None else preference(scene) for scene in scenes]),
            **by_category,
        }

    def identity(self) -> dict[str, Any]:
        """Class and the judge's thresholds."""
        return {"class": "ShapesJudge", **judge.THRESHOLDS}


class ShapesFeatures:
    """Gives `features` [n,48], the normalized image embedding of the shapes' CLIP, for FID, precision and recall."""

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, *, path: str = "shapes_clip", device: str = "auto") -> None:
        self.encoder = OpenClip(path=path, device=device)

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """`features` [n, d] of unit length, of images in [0, 1]."""
        return {"features": F.normalize(self.encoder(images), dim=1)}

    def identity(self) -> dict[str, Any]:
        """Class and the weights' hash."""
        return {"class": "ShapesFeatures", **self.encoder.identity()}


def _column(values: Sequence[float]) -> Float[Tensor, "n 1"]:
    return torch.tensor([float(value) for value in values])[:, None]
