"""What a plan reads of a model, without its weights: from a local file where there is one, else from its known name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from scaling.models.dit import network_gflops
from scaling.protocols import Schedule

SIZES = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}  # blocks, width, heads
_NAME = re.compile(r"(SiT|DiT)-(S|B|L|XL)-(\d+)-(\d+)")


@dataclass(frozen=True)
class Outline:
    """The parts of a denoiser that need no weights; `options` are those that decide its answers."""

    architecture: Mapping[str, Any]
    schedule: Schedule
    guidance_scale: float
    options: Mapping[str, Any]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Channels, height and width."""
        size = self.architecture["sample_size"]
        return self.architecture["in_channels"], size, size

    @property
    def forwards_per_call(self) -> int:
        """2 where guidance is run, else 1."""
        return 1 if self.guidance_scale <= 1 else 2

    def gflops(self) -> float:
        """GFLOPs of one network forward of one row (2 per multiply-add)."""
        return network_gflops(self.architecture)

    def identity(self) -> dict[str, Any]:
        """What tells it from other outlines; no model's own identity, which has the hash of its weights."""
        return {"architecture": dict(self.architecture), **self.options}


def published(path: str) -> dict[str, Any]:
    """The arguments of `DiTTransformer2DModel` for a published SiT or DiT, by a name such as SiT-XL-2-256.

    A ValueError where the path has no such name.
    """
    found = _NAME.search(path)
    if found is None:
        raise ValueError(f"model.path={path} is neither there nor named like a published model, as SiT-XL-2-256 is")
    blocks, width, heads = SIZES[found[2]]
    return {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": blocks,
        "sample_size": int(found[4]) // 8,
        "patch_size": int(found[3]),
        "num_embeds_ada_norm": 1000,
        "norm_eps": 1e-6,
    }
