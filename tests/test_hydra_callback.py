"""A multirun composes each of its jobs once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins

from scaling import build
from scaling.__main__ import main
from scaling.hydra_callback import compose_once


def test_a_job_is_composed_once_and_each_run_gets_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[list[str]] = []
    load = ConfigLoaderImpl.load_sweep_config

    def counted(self: ConfigLoaderImpl, master_config: Any, sweep_overrides: list[str]) -> Any:
        composed.append(sweep_overrides)
        return load(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    monkeypatch.setattr(build, "_built", {})
    arguments = ["-m", "model=gaussian_mixture", "conditions.count=2", "budget.candidates=1", "seed=0,1,2"]
    rest = [f"output_dir={tmp_path}", "logger=none", "progress=false", "batch_size=2"]
    monkeypatch.setattr(sys, "argv", ["scaling", *arguments, *rest])
    main()
    assert len(composed) == 3
    assert len(list(tmp_path.glob("default/*/curve.csv"))) == 3


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


def test_nothing_composed_is_handed_out_twice() -> None:
    class Loader:
        def load_sweep_config(self, master_config: Any, sweep_overrides: list[str]) -> object:
            return object()

    loader = Loader()
    compose_once(loader)  # type: ignore[arg-type]
    checked = [loader.load_sweep_config(None, [name]) for name in "ab"]
    launched = [loader.load_sweep_config(None, [name]) for name in "aba"]
    assert launched[:2] == checked
    assert launched[2] not in checked
    twice = [loader.load_sweep_config(None, ["c"]) for _ in range(2)]  # a grid may name a job twice
    assert len({id(each) for each in (twice[0], *(loader.load_sweep_config(None, ["c"]) for _ in range(2)))}) == 3
