"""A study for planning alone: nothing of it loads weights, statistics or anything from the hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from scaling.config.build import Parts, build, located, study_of
from scaling.config.run_name import Config
from scaling.schedules import Flow


def outline_of(config: Config, overrides: list[str], build_model: bool = True) -> Any:
    """A `Study` whose model is an outline where its class offers one, else built, or stood in for.

    Verifiers and selectors are known by their configuration, metrics and extractors by their names.
    """
    return study_of(config, overrides, Outlines(config, build_model))


class Outlines(Parts):
    """What parts say of themselves without being built."""

    def __init__(self, config: Config, build_model: bool) -> None:
        super().__init__(config)
        self._build_model = build_model

    @override
    def model(self, node: Config, where: str = "model") -> Any:
        kind = located(where, node["_target_"])
        if hasattr(kind, "outline"):
            return kind.outline(node)
        return build(where, node) if self._build_model else Unbuilt()

    @override
    def verifier(self, where: str, node: Config) -> Any:
        kind = located(where, node["_target_"])
        selects = hasattr(kind, "pick") or hasattr(kind, "select")
        return OutlinedVerifier(node, selects, getattr(kind, "differentiable", True), node.get("probe_sigma"))

    @override
    def metric(self, where: str, node: Config) -> Any:
        return None

    @override
    def folder(self, path: Path) -> Path:
        return Path(os.path.abspath(path))


class Unbuilt:
    """Stands in for a model of which only its weights say more: a straight path, guidance, and all settings heeded."""

    latent_shape = (4, 64, 64)
    schedule = Flow()
    guidance_scale = 1.0
    forwards_per_call = 2
    settings = frozenset({"negative_prompt", "guidance_scale"})


@dataclass(frozen=True)
class OutlinedVerifier:
    """A verifier or selector by its configuration."""

    node: Config
    selects: bool
    differentiable: bool
    probe_sigma: float | None

    def identity(self) -> Config:
        """Its part of the configuration."""
        return self.node
