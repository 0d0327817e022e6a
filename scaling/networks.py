"""Small networks and the weights files that ship with the package: safetensors in half precision, json in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def weights_folder() -> Path:
    """Where the bundled weights lie."""
    return Path(str(files("scaling"))) / "weights"


def save_weights(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Writes floats as float16 and `metadata` as json in the header, atomically."""
    from safetensors.torch import save_file

    halves = {k: (v.half() if v.is_floating_point() else v).contiguous().clone() for k, v in state.items()}
    temporary = path.with_suffix(".partial")
    save_file(halves, temporary, {"scaling": json.dumps(dict(metadata), sort_keys=True)})
    temporary.replace(path)


def read_metadata(path: Path) -> dict[str, Any]:
    """The json in a weights file's header."""
    return load_weights(path)[1]


def load_weights(name: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import safe_open

    with safe_open(name, "pt") as f:
        state = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
        metadata = json.loads((f.metadata() or {})["scaling"])
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, metadata
