"""Prompts, encoded by text encoders that are there for that alone, and kept on disk: read ever after by any run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from scaling.files import replacing
from scaling.flops import shapes_alone
from scaling.loading.devices import free
from scaling.loading.hub import cache_folder
from scaling.models.prompt_limits import cut_at
from scaling.models.repository import Repository
from scaling.notices import notice
from scaling.protocols import Condition

Row = dict[str, Tensor]  # one prompt as the network takes it, without the batch axis


@dataclass(frozen=True)
class Negative:
    """What guidance leads away from; None is the family's own."""

    prompt: str | None


Asked = str | Negative


class Encoder(NamedTuple):
    """A model's text encoders at work."""

    row: Callable[[Asked], Row]
    cut: Callable[[str], int | None]  # how many tokens the model reads of a prompt that has more


class EncodedPrompts:
    """One file a prompt, in a folder of its own for each `identity` (text encoders, length, type)."""

    def __init__(self, folder: str | Path | None, identity: Mapping[str, Any]) -> None:
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        self.folder = (cache_folder() / "prompts" if folder is None else Path(folder)) / name

    def rows(self, prompts: Sequence[Asked], encoder: Callable[[], AbstractContextManager[Encoder]]) -> list[Row]:
        """The prompts' rows in order; the encoder is only entered where one is missing, and then once for all."""
        missing = [prompt for prompt in dict.fromkeys(prompts) if not self._file(prompt).is_file()]
        if missing:
            with encoder() as encode:
                for prompt in missing:
                    self._write(prompt, encode.row(prompt), encode.cut(prompt) if isinstance(prompt, str) else None)
        return [self._read(prompt) for prompt in prompts]

    def _file(self, prompt: Asked) -> Path:
        text = prompt.prompt if isinstance(prompt, Negative) else prompt
        kind = "negative-" if isinstance(prompt, Negative) else ""
        name = "none" if text is None else kind + hashlib.sha256(text.encode()).hexdigest()[:32]
        return self.folder / f"{name}.safetensors"

    def _read(self, prompt: Asked) -> Row:
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

    def _write(self, prompt: Asked, row: Row, cut: int | None) -> None:
        from safetensors.torch import save_file

        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in row.items()}
        said = {} if cut is None else {"cut": str(cut)}
        with replacing(self._file(prompt)) as part:
            save_file(tensors, part, said)


def wanted(conditions: Sequence[Condition], guidance_scale: float, guided: bool) -> tuple[list[str], list[Negative]]:
    """Prompts, and what each is led away from where guidance is run, in order.

    Raises:
        ValueError: naming a condition that has no prompt, or that sets a guidance which would not be run.
    """
    prompts, negatives = [], []
    for condition in conditions:
        own: dict[str, Any] = dict(condition.settings)
        if condition.prompt is None:
            raise ValueError(f"condition {condition.class_label}: a text-to-image model needs a prompt")
        if own.get("guidance_scale", 2) <= 1:
            raise ValueError(
                f"condition {condition.prompt!r} sets guidance_scale={own['guidance_scale']:g}: where "
                f"model.guidance_scale={guidance_scale:g} is run, above 1 is needed"
            )
        prompts.append(condition.prompt)
        negatives.append(Negative(own.get("negative_prompt")))
    return prompts, negatives if guided else []


@contextmanager
def loaded(
    repository: Repository,
    dtype: torch.dtype,
    device: torch.device,
    row: Callable[[Any, Asked], Row],
    longest: int | None,
) -> Iterator[Encoder]:
    """A repository's text encoders, on the device while they are needed.

    `row` encodes by diffusers' pipeline of these parts alone; `longest`: see `cut_at`.
    """
    pipe = repository.pipeline(repository.text_parts, dtype).to(device)
    with torch.inference_mode():
        yield Encoder(lambda asked: row(pipe, asked), lambda prompt: cut_at(pipe, prompt, longest))
    del pipe
    free(device)


def encode_gflops(repository: Repository, row: Callable[[Any, Asked], Row]) -> float:
    """GFLOPs of the text encoders for one prompt, counted without their weights."""
    from torch.utils.flop_counter import FlopCounterMode

    with shapes_alone(), FlopCounterMode(display=False) as counter:
        row(repository.hollow_pipeline(repository.text_parts), "")
    return counter.get_total_flops() / 1e9
