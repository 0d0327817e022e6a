"""FLOPs of networks, counted by torch on copies that hold shapes instead of numbers: nothing is computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def counted(call: Callable[..., Any], *parts: Any) -> float:
    """GFLOPs of `call(*parts)`, 2 per multiply-add; the parts themselves are neither run nor changed.

    Where shapes alone do not lead through it (images that go through another library) it is called in earnest, once.
    """
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with shapes_alone() as fake:
            copies = hollow(fake, *parts)
            with FlopCounterMode(display=False) as counter:
                call(*copies)
    except Exception:  # whatever the code of others says to a tensor without content
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call(*parts)
    return counter.get_total_flops() / 1e9


@contextmanager
def shapes_alone() -> Iterator[Any]:
    """Within it tensors that are made hold no numbers, and nothing is computed."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.nn.attention import SDPBackend, sdpa_kernel

    # fused attention on the CPU is a kernel that torch's counter does not know
    with sdpa_kernel(SDPBackend.MATH), FakeTensorMode(allow_non_fake_inputs=True) as fake, torch.no_grad():
        yield fake


def hollow_network(fake: Any, network: nn.Module, device: torch.device) -> nn.Module:
    """A copy of a network without numbers, on a device: also of one whose weights are nowhere (the meta device)."""
    (made,) = hollow(fake, network)
    vars(made).pop("forward", None)  # of whoever listens to the network itself
    for module in made.modules():
        for held in (module._parameters, module._buffers):
            for name, value in held.items():
                if value is not None and value.is_meta:
                    empty = torch.empty(value.shape, dtype=value.dtype, device=device)
                    held[name] = nn.Parameter(empty, False) if isinstance(value, nn.Parameter) else empty
    return made


def hollow(fake: Any, *parts: Any) -> list[Any]:
    """Copies whose tensors hold no numbers, for use within `shapes_alone`."""
    from torch._subclasses.fake_tensor import FakeCopyMode

    with FakeCopyMode(fake):
        return [copy.deepcopy(part) for part in parts]
