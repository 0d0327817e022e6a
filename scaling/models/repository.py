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

from scaling.contents import digest
from scaling.loading.checkpoints import refuse_missing
from scaling.loading.hub import find_file, find_folder

ELSEWHERE = {  # classes that diffusers no longer finds by what its own files say of them
    "PaellaVQModel": "diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model",
    "WuerstchenDiffNeXt": "diffusers.pipelines.deprecated.wuerstchen.modeling_wuerstchen_diffnext",
    "WuerstchenPrior": "diffusers.pipelines.deprecated.wuerstchen.modeling_wuerstchen_prior",
    "T5GemmaEncoder": "transformers.models.t5gemma.modeling_t5gemma",
}


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
    def switches(self) -> dict[str, Any]:
        """What model_index.json says that is no part, as `force_zeros_for_empty_prompt`."""
        return {name: value for name, value in self.index.items() if not _is_part(value) and not name.startswith("_")}

    @property
    def unusual(self) -> dict[str, Any]:
        """Of `switches`, what decides how prompts are encoded and is not as in most repositories."""
        return {name: v for name, v in self.switches.items() if name == "force_zeros_for_empty_prompt" and not v}

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
        folder = find_folder(path or self.path, self._files(part))
        variant = self.variant if self._has_variant(part, path) else None
        with torch.inference_mode(False):  # its parameters may meet autograd later
            network: nn.Module
            network, info = _class(*self._parts[part]).from_pretrained(
                folder, subfolder=part, dtype=dtype, variant=variant, local_files_only=True, output_loading_info=True
            )
        refuse_missing(info["missing_keys"], folder / part)
        return network.eval().requires_grad_(False)

    def build(self, part: str) -> nn.Module:
        """One network as its configuration says, without weights, on torch's default device."""
        kind: Any = _class(*self._parts[part])
        if hasattr(kind, "from_config"):
            built: nn.Module = kind.from_config(self.config(part))
            return built
        folder = find_folder(self.path, [f"{part}/config.json"])
        network: nn.Module = kind(kind.config_class.from_pretrained(folder, subfolder=part, local_files_only=True))
        return network

    def hollow_pipeline(self, parts: Sequence[str]) -> Any:
        """diffusers' own pipeline with some of its parts, networks without weights: for use in `flops.shapes_alone`."""
        import diffusers
        import transformers

        networks = {}
        for name in parts:
            library, kind = self._parts[name]
            if _is_network(library, kind):
                known = getattr(transformers, kind)
                networks[name] = known(known.config_class.from_dict(self.config(name))).eval()
        folder = find_folder(self.path, ["model_index.json", *(f"{part}/*.[jmt]*" for part in parts)])
        absent = {name: None for name, value in self.index.items() if _is_part(value) and name not in parts}
        return getattr(diffusers, self.index["_class_name"]).from_pretrained(
            folder, local_files_only=True, **absent, **networks
        )

    def pipeline(self, parts: Sequence[str] | None, dtype: torch.dtype, unloaded: Sequence[str] = ()) -> Any:
        """diffusers' own pipeline with some of its parts (None: all), the others left out.

        Those of `unloaded` are without weights, on the meta device, where they can be built so.
        """
        import diffusers

        wanted = tuple(self._parts) if parts is None else parts
        given = {part: network for part in unloaded if (network := self._unloaded(part, dtype)) is not None}
        odd = [part for part in wanted if part not in given and self._loads_alone(*self._parts[part])]
        given |= {part: self.load(part, dtype) for part in odd}
        for library, name in (self._parts[part] for part in odd):  # diffusers asks for the class of what is given
            if library == "diffusers":
                setattr(diffusers, name, _class(library, name))
        patterns = [pattern for part in wanted if part not in given for pattern in self._files(part)]
        folder = find_folder(self.path, ["model_index.json", *patterns])
        absent = {name: None for name, value in self.index.items() if _is_part(value) and name not in wanted}
        kind = getattr(diffusers, self.index["_class_name"], None)
        if kind is None:
            raise ValueError(f"{self.path}: diffusers {diffusers.__version__} has no {self.index['_class_name']}")
        try:
            with torch.inference_mode(False):
                pipe = kind.from_pretrained(
                    folder, dtype=dtype, variant=self.variant, local_files_only=True, **absent, **given
                )
        except (ImportError, AttributeError, TypeError, KeyError, OSError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            text = " ".join(str(error).split())[:300]
            raise ValueError(f"{self.path} cannot be loaded by diffusers: {type(error).__name__}: {text}") from error
        for name in set(wanted) - set(given):
            if isinstance(network := getattr(pipe, name, None), nn.Module):  # what is not there stays without numbers
                refuse_missing([key for key, w in network.named_parameters() if w.is_meta], folder / name)
        return pipe

    def _loads_alone(self, library: str, kind: str) -> bool:
        """Whether a part is loaded here: diffusers does not find it, or goes on with random weights for missing."""
        return kind in ELSEWHERE or (library == "transformers" and _is_network(library, kind))

    def _unloaded(self, part: str, dtype: torch.dtype) -> nn.Module | None:
        try:
            with torch.device("meta"):
                network = self.build(part).to(torch.device("meta"), dtype)  # some make weights on a CPU all the same
            return network.eval().requires_grad_(False)
        except Exception:  # whatever a constructor does that needs data
            return None

    def digest(self, *parts: str, path: str | None = None) -> str:
        """Hash of the files of some parts."""
        patterns = [pattern for part in parts for pattern in self._files(part)]
        return digest(find_folder(path or self.path, patterns), patterns)

    @property
    def _parts(self) -> dict[str, list[str]]:
        return {name: value for name, value in self.index.items() if _is_part(value) and value[0] is not None}

    def _files(self, part: str) -> tuple[str, ...]:
        """Globs of a part's files; weights are safetensors, whole or in shards, of this variant where it is there."""
        if part not in self._parts:
            raise ValueError(f"{self.path} has no {part}; it has {', '.join(self._parts)}")
        library, kind = self._parts[part]
        if not _is_network(library, kind):
            return (f"{part}/*",)
        whole = f"{part}/{_stem(library, kind)}[.-][s0]*"
        return f"{part}/config.json", self._weights(part) if self._has_variant(part) else whole

    def _weights(self, part: str) -> str:
        """The glob of a part's weights of this variant and of their index, in safetensors alone."""
        return f"{part}/{_stem(*self._parts[part])}.*{self.variant}*so[nr]*"

    def _has_variant(self, part: str, path: str | None = None) -> bool:
        """Whether this variant is there; as in diffusers, a repository may have it of some of its parts alone."""
        if not self.variant:
            return False
        known: dict[Any, bool] = self.__dict__.setdefault("_variants", {})
        if (part, path) not in known:
            try:
                known[part, path] = bool(find_folder(path or self.path, [self._weights(part)]))
            except ValueError:
                known[part, path] = False
        return known[part, path]


def _stem(library: str, kind: str) -> str:
    return "diffusion_pytorch_model" if hasattr(_class(library, kind), "from_config") else "model"


def _is_part(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(v is None or isinstance(v, str) for v in value)


def _is_network(library: str, kind: str) -> bool:
    """Whether a part has weights; what has none (tokenizers, processors, schedulers, guiders) is a folder of files."""
    return isinstance(found := _class(library, kind), type) and issubclass(found, nn.Module)


def _class(library: str, kind: str) -> Any:
    """The class of a part, by what model_index.json says of it; None where there is none."""
    import diffusers

    if kind in ELSEWHERE:
        return getattr(importlib.import_module(ELSEWHERE[kind]), kind)
    return getattr(getattr(diffusers.pipelines, library, None) or importlib.import_module(library), kind, None)
