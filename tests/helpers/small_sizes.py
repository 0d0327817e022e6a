"""Pipelines that make images of a megapixel at least, whatever they are asked for: here they make small ones."""

from __future__ import annotations

import diffusers
import pytest
from diffusers.pipelines.joyimage import image_processor


def allow_small_images(patch: pytest.MonkeyPatch) -> None:
    """HiDream scales up to an area, Kandinsky 5 and JoyImage go to the nearest size of a list."""
    _fixed(patch, diffusers.HiDreamImagePipeline, "default_sample_size", 8)
    _fixed(patch, diffusers.Kandinsky5T2IPipeline, "resolutions", [(64, 64)])
    patch.setattr(image_processor, "find_best_bucket", lambda height, width, base: (height, width))


def _fixed(patch: pytest.MonkeyPatch, kind: type, name: str, value: object) -> None:
    """An attribute that the constructor sets in vain."""
    patch.setattr(kind, name, property(lambda self: value, lambda self, other: None), raising=False)
