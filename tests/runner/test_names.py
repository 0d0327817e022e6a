"""One name is one judge or metric: what would be lost under another's is refused before anything is solved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import Pixels, Toward, study

import scaling
from scaling.config.build import clear_cache, study_of
from scaling.config.compose import grid
from scaling.config.outline import outline_of
from scaling.metrics.inception_score import InceptionScore
from scaling.metrics.judged import Judged
from scaling.metrics.per_sample import Value

SMALL = ["model=gaussian_mixture", "conditions.count=4", "budget.candidates=[1,2]", "samples=0"]
QUIET = ["logger=none", "progress=false", "batch_size=4", "block_size=4", "output_dir=out"]
NAMED = {"verifier": "mine"}
SET = InceptionScore(feature="pixels.logits", classes=2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clear_cache()
    for folder, sign in {"a": "", "b": "-"}.items():
        Path(folder).mkdir()
        names = ("f", "fid", "accuracy", "prompt", "nfe")
        texts = (f"def {name}(images, prompts):\n    return {sign}images.mean(dim=(1, 2, 3))\n" for name in names)
        Path(folder, "judge_of_names.py").write_text("".join(texts))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"scorers": {"mine": Toward(0.1)}}, r"scorers\.mine has the name of verifier=mine and is another judge"),
        ({"metrics": {"mine": SET}}, r"the judge mine and metrics\.set\.mine have one name: .*mine_2"),
        ({"scorers": {"other": Toward()}, "metrics": {"other": SET}}, r"the judge other and metrics\.set\.other"),
        ({"per_sample": {"mine": Value("pixels.logits")}}, r"the judge mine and metrics\.per_sample\.mine"),
        ({"per_sample": {"is": Value("a.b")}, "metrics": {"is": SET}}, r"metrics\.per_sample\.is and metrics\.set\.is"),
        ({"scorers": {"prompt": Toward()}}, "the judge prompt has the name of a column of all tables"),
        ({"per_sample": {"rung": Value("a.b")}}, r"metrics\.per_sample\.rung has the name of a column"),
        ({"metrics": {"nfe": SET}}, r"metrics\.set\.nfe has the name of a column of all tables: .*nfe_score"),
        ({"scorers": {"search/x": Toward()}}, r"the judge search/x has the name of a column"),
    ],
)
def test_a_name_of_two_is_refused_in_one_line(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        study(Path("out"), names=NAMED, verifier=Toward(), **parts)
    assert "\n" not in str(caught.value)


def test_one_judge_twice_is_one() -> None:
    asked = {
        "extractors": {"e": Judged(verifier=Toward()), "pixels": Pixels()},
        "per_sample": {"mine": Value("e.score")},
    }
    assert list(study(Path("out"), names=NAMED, verifier=Toward(), scorers={"mine": Toward()}, **asked).scored) == [
        "mine"
    ]
    with pytest.raises(ValueError, match="have one name"):
        study(Path("out"), names=NAMED, verifier=Toward(0.2), **asked)


@pytest.mark.parametrize(
    "line",
    [
        ["verifier=control", "+verifier@scorers.control=oracle", "model=fashion_s"],
        ["verifier=a/judge_of_names.py:f", "+verifier@scorers.f=b/judge_of_names.py:f"],
        ["verifier=a/judge_of_names.py:f", "metrics=b/judge_of_names.py:f"],
        ["verifier=a/judge_of_names.py:fid", "metrics=fashion", "model=fashion_s"],
        ["verifier=a/judge_of_names.py:accuracy", "metrics=fashion", "model=fashion_s"],
        ["verifier=a/judge_of_names.py:prompt"],
        ["verifier=a/judge_of_names.py:nfe"],
    ],
    ids=lambda line: " ".join(line),
)
def test_by_the_command_it_is_refused_too(line: list[str]) -> None:
    ((config, lines),) = grid([*SMALL, *QUIET, *line])
    with pytest.raises(ValueError, match="name"):
        study_of(config, lines)
    assert not list(Path("out").glob("*"))


def test_a_function_that_guides_and_judges_winners_runs_as_ever() -> None:
    judge = "a/judge_of_names.py:f"
    given = [*SMALL, *QUIET, f"verifier={judge}", f"+verifier@scorers.f={judge}", f"metrics={judge}"]
    ((config, lines),) = grid(given)
    outline_of(config, lines)
    curve = (scaling.run(study_of(config, lines)) / "curve.csv").read_text()
    assert curve.count(",f,") == 4  # as the verifier of each of two rows, and as their metric
