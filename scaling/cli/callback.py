"""What a multirun does before its jobs and after them: faults are said first, one picture shows all."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


class Summary(Callback):
    """Looks at all jobs before the first one runs, and draws the study when the last one has ended."""

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None, **kwargs: Any) -> None:
        """Says what is wrong with which job; those jobs end with it at once, all others run."""
        from scaling.cli.ahead import FOUND, looked_at, words
        from scaling.config.compose import combinations

        os.environ.pop(FOUND, None)
        if not str(config.hydra.sweeper._target_).endswith("BasicSweeper"):
            return  # others choose their jobs as they go
        try:
            jobs = combinations(list(config.hydra.overrides.task), config_name or "config")
        except (HydraException, OmegaConfBaseException, ValueError):
            return  # the sweeper says so, and runs nothing
        _, faults = looked_at(jobs)
        if faults:
            os.environ[FOUND] = str(len(faults))
            print("\n".join(words(faults, len(jobs))), file=sys.stderr, flush=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Draws the study's runs in one picture."""
        from scaling.cli.job import draw_study, say_where

        study = Path(config.output_dir) / config.study
        draw_study(study)
        if config.logger.wandb and study.is_dir():
            say_where(study)
