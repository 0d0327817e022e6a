"""What the end of a multirun shows: all runs of the study in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Summary(Callback):
    """Draws the study when its last job has ended."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from scaling.jobs import draw_study

        draw_study(Path(config.output_dir) / config.study)
