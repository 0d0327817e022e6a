"""Short names of what a program holds: of bytes, of tensors and arrays, of a function's code."""

from __future__ import annotations

import hashlib
import sys
import types
from typing import Any


def digest(data: bytes) -> str:
    """16 hex digits of bytes."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def tensor_name(value: Any) -> Any:
    """The name of an array, a tensor or what describes them; None for anything else."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None:
        if isinstance(value, torch.dtype | torch.device | torch.Size):
            return list(value) if isinstance(value, torch.Size) else str(value)
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous()
            data = plain.flatten().view(torch.uint8) if plain.numel() else plain
            return f"{value.dtype}{list(value.shape)} {digest(data.numpy().tobytes())}"
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return f"{value.dtype}{list(value.shape)} {digest(numpy.ascontiguousarray(value).tobytes())}"
        if isinstance(value, numpy.dtype):
            return str(value)
    return None


def body_digest(code: types.CodeType) -> str:
    """A digest of what a function does, whatever file it is in."""
    constants = [body_digest(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    text = repr((code.co_code, constants, code.co_names, code.co_varnames))
    return digest(text.encode())


def _constant(value: Any) -> str:
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def global_names(code: types.CodeType) -> list[str]:
    """All that code names outside itself, within functions that it makes too."""
    inner = [name for c in code.co_consts if isinstance(c, types.CodeType) for name in global_names(c)]
    return sorted({*code.co_names, *inner})
