"""Compiling a network by its repeated blocks, of which one is compiled and all others are served."""

from __future__ import annotations

from torch import nn

_BLOCKS = "transformer_blocks"  # how the names of diffusers' lists of them end, in transformers and UNets


def compile_blocks(network: nn.Module) -> None:
    """Has torch compile the transformer blocks of a network of diffusers, in place, for each shape that it meets.

    They hold nearly all of its time. A ValueError where it has none.
    """
    lists = [module for name, module in network.named_modules() if name.endswith(_BLOCKS)]
    blocks = [block for each in lists if isinstance(each, nn.ModuleList) for block in each]
    if not blocks:
        raise ValueError(f"model.compile=true: {type(network).__name__} has no {_BLOCKS} to compile")
    for block in blocks:
        block.compile(dynamic=False)
