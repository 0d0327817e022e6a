"""Memory does not grow with the study: what is alive is one block, and small arrays a condition at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from studies import study
import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.metrics.inception_score import InceptionScore

def run(count):
    scaling.run(study(
        Path(sys.argv[2]) / str(count),
        conditions=ClassLabels(count=count, classes=2),
        budget=Budget(nfes_per_iter=1, candidates=[1, 2]),
        metrics={"inception_score": InceptionScore(classes=2, feature="pixels.logits")},
        batch_size=256, block_size=256, samples=0,
    ))

run(1000)  # imports and warm-up are no growth
run(int(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kb(folder: Path, conditions: int) -> int:
    """The highest memory of a fresh process that runs a study of 1,000 conditions and then one of so many."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parents[1] / "helpers"), str(folder), str(conditions)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_memory_grows_by_at_most_a_kilobyte_a_condition(tmp_path: Path) -> None:
    growth = peak_kb(tmp_path / "many", 20_000) - peak_kb(tmp_path / "few", 1_000)
    assert growth <= 20_000 - 1_000
