"""The weights files that ship with the package: safetensors in half precision, all that is needed in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from scaling.files import replacing


class Weights(NamedTuple):
    """What a weights file holds: tensors (floats as float32), its header's json, and a hash of tensors and header."""

    state: dict[str, Tensor]
    metadata: dict[str, Any]
    sha256: str


def weights_folder() -> Path:
    """Where the bundled weights lie."""
    return Path(str(files("scaling"))) / "weights"


def weights_path(name: str | Path) -> Path:
    """The file of a bundled name or of a local path; a ValueError lists what is bundled."""
    bundled = weights_folder() / f"{name}.safetensors"
    if bundled.is_file():
        return bundled
    if Path(name).is_file():
        return Path(name)
    names = sorted(p.stem for p in weights_folder().glob("*.safetensors"))
    raise ValueError(f"no weights at {name}: give a safetensors file or a bundled name ({', '.join(names)})")


def save_weights(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Writes float32 as float16 and `metadata` as json in the header, atomically."""
    from safetensors.torch import save_file

    halves = {k: (v.half() if v.dtype == torch.float32 else v).contiguous().clone() for k, v in state.items()}
    with replacing(path) as part:
        save_file(halves, part, {"scaling": json.dumps(dict(metadata), sort_keys=True)})
        part.chmod(0o644)  # safetensors writes for the owner alone; whoever installs the package may be another


def load_weights(name: str | Path, kind: str | None = None) -> Weights:
    """Reads a bundled name or a local file; a ValueError names a file that is missing, truncated or of another kind.

    `kind` is the class of network that the header must name; None: any.
    """
    from safetensors import SafetensorError, safe_open

    path = weights_path(name)
    try:
        with safe_open(path, "pt") as opened:
            metadata = json.loads((opened.metadata() or {})["scaling"])
            stored = {k: opened.get_tensor(k) for k in sorted(opened.keys())}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"cannot read {path}: a whole safetensors file is needed ({error})") from None
    except (KeyError, json.JSONDecodeError):
        raise ValueError(
            f"{path} lacks the json that scaling.loading.weights_file.save_weights puts in the header"
        ) from None
    if kind not in (None, metadata.get("class")):
        raise ValueError(f"{path} holds a {metadata.get('class')}: a {kind} is needed")
    digest = hashlib.sha256()
    kept = {k: v for k, v in metadata.items() if k not in ("finished", "seconds", "steps")}  # how it came to be
    digest.update(json.dumps(kept, sort_keys=True).encode())
    for key, value in stored.items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(torch.uint8).numpy().tobytes() if value.ndim else str(value).encode())
    state = {k: v.float() if v.dtype == torch.float16 else v for k, v in stored.items()}
    return Weights(state, metadata, digest.hexdigest())
