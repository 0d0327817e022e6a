"""Weights as people have them: what is missing, of another width or not a number is an error that names the file."""

from __future__ import annotations

import hashlib
import pickle
import re
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path, PosixPath
from typing import Any

import torch
from torch import Tensor, nn

CONTAINERS = ("ema", "model_ema", "state_dict", "model")  # where training scripts keep the weights, the best first
WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before each name


def read_state(file: Path) -> dict[str, Tensor]:
    """Tensors by name of a .safetensors, .pt, .pth, .ckpt or .bin file, zipped or of the older format.

    They are taken out of an `ema`, `state_dict` or `model` entry, and their names out of `module.` and `_orig_mod.`.
    Nothing but tensors, numbers and words is unpickled, so that a downloaded file cannot run code.

    Raises:
        ValueError: naming the file, and what it is where it holds no weights.
    """
    if file.suffix == ".safetensors":
        return dict(_safetensors(file))
    state = _unpickled(file)
    while isinstance(state, Mapping) and (
        inner := next((state[name] for name in CONTAINERS if isinstance(state.get(name), Mapping)), None)
    ):
        state = inner
    if not isinstance(state, Mapping):
        raise ValueError(f"{file} holds a {type(state).__name__}: tensors by name are needed, as of state_dict()")
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{file} holds no tensors; it has {', '.join(map(str, list(state)[:5])) or 'nothing'}")
    for _ in WRAPPERS:
        for wrapper in WRAPPERS:
            if all(name.startswith(wrapper) for name in tensors):
                tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return tensors


def read_entry(file: Path, name: str) -> Any:
    """What a checkpoint says of itself beside its weights, as the `args` of its training; None where it does not."""
    state = None if file.suffix == ".safetensors" else _unpickled(file)
    return state.get(name) if isinstance(state, Mapping) else None


def refuse_not_finite(state: Mapping[str, Tensor], file: Path) -> None:
    """A ValueError names the first tensor that holds a value which is no number."""
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{file}: {name} holds values that are not finite")


def _safetensors(file: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _refuse_texts(file)
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"cannot read the weights in {file} ({str(error).splitlines()[0][:200]})") from None


def _unpickled(file: Path) -> Any:
    head = _refuse_texts(file)
    known: list[Any] = [Namespace, PosixPath, OrderedDict]  # what training scripts keep beside the weights
    try:
        with torch.serialization.safe_globals(known):
            return torch.load(file, map_location="cpu", weights_only=True, mmap=head.startswith(b"PK"))
    except pickle.UnpicklingError as error:
        if not head.startswith((b"PK", b"\x80")):  # neither torch's archive nor a pickle
            raise ValueError(f"cannot read the weights in {file}: it is no checkpoint of torch") from None
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"a {named[1]}" if named else "objects"
        raise ValueError(
            f"{file} holds {what} beside its tensors, which could run code and is not loaded: save state_dict() alone"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(f"cannot read the weights in {file}: it is cut or damaged ({said})") from None


def _refuse_texts(file: Path) -> bytes:
    """The first bytes of a file; a ValueError says where it is empty, a web page, or a pointer to the file wanted."""
    try:
        with file.open("rb") as opened:
            head = opened.read(64)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    begin = head.lstrip().lower()
    if not head:
        raise ValueError(f"{file} is empty: download it again")
    if begin.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(f"{file} is a web page, not weights: download the file itself")
    if begin.startswith(b"version https://git-lfs"):
        raise ValueError(f"{file} is a pointer of Git LFS, not weights: git lfs pull")
    return head


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
    refuse_not_finite(network.state_dict(), file)


def refuse_missing(missing: Iterable[str], source: Path) -> None:
    """A ValueError that names a weight that is not there: diffusers and transformers go on with random ones."""
    if names := sorted(missing):
        raise ValueError(f"{source} lacks {names[0]} ({len(names)} weights are missing)")


def load_transformers(
    kind: Any, source: Path, dtype: torch.dtype = torch.float32, *, config: Any = None, state: Any = None
) -> Any:
    """A frozen model of transformers, every weight of which was there.

    Args:
        kind: its class.
        source: the local folder, or the file that the weights in `state` came from.
        dtype: of the weights.
        config: with `state`, what to build.
        state: weights by their names of old or of now; None reads those in the folder.

    Raises:
        ValueError: naming the source, where its weights cannot be read, lack something, do not fit or are no numbers.
    """
    place: dict[str, Any] = {"pretrained_model_name_or_path": source}
    if state is not None:
        place = {"pretrained_model_name_or_path": None, "config": config, "state_dict": state}
    options = {"local_files_only": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        network, info = kind.from_pretrained(**place, dtype=dtype, **options)
    except (RuntimeError, OSError) as error:
        raise ValueError(f"the weights in {source} cannot be read ({' '.join(str(error).split())[:300]})") from None
    refuse_missing(info["missing_keys"], source)
    for name, found, needed in info["mismatched_keys"]:
        raise ValueError(f"{source}: {name} is {tuple(found)}, where {tuple(needed)} is needed")
    check_finite(network, source)
    return network.eval().requires_grad_(False)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, in order of their names."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
