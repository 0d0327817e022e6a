"""Judges that are asked after the search: pairs of images, and a costly verifier of winners alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import scaling
from scaling.config.build import study_of
from scaling.config.compose import grid
from scaling.pixels import opened
from scaling.verifiers.questions import Check, NoGrade, Question

SMALL = ["model=shapes", "conditions.count=2", "budget.candidates=[1,2,4]", "budget.nfes_per_iter=2"]
QUIET = ["logger=none", "progress=false", "samples=0"]


class Brighter:
    """Prefers the brighter of two images."""

    def ask_all(self, questions: Sequence[Question], check: Check) -> list[str | NoGrade]:
        levels = [[float(np.mean(opened(picture))) for picture in question.pictures] for question in questions]
        return [f'{{"better": {1 if one > two else 2}}}' for one, two in levels]

    def identity(self) -> dict[str, str]:
        return {"judge": "brighter"}


def run(folder: Path, *overrides: str) -> Path:
    """The folder of a run of these overrides."""
    given = [*SMALL, *QUIET, f"output_dir={folder}", *overrides]
    ((config, lines),) = grid(given)
    return scaling.run(study_of(config, lines))


def test_a_tournament_picks_the_image_that_a_judge_prefers_at_every_rung(tmp_path: Path) -> None:
    chosen = ["verifier=pairwise", "+verifier@scorers.shapes_clip=shapes_clip"]
    judge = f"~verifier.judge +verifier.judge._target_={__name__}.Brighter".split()
    (tmp_path / "light.py").write_text("def light(images, prompts):\n    return images.mean(dim=(1, 2, 3))\n")
    light = ["verifier=python", f"verifier.function={tmp_path}/light.py:light"]
    pairs = pq.read_table(run(tmp_path / "pairs", *chosen, *judge) / "winners.parquet").to_pylist()
    direct = pq.read_table(run(tmp_path / "direct", *light) / "winners.parquet").to_pylist()
    assert [row["candidate"] for row in pairs] == [row["candidate"] for row in direct]
    assert any(row["candidate"] > 0 for row in pairs)


def test_a_verifier_judges_winners_alone_as_it_would_in_the_search(tmp_path: Path) -> None:
    judge = ["metrics=judge", "verifier@metrics.extractors.judge.verifier=shapes_reader"]
    folder = run(tmp_path, "verifier=shapes_clip", "+verifier@scorers.shapes_reader=shapes_reader", *judge)
    rows = pq.read_table(folder / "winners.parquet").to_pylist()
    assert rows
    np.testing.assert_allclose([row["judge"] for row in rows], [row["shapes_reader"] for row in rows], rtol=1e-5)
