"""The `scaling` command in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from scaling.cli.run import main as scaling
from scaling.config.build import clear_cache


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs `scaling` with some arguments, as a new process would: nothing is built yet."""

    def run(*arguments: str) -> None:
        clear_cache()
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments, "progress=false"])
        scaling()

    return run
