"""A multirun composes each choice of options once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins

from scaling.cli.run import main
from scaling.config import build


def test_options_are_composed_once_whatever_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[list[str]] = []
    load = ConfigLoaderImpl.load_sweep_config

    def counted(self: ConfigLoaderImpl, master_config: Any, sweep_overrides: list[str]) -> Any:
        composed.append(sweep_overrides)
        return load(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    monkeypatch.setattr(build, "_built", {})
    arguments = ["-m", "model=gaussian_mixture", "conditions.count=2", "budget.candidates=1", "seed=0,1,2"]
    rest = ["search=random,zero_order", f"output_dir={tmp_path}", "logger=none", "progress=false", "batch_size=2"]
    monkeypatch.setattr(sys, "argv", ["scaling", *arguments, *rest])
    main()
    assert len(composed) == 2
    assert len(list(tmp_path.glob("default/*/curve.csv"))) == 6


def test_files_are_parsed_no_oftener_for_more_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    Plugins.instance()  # fills the registry, with classes of its own
    folders: Any = SourcesRegistry.instance().resolve("file")
    load = folders.load_config

    def counted(self: Any, config_path: str) -> Any:
        parsed.append(config_path)
        return load(self, config_path)

    monkeypatch.setattr(folders, "load_config", counted)
    counts = []
    for seeds in ("0", "1,2,3,4"):
        monkeypatch.setattr(build, "_built", {})
        arguments = ["-m", "model=gaussian_mixture", "conditions.count=2", "budget.candidates=1", f"seed={seeds}"]
        rest = [f"output_dir={tmp_path}", "logger=none", "progress=false", "batch_size=2"]
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments, *rest])
        parsed.clear()
        main()
        counts.append(len(parsed))
    assert counts[0] == counts[1] > 0
    assert len(list(tmp_path.glob("default/*/curve.csv"))) == 5
