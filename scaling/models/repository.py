"""A repository in diffusers' folder format, in parts that are fetched, loaded and freed one by one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from scaling.loading.hub import digest, find_file, find_folder


@dataclass(frozen=True)
class Repository:
    """A local folder of `save_pretrained` or a hub id; `variant` names its other weights, as `fp16`."""

    path: str
    variant: str | None = None

    @cached_property
    def index(self) -> dict[str, Any]:
        """model_index.json: the pipeline's class, its options and [library, class] of each part."""
        return json.loads(find_file(self.path, "model_index.json").read_text())

    @property
    def parts(self) -> tuple[str, ...]:
        """All that is there."""
        return tuple(self._parts)

    @property
    def text_parts(self) -> tuple[str, ...]:
        """Tokenizers and text encoders."""
        return tuple(name for name in self._parts if name.startswith(("text_encoder", "tokenizer")))

    def check(self, pipeline: str) -> None:
        """A ValueError where this is another pipeline's repository."""
        if self.index.get("_class_name") != pipeline:
            raise ValueError(f"model.path={self.path} holds a {self.index.get('_class_name')}: a {pipeline} is needed")

    def config(self, part: str) -> dict[str, Any]:
        """A part's configuration, without its weights."""
        name = f"{part}/{'scheduler_config' if part == 'scheduler' else 'config'}.json"
        return json.loads((find_folder(self.path, [name]) / name).read_text())

    def load(self, part: str, dtype: torch.dtype, path: str | None = None) -> nn.Module:
        """One network, frozen, in eval mode, on the CPU; `path` takes the weights from another repository."""
        import diffusers

        folder = find_folder(path or self.path, self._files(part))
        kind = getattr(diffusers, self._parts[part][1])
        with torch.inference_mode(False):  # its parameters may meet autograd later
            network: nn.Module = kind.from_pretrained(
                folder, subfolder=part, dtype=dtype, variant=self.variant, local_files_only=True
            )
        return network.eval().requires_grad_(False)

    def build(self, part: str) -> nn.Module:
        """One network as its configuration says, without weights, on torch's default device."""
        import diffusers

        network: nn.Module = getattr(diffusers, self._parts[part][1]).from_config(self.config(part))
        return network

    def pipeline(self, parts: Sequence[str] | None, dtype: torch.dtype) -> Any:
        """diffusers' own pipeline with some of its parts (None: all), the others left out."""
        import diffusers

        wanted = tuple(self._parts) if parts is None else parts
        patterns = [pattern for part in wanted for pattern in self._files(part)]
        folder = find_folder(self.path, ["model_index.json", *patterns])
        absent = {name: None for name, value in self.index.items() if _is_part(value) and name not in wanted}
        kind = getattr(diffusers, self.index["_class_name"])
        with torch.inference_mode(False):
            return kind.from_pretrained(
                folder, dtype=dtype, variant=self.variant, local_files_only=True, **absent
            )  # fmt: skip

    def digest(self, *parts: str, path: str | None = None) -> str:
        """Hash of the files of some parts."""
        patterns = [pattern for part in parts for pattern in self._files(part)]
        return digest(find_folder(path or self.path, patterns), patterns)

    @property
    def _parts(self) -> dict[str, list[str]]:
        return {name: value for name, value in self.index.items() if _is_part(value) and value[0] is not None}

    def _files(self, part: str) -> tuple[str, ...]:
        """Globs of a part's files; weights are safetensors, whole or in shards, of this variant alone."""
        if part not in self._parts:
            raise ValueError(f"{self.path} has no {part}; it has {', '.join(self._parts)}")
        library, kind = self._parts[part]
        if not _is_network(library, kind):
            return (f"{part}/*",)
        stem = "diffusion_pytorch_model" if library == "diffusers" else "model"
        variant = f".{self.variant}" if self.variant else ""
        return f"{part}/config.json", f"{part}/{stem}{variant}[.-][s0]*"


def _is_part(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(v is None or isinstance(v, str) for v in value)


def _is_network(library: str, kind: str) -> bool:
    """Whether a part has weights; what has none (tokenizers, processors, schedulers, guiders) is a folder of files."""
    import diffusers

    module = getattr(diffusers.pipelines, library, None) or importlib.import_module(library)
    return isinstance(found := getattr(module, kind, None), type) and issubclass(found, nn.Module)
