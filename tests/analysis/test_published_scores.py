"""The pool made of published files: each step of each candidate once, tuned rewards where there are some."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from scaling.analysis.questions.early import early_pool

SCRIPT = Path(__file__).parents[2] / "scripts" / "published_scores.py"


def files(folder: Path, kind: str, steps: int, offset: float) -> None:
    for shift, reward in enumerate(("imr", "hps", "pic")):
        path = folder / f"flux_{reward}_val_{kind}"
        path.mkdir()
        for step in range(steps):
            rows = {p: [p + 10 * c + 100 * step + 1000 * shift + offset for c in range(3)] for p in range(2)}
            (path / f"p2_i3_s{step:02d}.yaml").write_text(yaml.safe_dump(rows))


@pytest.mark.parametrize(("kind", "first"), [("base", 0.0), ("naft", 0.5)])
def test_files_become_a_pool_with_steps(tmp_path: Path, kind: str, first: float) -> None:
    files(tmp_path, "base", 4, 0.0)
    files(tmp_path, "naft", 2, 0.5)
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--kind", kind, "--out", str(tmp_path / "pool.parquet")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    early = early_pool(tmp_path / "pool.parquet", "hps_v2")
    assert early.scores.shape == (2, 3, 4)
    assert early.scores[1, 2].tolist() == [1021 + first, 1121 + first, 1221, 1321]
    assert {"image_reward", "pickscore"} < set(pq.read_table(tmp_path / "pool.parquet").column_names)
