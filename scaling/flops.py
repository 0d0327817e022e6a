"""FLOPs of networks, counted by torch on copies that hold shapes instead of numbers: nothing is computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


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


def hollow(fake: Any, *parts: Any) -> list[Any]:
    """Copies whose tensors hold no numbers, for use within `shapes_alone`."""
    from torch._subclasses.fake_tensor import FakeCopyMode

    with FakeCopyMode(fake):
        return [copy.deepcopy(part) for part in parts]
