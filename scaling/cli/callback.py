"""What a multirun does after its jobs: one picture shows all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Summary(Callback):
    """Draws the study when its last job has ended."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from scaling.cli.job import draw_study

        draw_study(Path(config.output_dir) / config.study)
