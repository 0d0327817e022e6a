"""A function of one's own as a verifier and as a metric."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
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


ASKS = "from helpers_of_judges import sign\ndef f(images, prompts):\n    return [float(sign)] * len(images)\n"


@pytest.fixture
def folders(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Judges in two folders, each with a helper of its own by the same name."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(here)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for folder, sign in {"a": 1, "b": -1}.items():
        (here / folder).mkdir()
        (here / folder / "judge_asks.py").write_text(ASKS)
        (here / folder / "helpers_of_judges.py").write_text(f"sign = {sign}\n")
    yield here
    for name in [name for name in sys.modules if name.startswith(("helpers_of_judges", "judge_asks"))]:
        del sys.modules[name]


def test_two_judges_that_need_two_modules_of_one_name_are_refused_together(folders: Path) -> None:
    assert Python(function="a/judge_asks.py:f")(IMAGES, CONDITIONS).tolist() == [1, 1, 1]
    said = "^b/judge_asks.py imports helpers_of_judges, and a/helpers_of_judges.py is imported under that name: rename"
    with pytest.raises(ValueError, match=said):
        Python(function="b/judge_asks.py:f")
    assert Python(function="a/judge_asks.py:f")(IMAGES, CONDITIONS).tolist() == [1, 1, 1]
    (folders / "c").mkdir()
    (folders / "c" / "judge_asks.py").write_text(ASKS)  # without a helper of its own
    assert Python(function="c/judge_asks.py:f")(IMAGES, CONDITIONS).tolist() == [1, 1, 1]


def test_a_judges_neighbor_is_what_it_imports_and_what_names_it(folders: Path) -> None:
    (folders / "helpers_of_judges.py").write_text("sign = 5\n")
    judge = Python(function="b/judge_asks.py:f")
    assert judge(IMAGES, CONDITIONS).tolist() == [-1, -1, -1]
    before = judge.identity()
    (folders / "helpers_of_judges.py").write_text("sign = 6\n")
    sys.modules.pop("helpers_of_judges")
    assert Python(function="b/judge_asks.py:f").identity() == before
    (folders / "b" / "helpers_of_judges.py").write_text("sign = -2\n")
    sys.modules.pop("helpers_of_judges")
    edited = Python(function="b/judge_asks.py:f")
    assert edited(IMAGES, CONDITIONS).tolist() == [-2, -2, -2] and edited.identity() != before


def test_an_import_within_a_function_is_the_neighbor_or_is_refused(folders: Path) -> None:
    late = "def f(images, prompts):\n    from helpers_of_judges import sign\n    return [float(sign)] * len(images)\n"
    (folders / "b" / "judge_asks.py").write_text(late)
    assert Python(function="b/judge_asks.py:f")(IMAGES, CONDITIONS).tolist() == [-1, -1, -1]
    sys.modules.pop("helpers_of_judges")
    (folders / "helpers_of_judges.py").write_text("sign = 5\n")
    importlib.invalidate_caches()
    with pytest.raises(ValueError, match="imports helpers_of_judges, and helpers_of_judges.py is imported under that"):
        Python(function="b/judge_asks.py:f")


def test_a_judges_neighbor_hides_no_library(folders: Path) -> None:
    for name in ("fractions", "jaxtyping", "colorsys"):
        (folders / "b" / f"{name}.py").write_text("nothing = 1\n")
        sys.modules.pop(name) if name == "colorsys" and name in sys.modules else None
    (folders / "b" / "judge_asks.py").write_text("import colorsys, fractions, jaxtyping\n" + ASKS)
    assert Python(function="b/judge_asks.py:f")(IMAGES, CONDITIONS).tolist() == [-1, -1, -1]
    assert not hasattr(sys.modules["colorsys"], "nothing")


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
