"""What a multirun does around its jobs: each choice of options is composed once; at the end one picture shows all."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.experimental.callback import Callback
from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig

from scaling.config.compose import alike


class Summary(Callback):
    """Draws the study when its last job has ended."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.hydra.launcher._target_.endswith("BasicLauncher"):  # others compose elsewhere
            loader = GlobalHydra.instance().config_loader()
            copy_alike(loader, config)
            for source in loader.get_sources():
                read_once(source)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from scaling.cli.job import draw_study

        draw_study(Path(config.output_dir) / config.study)


def copy_alike(loader: ConfigLoader, config: DictConfig) -> None:
    """Lets sweeper and launcher, who each ask for every job, have copies where jobs differ in values only."""
    load = loader.load_sweep_config
    composed = alike(loader, lambda overrides: load(config, overrides))

    def load_sweep_config(master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        assert master_config is config, "one sweep at a time"
        return composed(sweep_overrides)

    loader.load_sweep_config = load_sweep_config  # type: ignore[method-assign]


def read_once(source: ConfigSource) -> None:
    """Parses each file of a config folder once for all jobs, a fifth of the time of composing one."""
    parse = cache(source.load_config)
    source.load_config = lambda config_path: deepcopy(parse(config_path))  # type: ignore[method-assign]
