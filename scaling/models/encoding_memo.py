"""What a pipeline makes of its prompts, kept on disk: encoded once, whoever asks, for however many rows."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scaling.loading.devices import move
from scaling.loading.hub import cache_folder
from scaling.models.row_trees import alike, grown, growth, to_cpu, to_device

METHODS = ("encode_prompt", "generate_prior_tokens", "rewire_prompt")  # of pipelines, where they have them


class EncodingMemo:
    """Takes the place of a pipeline's encoding methods, and keeps the text encoders off the device between them."""

    def __init__(self, pipe: Any, device: torch.device, folder: str | Path | None, identity: Mapping[str, Any]) -> None:
        """Files lie in a folder of their own for each `identity` (None: under the cache)."""
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        self.folder = (cache_folder() / "prompts" if folder is None else Path(folder)) / name
        self.device, self.encoded = device, 0
        self._encoders = [part for name, part in pipe.components.items() if _encodes(name, part)]
        self._staying = False
        self._growths: dict[str, Any] = {}
        for method in METHODS:
            if hasattr(type(pipe), method):
                setattr(pipe, method, self._kept(method, getattr(pipe, method)))

    @contextmanager
    def encoders(self) -> Iterator[None]:
        """The text encoders are on the device, whether or not they are needed."""
        self._bring(self.device)
        self._staying = True
        try:
            yield
        finally:
            self._staying = False
            self._bring(torch.device("cpu"))

    def _bring(self, device: torch.device) -> None:
        for encoder in self._encoders:
            move(encoder, device)

    def _kept(self, method: str, encode: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(encode)

        def kept(*args: Any, **options: Any) -> Any:
            bound = signature.bind(*args, **options).arguments
            alone, rows = _one_row(bound)
            if rows > 1:
                how = self._growth(method, encode, alone, bound)
                if how is not None:
                    return to_device(grown(self._read(method, encode, alone), how, rows), self.device)
            return to_device(self._read(method, encode, bound), self.device)

        return kept

    def _growth(self, method: str, encode: Callable[..., Any], alone: Mapping[str, Any], bound: Any) -> Any:
        """How the encoded prompt grows with its rows, found once by encoding one twice beside itself."""
        key = f"{method}/{sorted(name for name, value in bound.items() if value is not None)}"
        if key not in self._growths:
            one, two = self._read(method, encode, alone), self._encode(encode, _rows(alone, 2))
            how = growth(one, two)
            self._growths[key] = how if how is not None and alike(grown(one, how, 2), two, 0.02) else None
        return self._growths[key]

    def _read(self, method: str, encode: Callable[..., Any], bound: Mapping[str, Any]) -> Any:
        key = _key(method, bound)
        if key is None:
            return self._encode(encode, bound)
        path = self.folder / f"{key}.pt"
        if not path.is_file():
            self._write(path, self._encode(encode, bound))
        try:
            return torch.load(path, weights_only=True)
        except (OSError, RuntimeError, EOFError) as error:
            raise ValueError(f"cannot read the encoded prompt {path} ({error}); remove it to encode it again") from None

    def _encode(self, encode: Callable[..., Any], bound: Mapping[str, Any]) -> Any:
        self.encoded += 1
        if self._staying:
            return to_cpu(encode(**bound))
        with self.encoders(), torch.no_grad():
            return to_cpu(encode(**bound))

    def _write(self, path: Path, tree: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".partial")
        os.close(handle)
        torch.save(tree, temporary)
        Path(temporary).replace(path)


def _encodes(name: str, part: Any) -> bool:
    return isinstance(part, nn.Module) and name.startswith(("text_encoder", "vision_language_encoder"))


def _one_row(bound: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The arguments for one row where all rows are of the same prompts, and how many there are."""
    lists = [value for value in bound.values() if _prompts(value)]
    rows = max((len(value) for value in lists), default=1)
    if any(len(value) != rows or len(set(value)) > 1 for value in lists):
        return dict(bound), 1
    return {name: value[:1] if _prompts(value) else value for name, value in bound.items()}, rows


def _rows(alone: Mapping[str, Any], rows: int) -> dict[str, Any]:
    return {name: value * rows if _prompts(value) else value for name, value in alone.items()}


def _prompts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, str) for entry in value)


def _key(method: str, bound: Mapping[str, Any]) -> str | None:
    """The arguments as a file's name; None where one of them is data."""
    plain = {name: value for name, value in bound.items() if not isinstance(value, torch.device | torch.Generator)}
    plain |= {name: str(value) for name, value in plain.items() if isinstance(value, torch.dtype)}
    if any(isinstance(value, Tensor) for value in plain.values()):
        return None
    try:
        text = json.dumps([method, plain], sort_keys=True)
    except TypeError:
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:32]
