"""What a command answers after an edit: the numbers of what is there now, or a word about what cannot be compared."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scaling.cli.run import main
from scaling.config.build import clear_cache

SEARCH = """
import helper
from scaling.protocols import Proposal
class Mine:
    def __init__(self, shift=0.0):
        self.shift = shift
    def __call__(self, space):
        for k in range(99):
            yield Proposal(space.start(space.draw("candidate", k)) * helper.FACTOR + self.shift, space.times)
"""
VERIFIER = """
class Judge:
    differentiable, probe_sigma = True, None
    def __init__(self, w=1.0, **others):
        self.w = w
    def __call__(self, images, conditions, probes=None):
        return self.w * images.flatten(1).mean(1)
"""
SAMPLER = """
from dataclasses import dataclass
from scaling.sampling import Euler
@dataclass(frozen=True)
class Strong(Euler):
    strength: float = 1.0
    def advance(self, denoise, schedule, x, times, score, probe_sigma=None):
        return super().advance(denoise, schedule, self.strength * x, times, score, probe_sigma)
"""
METRIC = """
class Pixels:
    def __call__(self, images, conditions):
        return {"flat": images.flatten(1)}
class Bright:
    feature = "pixels.flat"
    def __call__(self, values, labels):
        return 1.0 * values.mean(1)
"""
GENERATOR = """
from scaling.protocols import Proposal
def propose(space, shift=0.0):
    for k in range(99):
        yield Proposal(space.start(space.draw("candidate", k)) + shift, space.times)
"""
JUDGE = "import sys, helper\nfor line in sys.stdin: print(helper.FACTOR)\n"
COMMON = ["model=gaussian_mixture", "conditions.count=4", "block_size=4", "batch_size=8", "logger=none"]
COMMON += ["progress=false", "budget.candidates=[1,2]", "samples=0", "output_dir=out"]

Run = Callable[..., list[float]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_pictures: None) -> Iterator[Run]:
    """Runs the command in a folder of its own as a new process would; the scores of its curve."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name, text in {"mine": SEARCH, "helper": "FACTOR = 1.0\n", "judging": VERIFIER, "judge": JUDGE}.items():
        (tmp_path / f"{name}.py").write_text(text)

    def forget() -> None:
        for name in ("mine", "helper", "judging", "own"):
            sys.modules.pop(name, None)
        clear_cache()

    def ran(*arguments: str, study: str = "one", folder: str = "out", anew: bool = True) -> list[float]:
        if anew:
            forget()
        monkeypatch.setattr(sys, "argv", ["scaling", *COMMON, f"study={study}", *arguments])
        main()
        [curve] = Path(folder, study).glob("*/curve.csv")
        with curve.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [float(row["value"]) for row in rows if row["metric"] == rows[0]["verifier"]]

    yield ran
    forget()


OWN = ("search=random", "search._target_=mine.Mine", "verifier=control", "verifier._target_=judging.Judge")


@pytest.mark.parametrize("study", ["one", "two"])
@pytest.mark.parametrize(("file", "old", "new"), [("mine", "* helper", "* 3 * helper"), ("helper", "1.0", "3.0")])
def test_an_edited_search_is_run_anew(
    run: Run, capsys: pytest.CaptureFixture[str], study: str, file: str, old: str, new: str
) -> None:
    before = run(*OWN)
    assert run(*OWN) == before and "already finished" in capsys.readouterr().out
    Path(f"{file}.py").write_text(Path(f"{file}.py").read_text().replace(old, new))
    after = run(*OWN, study=study)
    assert after != before
    assert after == run(*OWN, "output_dir=out", study="three")


@pytest.mark.parametrize(("file", "old", "new"), [("mine", "* helper", "* 3 * helper"), ("helper", "1.0", "3.0")])
def test_an_edit_in_the_middle_of_a_sweep_is_not_what_its_later_jobs_are_called(
    run: Run, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str
) -> None:
    before = run(*OWN)
    Path(f"{file}.py").write_text(Path(f"{file}.py").read_text().replace(old, new))
    capsys.readouterr()
    assert run(*OWN, study="two", anew=False) == before  # the modules are there: what runs is as it was
    assert f"{file}.py was edited after it was imported" in capsys.readouterr().err
    after = run(*OWN, study="two")  # as the next command would
    assert after != before
    assert after == run(*OWN, study="three")


def test_an_edited_function_scores_anew_in_the_middle_of_a_sweep(run: Run) -> None:
    function = "import helper\ndef score(images, prompts):\n    return [{}] * len(images)\n"
    Path("own.py").write_text(function.format("helper.FACTOR"))
    assert run("verifier=own.py:score") == [1.0, 1.0]
    Path("own.py").write_text(function.format("2 * helper.FACTOR"))
    assert run("verifier=own.py:score", anew=False) == [2.0, 2.0]
    Path("helper.py").write_text("FACTOR = 3.0\n")
    assert run("verifier=own.py:score", anew=False) == [2.0, 2.0]
    assert run("verifier=own.py:score") == [6.0, 6.0]


def test_an_edited_verifier_scores_anew(run: Run) -> None:
    before = run(*OWN)
    Path("judging.py").write_text(VERIFIER.replace("self.w *", "1000 * self.w *"))
    assert run(*OWN) == pytest.approx([1000 * value for value in before])
    assert run(*OWN, "+verifier.w=2.0", study="two") == pytest.approx([2000 * value for value in before])


def test_an_edited_judge_of_a_command_scores_anew(run: Run) -> None:
    command = ("verifier=command", f"verifier.command={sys.executable} judge.py")
    assert run(*command) == [1.0, 1.0]
    Path("judge.py").write_text(JUDGE.replace("(helper", "(2 * helper"))
    assert run(*command) == [2.0, 2.0]
    Path("helper.py").write_text("FACTOR = 3.0\n")
    assert run(*command) == [6.0, 6.0]


def test_an_edited_function_scores_anew(run: Run) -> None:
    function = "import helper\ndef score(images, prompts):\n    return [{}] * len(images)\n"
    Path("own.py").write_text(function.format("helper.FACTOR"))
    assert run("verifier=own.py:score") == [1.0, 1.0]
    Path("own.py").write_text(function.format("2 * helper.FACTOR"))
    assert run("verifier=own.py:score") == [2.0, 2.0]
    Path("helper.py").write_text("FACTOR = 3.0\n")
    assert run("verifier=own.py:score") == [6.0, 6.0]


def test_what_a_search_in_a_folder_imports_is_what_it_is_called_by(run: Run) -> None:
    Path("deeper").mkdir()
    Path("mine.py").rename("deeper/mine_in_a_folder.py")
    Path("deeper/helper.py").write_text("FACTOR = 1.0\n")  # not on the path: that of the current folder is imported
    line = ("search=deeper/mine_in_a_folder.py:Mine", "verifier=control", "verifier._target_=judging.Judge")
    before = run(*line)
    Path("helper.py").write_text("FACTOR = 3.0\n")
    sys.modules.pop("deeper.mine_in_a_folder")
    after = run(*line)
    assert after != before
    assert after == run(*line, study="three")
    sys.modules.pop("deeper.mine_in_a_folder")


DECORATED = """
import functools
import torch
def helped(function):
    from helper import FACTOR
    return functools.wraps(function)(lambda *given: FACTOR * function(*given))
{}
def score(images, prompts):
    return torch.tensor([{}] * len(images))
"""


@pytest.mark.parametrize("decorator", ["torch.no_grad()", "torch.inference_mode()", 'torch.autocast("cpu")', "helped"])
def test_an_edited_function_in_a_decorators_clothes_scores_anew(run: Run, decorator: str) -> None:
    Path("own.py").write_text(DECORATED.format("@" + decorator, 1.0))
    assert run("verifier=own.py:score") == [1.0, 1.0]
    Path("own.py").write_text(DECORATED.format("@" + decorator, 2.0))
    assert run("verifier=own.py:score") == [2.0, 2.0]


@pytest.mark.parametrize(
    ("text", "options", "key"),
    [
        (SAMPLER, ("sampler._target_=mine.Strong",), "+sampler.strength"),
        (SEARCH, ("search=random", "search._target_=mine.Mine"), "+search.shift"),
        (GENERATOR, ("search=random", "search._target_=mine.propose", "+search._partial_=true"), "+search.shift"),
    ],
)
def test_another_parameter_of_an_own_part_gets_its_own_numbers(
    run: Run, text: str, options: tuple[str, ...], key: str
) -> None:
    Path("mine.py").write_text(text)
    judged = ("verifier=control", "verifier._target_=judging.Judge")
    first = run(*options, *judged, f"{key}=1.0", study="first")
    second = run(*options, *judged, f"{key}=0.5", study="second")
    assert second != first
    assert second == run(*options, *judged, f"{key}=0.5", "output_dir=alone", study="second", folder="alone")


def test_an_edited_metric_judges_anew(run: Run) -> None:
    Path("mine.py").write_text(METRIC)
    own = ("+metrics.extractors.pixels._target_=mine.Pixels", "+metrics.per_sample.bright._target_=mine.Bright")

    def brightness() -> list[float]:
        run("verifier=control", "verifier._target_=judging.Judge", *own)
        [curve] = Path("out/one").glob("*/curve.csv")
        with curve.open(newline="") as file:
            return [float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "bright"]

    before = brightness()
    Path("mine.py").write_text(METRIC.replace("1.0 *", "1000.0 *"))
    assert before and brightness() == pytest.approx([1000 * value for value in before])


def test_edited_prompts_are_run_anew(run: Run) -> None:
    prompts = Path("prompts.txt")
    prompts.write_text("a fox\na hen\na bee\na cow\n")
    line = ("conditions=prompts", "conditions.path=prompts.txt", *OWN)
    run(*line)
    prompts.write_text("a dog\na cat\na pig\na rat\n")
    run(*line)
    [winners] = Path("out/one").glob("*/winners.parquet")
    assert set(pq.read_table(winners)["prompt"].to_pylist()) == {"a dog", "a cat", "a pig", "a rat"}


def test_what_ran_is_what_it_is_called(run: Run) -> None:
    run(*OWN)
    [curve] = Path("out/one").glob("*/curve.csv")
    with curve.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["search"], row["verifier"]) == ("Mine", "Judge")


def test_a_run_from_before_inputs_were_recorded_stays_finished_and_says_so_once(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run(*OWN)
    [inputs] = Path("out/one").glob("*/inputs.json")
    inputs.unlink()
    capsys.readouterr()
    assert run(*OWN) == before and "not known" in capsys.readouterr().out
    assert run(*OWN) == before and "not known" not in capsys.readouterr().out


def test_any_exception_of_a_part_is_one_line_and_known_to_status(run: Run) -> None:
    Path("mine.py").write_text(SEARCH.replace("for k in range(99):", "for k in [1 / 0]:"))
    with pytest.raises(SystemExit) as stopped:
        run(*OWN)
    assert "ZeroDivisionError" in str(stopped.value) and "mine.py" in str(stopped.value)
    assert "\n" not in str(stopped.value)
    [folder] = [path.parent for path in Path("out/one").glob("*/error.txt")]
    assert (folder / "config.yaml").is_file()
