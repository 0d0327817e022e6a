"""What is not used is not imported: the first sample waits for no library that it does without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import json, sys
from scaling.runner import progress

first = []
rows = progress.Progress.rows

def noted(self, *args):
    first or first.extend(sys.modules)
    rows(self, *args)

progress.Progress.rows = noted
from scaling.cli.run import main
main()
print(json.dumps([first, list(sys.modules)]))
"""
QUICKSTART = [
    "experiment=quickstart", "verifier=classifier", "conditions.count=4", "budget.candidates=[1,2]", "batch_size=4",
    "logger=none", "progress=false",
]  # fmt: skip
NEVER = {"diffusers", "torchmetrics", "torchvision", "transformers", "accelerate", "wandb", "huggingface_hub"}
LATER = {"torch._dynamo", "sympy", "matplotlib", "scipy"}
HELP = "import sys; from scaling.cli.entry import {} as main; sys.argv[1:] = ['--help']; main()"


def imported(folder: Path, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quickstart_imports_what_it_uses(tmp_path: Path) -> None:
    before_the_first_batch, whole = map(set, json.loads(imported(tmp_path, RUN, *QUICKSTART).splitlines()[-1]))
    assert not whole & NEVER
    assert not before_the_first_batch & LATER


@pytest.mark.parametrize(("command", "never"), [("scaling", "hydra"), ("scaling_study", "torch")])
def test_help_imports_nothing_heavy(tmp_path: Path, command: str, never: str) -> None:
    code = f"import atexit; atexit.register(lambda: print('{never}' in sys.modules)); {HELP.format(command)}"
    assert imported(tmp_path, code).splitlines()[-1] == "False"
