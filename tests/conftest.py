"""What all tests share: one thread, so that results and times depend less on what else the machine runs."""

import os
import signal

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the commands that tests start; processes that share cores spin

import pytest
import shape_checks
import torch

shape_checks.install("scaling")  # before anything of the package is imported
torch.set_num_threads(1)

# A shell in the background and nohup let their children ignore these; the tests are started as from a terminal.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def shapes_are_checked_anew() -> None:
    """In every test, since others had other shapes."""
    shape_checks.begin_test()


@pytest.fixture(autouse=True)
def no_notes_of_other_tests() -> None:
    """A command says what was noticed in its process, in which other tests ran before."""
    from scaling import loaded, notices

    notices.take_notices()
    loaded.forget()
