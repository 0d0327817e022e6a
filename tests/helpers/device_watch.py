"""Watches what makes the host wait for a device, on a machine that has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS = {
    Tensor.item, Tensor.tolist, Tensor.cpu, Tensor.numpy, Tensor.__bool__, Tensor.__float__, Tensor.__int__,
    Tensor.__index__, Tensor.nonzero, torch.nonzero, torch.equal, torch.allclose,
}  # fmt: skip


class Reads(TorchFunctionMode):
    """Counts the calls that read a tensor's values on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in READS
        return func(*args, **(kwargs or {}))


class Copies(TorchDispatchMode):
    """Counts tensors that go from the host to the meta device, which stands for a GPU: no value can be read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.count += "cpu" in devices((args, kwargs)) and "meta" in devices(out)
        return out


class Shapes(TorchDispatchMode):
    """Notes the shapes that the operations of networks were called with."""

    WORK = ("linear", "matmul", "conv2d", "layer_norm", "group_norm", "scaled_dot_product_attention")  # in inference

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[str, tuple[torch.Size, ...]]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.WORK:
            self.seen[name, tuple(each.shape for each in tree_leaves(args) if isinstance(each, Tensor))] += 1
        return func(*args, **(kwargs or {}))


def devices(tree: Any) -> set[str]:
    return {each.device.type for each in tree_leaves(tree) if isinstance(each, Tensor)}
