"""Where networks compute, and in which floating-point type."""

from __future__ import annotations

import gc

import torch
from torch import nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def dtype_of(name: str, option: str = "dtype") -> torch.dtype:
    """torch's type of a name; a ValueError names the option and what it may be."""
    if name not in DTYPES:
        raise ValueError(f"{option}={name}: one of {', '.join(DTYPES)} is needed")
    return DTYPES[name]


def pick_device(device: str | torch.device) -> torch.device:
    """`auto` is the GPU where there is one and the CPU elsewhere; anything else is torch's own name."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def device_name(device: torch.device) -> str:
    """What timings of a device go by: the GPU's name, or `cpu`."""
    return torch.cuda.get_device_name() if device.type == "cuda" else device.type


def move(network: nn.Module, device: torch.device, dtype: torch.dtype | None = None) -> None:
    """Moves a network in place, past diffusers' own `to`, which warns of nothing here."""
    nn.Module.to(network, device, dtype)


def free(device: torch.device) -> None:
    """Gives back the memory of what nothing holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
