"""Encoded prompts on disk: what was encoded once is read ever after, by any run and any worker."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from scaling.loading.hub import cache_folder
from scaling.notices import notice

Row = dict[str, Tensor]  # one prompt as the network takes it, without the batch axis


class Encoder(NamedTuple):
    """A model's text encoders at work."""

    row: Callable[[str | None], Row]  # None is the prompt of no condition, which guidance leads away from
    cut: Callable[[str], int | None]  # how many tokens the model reads of a prompt that has more


class EncodedPrompts:
    """One file a prompt, in a folder of its own for each `identity` (text encoders, length, type)."""

    def __init__(self, folder: str | Path | None, identity: Mapping[str, Any]) -> None:
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        self.folder = (cache_folder() / "prompts" if folder is None else Path(folder)) / name

    def rows(self, prompts: Sequence[str | None], encoder: Callable[[], AbstractContextManager[Encoder]]) -> list[Row]:
        """The prompts' rows in order; the encoder is only entered where one is missing, and then once for all."""
        missing = [prompt for prompt in dict.fromkeys(prompts) if not self._file(prompt).is_file()]
        if missing:
            with encoder() as encode:
                for prompt in missing:
                    self._write(prompt, encode.row(prompt), None if prompt is None else encode.cut(prompt))
        return [self._read(prompt) for prompt in prompts]

    def _file(self, prompt: str | None) -> Path:
        name = "none" if prompt is None else hashlib.sha256(prompt.encode()).hexdigest()[:32]
        return self.folder / f"{name}.safetensors"

    def _read(self, prompt: str | None) -> Row:
        """A row; that its prompt was cut is noticed whenever it was encoded."""
        from safetensors import SafetensorError, safe_open

        path = self._file(prompt)
        try:
            with safe_open(path, "pt") as file:
                if cut := (file.metadata() or {}).get("cut"):
                    notice(f"{{n}} prompts were cut: the model reads {cut} tokens, and they have more", [prompt])
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        except (SafetensorError, OSError) as error:
            raise ValueError(f"cannot read the encoded prompt {path} ({error}); remove it to encode it again") from None

    def _write(self, prompt: str | None, row: Row, cut: int | None) -> None:
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".partial")
        os.close(handle)
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in row.items()}
        save_file(tensors, temporary, {} if cut is None else {"cut": str(cut)})
        Path(temporary).replace(self._file(prompt))
