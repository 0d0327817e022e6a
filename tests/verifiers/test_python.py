"""A function of one's own as a verifier and as a metric."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from scaling.protocols import Condition
from scaling.verifiers.python import Python, PythonValues

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
CONDITIONS = [Condition(prompt="a fox"), Condition(class_label=7), Condition(prompt="two dogs")]
REDNESS = "def redness(images, prompts, weight=1.0):\n    return weight * images[:, 0].mean(dim=(1, 2))\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judge.py").write_text(REDNESS)
    return tmp_path


def test_a_function_scores_images_and_prompts(here: Path) -> None:
    red = IMAGES[:, 0].mean(dim=(1, 2))
    torch.testing.assert_close(Python(function="judge.py:redness")(IMAGES, CONDITIONS), red)
    twice = Python(function=str(here / "judge.py:redness"), arguments={"weight": 2.0})
    torch.testing.assert_close(twice(IMAGES, CONDITIONS), 2 * red)
    torch.testing.assert_close(PythonValues(function="judge.py:redness")(IMAGES, CONDITIONS)["value"], red[:, None])
    (here / "own.py").write_text("def number(images, prompts):\n    return [len(str(each)) for each in prompts]\n")
    assert Python(function="own:number")(IMAGES, CONDITIONS).tolist() == [5, 1, 8]


def test_a_class_has_parameters_and_may_see_a_prediction(here: Path) -> None:
    (here / "judge.py").write_text(
        "class Near:\n    differentiable, probe_sigma = True, 0.4\n"
        "    def __init__(self, scale=1.0):\n        self.scale = scale\n"
        "    def __call__(self, images, prompts, probes):\n"
        "        return -self.scale * (images - probes).abs().mean(dim=(1, 2, 3))\n"
    )
    near = Python(function="judge.py:Near", arguments={"scale": 3.0})
    assert (near.differentiable, near.probe_sigma) == (True, 0.4)
    expected = -3 * (IMAGES - 0.5).abs().mean(dim=(1, 2, 3))
    torch.testing.assert_close(near(IMAGES, CONDITIONS, torch.full_like(IMAGES, 0.5)), expected)
    assert near.identity() != Python(function="judge.py:Near").identity()
    with pytest.raises(ValueError, match="x0 prediction"):
        PythonValues(function="judge.py:Near")


def test_the_code_and_what_it_imports_decide_the_identity(here: Path) -> None:
    (here / "judge.py").write_text("import helper_of_judge\n" + REDNESS)
    (here / "helper_of_judge.py").write_text("x = 1\n")
    before = Python(function="judge.py:redness").identity()
    assert Python(function=str(here / "judge.py:redness")).identity() == before
    assert Python(function="judge.py:redness", arguments={"weight": 2.0}).identity() != before
    (here / "helper_of_judge.py").write_text("x = 2\n")
    assert Python(function="judge.py:redness").identity() == before  # what was imported is what runs
    sys.modules.pop("helper_of_judge")
    other = Python(function="judge.py:redness").identity()
    assert other != before
    (here / "judge.py").write_text("import helper_of_judge\n" + REDNESS.replace("0]", "1]"))
    edited = Python(function="judge.py:redness")
    assert edited.identity() not in (before, other)
    torch.testing.assert_close(edited(IMAGES, CONDITIONS), IMAGES[:, 1].mean(dim=(1, 2)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return [1.0] * 2", r"shape \[2\] for 3 images"),
        ("return [1.0] * 6", r"shape \[6\] for 3 images"),
        ("return None", "returned a NoneType: 3 scores"),
        ("return [float('nan')] * 3", "not a finite number"),
        ("return 1 / 0", r"ZeroDivisionError: division by zero \(judge\.py, line 2\)"),
    ],
)
def test_an_answer_that_is_no_score_is_named(here: Path, body: str, message: str) -> None:
    (here / "judge.py").write_text(f"def bad(images, prompts):\n    {body}\n")
    with pytest.raises(ValueError, match=rf"judge\.py:bad .*{message}"):
        Python(function="judge.py:bad")(IMAGES, CONDITIONS)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("redness", "file.py:name or package.module:name"),
        ("judge.py", "file.py:name or package.module:name"),
        ("nowhere.py:redness", "no file nowhere.py"),
        ("judge.py:rednes", "did you mean redness"),
        ("no_such_module_here:f", "No module named 'no_such_module_here'"),
        ("broken.py:f", "broken.py cannot be loaded: SyntaxError"),
    ],
)
def test_what_is_not_there_is_said(here: Path, function: str, message: str) -> None:
    (here / "broken.py").write_text("def f(:\n")
    with pytest.raises(ValueError, match=message):
        Python(function=function)
