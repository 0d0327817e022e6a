"""An executable as a verifier."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from scaling.protocols import Condition
from scaling.verifiers.command import Command

CONDITIONS = [Condition(prompt="a\tred\ncat"), Condition(prompt="dogs")]
IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def script(folder: Path, body: str) -> list[str]:
    (folder / "judge.py").write_text(body)
    return [sys.executable, str(folder / "judge.py")]


def test_scores_what_the_files_show(tmp_path: Path) -> None:
    body = """
import sys
from PIL import Image
for line in sys.stdin:
    pixels = Image.open(line.rstrip("\\n")).get_flattened_data()
    print(sum(sum(p) for p in pixels) / (255 * 3 * len(pixels)))
"""
    scores = Command(command=script(tmp_path, body))(IMAGES, CONDITIONS)
    torch.testing.assert_close(scores, IMAGES.mean(dim=(1, 2, 3)), atol=0.5 / 255, rtol=0)


def test_prompts_come_behind_a_tab(tmp_path: Path) -> None:
    body = "import sys\nfor line in sys.stdin: print(len(line.rstrip('\\n').split('\\t')[1]))"
    scores = Command(command=script(tmp_path, body), prompts=True)(IMAGES, CONDITIONS)
    assert scores.tolist() == [len("a red cat"), len("dogs")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import sys; print('no luck', file=sys.stderr); sys.exit(3)", "failed with 3: no luck"),
        ("print(1.0)", "printed 1 scores for 2 images"),
        ("print('1.0 high')", "printed no number"),
        ("print('1.0 nan')", "not finite"),
        ("import time; time.sleep(30)", "longer than 1.5 s"),
    ],
)
def test_what_goes_wrong_is_said(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"judge\.py.*{message}"):
        Command(command=script(tmp_path, body), timeout=1.5)(IMAGES, CONDITIONS)


def test_a_missing_executable_and_an_edited_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be run"):
        Command(command="no-such-judge --fast")(IMAGES, CONDITIONS)
    command = script(tmp_path, "print(1)")
    before = Command(command=command).identity()
    script(tmp_path, "print(2)")
    assert Command(command=command).identity() != before
