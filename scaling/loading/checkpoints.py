"""Weights of judges: whatever is missing, of another width or not a number is an error that names the file."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def read_state(file: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors, .pt, .pth, .ckpt or .bin file, taken out of a `state_dict` or `model` entry."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
        raise ValueError(f"cannot read the weights in {file} ({str(error).splitlines()[0][:200]})") from None
    for entry in ("state_dict", "model"):
        state = state.get(entry, state)
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def fit(network: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Loads what the network has a place for, in its own type; all of the network must be filled."""
    wanted = network.state_dict()
    if missing := [name for name in wanted if name not in state]:
        raise ValueError(f"{file} lacks {missing[0]} ({len(missing)} of {len(wanted)} weights are missing)")
    for name, value in wanted.items():
        if value.shape != state[name].shape:
            raise ValueError(f"{file}: {name} is {tuple(state[name].shape)}, where {tuple(value.shape)} is needed")
    network.load_state_dict({name: state[name] for name in wanted})
    check_finite(network, file)


def check_finite(network: nn.Module, file: Path) -> None:
    """A ValueError where a weight is not a number."""
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{file}: {name} holds values that are not finite")


def load_transformers(kind: Any, folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """A frozen model of transformers from a local folder, every weight of which was there."""
    options = {"local_files_only": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        network, info = kind.from_pretrained(folder, dtype=dtype, **options)
    except (RuntimeError, OSError) as error:
        raise ValueError(f"the weights in {folder} cannot be read ({' '.join(str(error).split())[:300]})") from None
    if missing := sorted(info["missing_keys"]):
        raise ValueError(f"{folder} lacks {missing[0]} ({len(missing)} weights are missing)")
    for name, found, needed in info["mismatched_keys"]:
        raise ValueError(f"{folder}: {name} is {tuple(found)}, where {tuple(needed)} is needed")
    check_finite(network, folder)
    return network.eval().requires_grad_(False)
