"""What was found out about a pipeline when it was first loaded, on disk: no later load asks its networks again."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scaling.files import replacing
from scaling.models.row_trees import plain, to_cpu


@dataclass(frozen=True)
class Facts:
    """What a first step showed, and the verdict of the check."""

    latents: Tensor  # that the pipeline's own call begins with, one row
    names: list[str]  # of the networks in its loop
    forwards_per_call: int
    gflops: float
    memory: list[Any]  # what the networks answered, and how that grows with rows
    rows: int  # of a prompt that may go together
    decoded: int | None  # rows that may be decoded together; None: as many as fit
    size: list[int]  # height and width of an image, in pixels


def facts_file(folder: Path, identity: Mapping[str, Any]) -> Path:
    """Where the facts of a pipeline lie, by all that decides its answers and by what computes them."""
    import diffusers
    import transformers

    by = {"diffusers": diffusers.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    text = json.dumps({**identity, **by}, sort_keys=True, default=str)
    return folder / "checks" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.pt"


def read_facts(path: Path, device: torch.device) -> Facts | None:
    """None where there are none, or none that can be read: they are found out again."""
    try:
        return Facts(**torch.load(path, weights_only=True, map_location=device))
    except (OSError, RuntimeError, EOFError, TypeError, pickle.UnpicklingError):
        return None


def write_facts(path: Path, facts: Facts) -> None:
    """Nothing is kept where an answer is of a type that a file should not hold."""
    if plain(facts.memory):
        with replacing(path) as part:
            torch.save(to_cpu(vars(facts)), part)
