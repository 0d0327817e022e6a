"""Inference-time scaling studies of diffusion models: quality against compute, for any model, verifier and search.

import scaling
folder = scaling.run(scaling.Study(denoiser=..., conditions=..., verifier=..., search=..., budget=...))
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling.runner.study import Study

__all__ = ["Study", "run"]


def run(study: Study) -> Path:
    """Runs a study of built objects to its end and returns its folder, as the `scaling` command does."""
    from scaling.loaded import edited
    from scaling.runner.run import execute

    folder = execute(study)
    for line in edited():
        warnings.warn(line, stacklevel=2)
    return folder


def __getattr__(name: str) -> Any:
    if name == "Study":  # torch is imported when it is needed, not for `scaling --help`
        from scaling.runner.study import Study

        return Study
    raise AttributeError(name)
