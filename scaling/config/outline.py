"""A study for planning alone: nothing of it loads weights, statistics or anything from the hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.config.build import Parts, build, study_of
from scaling.config.run_name import Config


def outline_of(config: Config, overrides: list[str]) -> Any:
    """A `Study` whose model is an outline where its class offers one.

    Verifiers and selectors are known by their configuration, metrics and extractors by their names.
    """
    return study_of(config, overrides, Outlines(config))


class Outlines(Parts):
    """What parts say of themselves without being built."""

    def model(self, node: Config) -> Any:
        from hydra.utils import get_class

        kind: Any = get_class(node["_target_"])
        return kind.outline(node) if hasattr(kind, "outline") else build("model", node)

    def verifier(self, where: str, node: Config) -> Any:
        from hydra.utils import get_class

        kind = get_class(node["_target_"])
        selects = hasattr(kind, "pick") or hasattr(kind, "select")
        return OutlinedVerifier(node, selects, getattr(kind, "differentiable", True), node.get("probe"))

    def metric(self, where: str, node: Config) -> Any:
        return None

    def folder(self, path: Path) -> Path:
        return Path(os.path.abspath(path))


@dataclass(frozen=True)
class OutlinedVerifier:
    """A verifier or selector by its configuration."""

    node: Config
    selects: bool
    differentiable: bool
    probe: float | None

    def identity(self) -> Config:
        return self.node
