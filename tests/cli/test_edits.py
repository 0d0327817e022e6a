"""After an edit behind the command's back: fresh numbers, or a word; and nothing anew where nothing decides."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaling.cli.run import main
from scaling.config.build import clear_cache
from scaling.search.random import Random

COMMON = ["block_size=4", "batch_size=4", "logger=none", "progress=false", "samples=0"]
MIXTURE = ["model=gaussian_mixture", "conditions.count=4", "budget.candidates=[1,2]"]
Run = Callable[..., dict[str, list[float]]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], without_pictures: None
) -> Iterator[Run]:
    """Runs the command in a folder of its own as a new process would; its curve by metric."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def ran(*arguments: str, outputs: str = "out") -> dict[str, list[float]]:
        sys.modules.pop("mine", None)
        clear_cache()
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["scaling", *COMMON, *arguments, "study=one", f"output_dir={outputs}"])
        main()
        [curve] = Path(outputs, "one").glob("*/curve.csv")
        found: dict[str, list[float]] = {}
        with curve.open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["metric"], []).append(float(row["value"]))
        return found

    yield ran
    sys.modules.pop("mine", None)


def fresh(run: Run, before: dict[str, list[float]], *line: str) -> None:
    """The same command gives other numbers by now, those of a place where nothing was there before."""
    after = run(*line)
    assert after != before
    assert after == run(*line, outputs="elsewhere")


def test_weights_overwritten_in_place(run: Run, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    from scaling.loading.weights_file import weights_path

    def write(factor: float) -> None:
        with safe_open(weights_path("fashion_s"), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            changed = {name: value * factor if value.ndim > 1 else value for name, value in tensors.items()}
            save_file(changed, tmp_path / "w.safetensors", file.metadata())

    write(1.0)
    line = ("model=fashion_s", "model.path=w.safetensors", "model.device=cpu", "metrics=none", "conditions.count=2")
    line = (*line, "budget.candidates=[1]", "verifier=control", "budget.nfes_per_iter=2")
    before = run(*line)
    write(0.9)
    fresh(run, before, *line)


SAYS_LITTLE = """
class Judge:
    differentiable, probe_sigma = True, None
    def __init__(self, w=1.0):
        self.w = w
    def __call__(self, images, conditions, probes=None):
        return self.w * images.flatten(1).mean(1)
    def identity(self):
        return {"class": "Judge"}
"""


def test_a_verifiers_argument_that_its_identity_leaves_out(run: Run) -> None:
    Path("mine.py").write_text(SAYS_LITTLE)
    line = (*MIXTURE, "verifier=control", "verifier._target_=mine.Judge")
    one = run(*line, "+verifier.w=1.0")
    other = run(*line, "+verifier.w=-1.0", outputs="out2")
    assert other != one
    again = run(*line, "+verifier.w=-1.0", "search=zero_order", outputs="out3")
    run(*line, "+verifier.w=1.0", "search=zero_order", outputs="out4")
    Path("out4/one").rename("out4/two")
    assert run(*line, "+verifier.w=-1.0", "search=zero_order", outputs="out4") == again  # of another stream there


READS = """
class Judge:
    differentiable, probe_sigma = True, None
    def __call__(self, images, conditions, probes=None):
        import torch
        return torch.tensor([float(each.metadata["want"]) for each in conditions])
class Sees:
    def __call__(self, images, conditions):
        return {"want": self.of(images, conditions)}
    def of(self, images, conditions):
        return Judge()(images, conditions)[:, None]
class Want:
    feature = "sees.want"
    def __call__(self, values, labels):
        return values[:, 0]
"""


def test_a_column_of_the_prompts_file_that_judge_and_metric_read(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(READS)
    prompts = Path("prompts.csv")
    prompts.write_text("prompt,want\na fox,1\na hen,2\n")
    line = ("model=gaussian_mixture", "conditions=prompts", "conditions.path=prompts.csv", "budget.candidates=[1,2]")
    line = (*line, "verifier=control", "verifier._target_=mine.Judge", "+metrics.extractors.sees._target_=mine.Sees")
    line = (*line, "+metrics.per_sample.want._target_=mine.Want")
    assert run(*line)["want"] == [1.5, 1.5]
    prompts.write_text("prompt,want\na fox,5\na hen,2\n")
    after = run(*line)
    assert after["want"] == after["Judge"] == [3.5, 3.5]
    [folder] = Path("out/one").glob("*/cost.json")
    assert json.loads(folder.read_text())["paid"]["nfe"] == 0  # the samples are the journal's


def test_a_file_that_is_written_anew_as_it_was(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(SAYS_LITTLE)
    line = (*MIXTURE, "verifier=control", "verifier._target_=mine.Judge")
    before = run(*line)
    Path("mine.py").unlink()
    Path("mine.py").write_text(SAYS_LITTLE)
    assert run(*line) == before
    assert "already finished, nothing to do" in capsys.readouterr().out


FASHION = ("model=fashion_s", "model.device=cpu", "metrics=none", "conditions.count=2", "budget.candidates=[1]")
FASHION = (*FASHION, "verifier=control", "budget.nfes_per_iter=2")


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_runs_of_when_guidance_under_1_meant_something_else_are_not_served(
    run: Run, capsys: pytest.CaptureFixture[str], scale: float
) -> None:
    line = (*FASHION, f"model.guidance_scale={scale}")
    before = run(*line)
    [folder] = [path.parent for path in Path("out/one").glob("*/curve.csv")]
    environment = json.loads((folder / "environment.json").read_text())
    for stream in environment["identities"]["streams"].values():
        stream["denoiser"]["guidance_scale"] = scale  # as it was called then
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "inputs.json").write_text("{}")
    (folder / "curve.csv").write_text((folder / "curve.csv").read_text().replace("2,", "3,"))
    again = run(*line)
    said = capsys.readouterr()
    if scale < 1:
        assert again == before
        assert "denoiser.guidance_scale was 0.5, now none" in said.err
    else:
        assert "already finished" in said.out


def test_a_class_of_ours_whose_answers_changed(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (*MIXTURE, "verifier=control", "search=random")
    run(*line)
    monkeypatch.setattr(Random, "version", 2, raising=False)
    run(*line)
    said = capsys.readouterr()
    assert "search._target_" in said.out and "search.version was None, now 2" in said.err
    [cost] = Path("out/one").glob("*/cost.json")
    assert json.loads(cost.read_text())["paid"]["nfe"] > 0
    run(*line)
    assert "already finished" in capsys.readouterr().out


BY_FILE = """
import json, pathlib, torch
class Judge:
    differentiable, probe_sigma = True, None
    def __init__(self, path="head.json", more=None):
        self._factor = json.loads(pathlib.Path(more["extra"][0] if more else path).read_text())
        self.path, self.more = path, more
    def __call__(self, images, conditions, probes=None):
        return self._factor * images.flatten(1).mean(1)
def judge(images, prompts, head):
    return json.loads(pathlib.Path(head).read_text()) * images.flatten(1).mean(1)
class Table:
    def __init__(self, table):
        self.table = table
    def __call__(self, space):
        from scaling.protocols import Proposal
        for k in range(99):
            yield Proposal(space.start(space.draw("candidate", k)) + json.loads(open(self.table).read()), space.times)
def propose(space, table):
    yield from Table(table)(space)
"""
OWN_JUDGE = ("verifier=control", "verifier._target_=mine.Judge")
FILED = {
    "a path": (*OWN_JUDGE, "+verifier.path=head.json"),
    "a path within": (*OWN_JUDGE, "+verifier.more={extra:[./head.json]}"),
    "its default": OWN_JUDGE,
    "a function's argument": (
        "verifier=python",
        "verifier.function=mine.py:judge",
        "+verifier.arguments={head:head.json}",
    ),
    "a search's": ("verifier=control", "search=random", "search._target_=mine.Table", "+search.table=head.json"),
    "a generator's": ("verifier=control", "search=mine.py:propose", "+search.table=head.json"),
}


@pytest.mark.parametrize("line", FILED.values(), ids=FILED)
@pytest.mark.parametrize("study", ["one", "two"])
def test_a_file_that_a_part_of_ones_own_is_given_is_edited_in_place(
    run: Run, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], study: str
) -> None:
    Path("mine.py").write_text(BY_FILE)
    Path("head.json").write_text("1.0")
    before = run(*MIXTURE, *line)
    assert run(*MIXTURE, *line) == before and "already finished" in capsys.readouterr().out
    Path("head.json").write_text("3.0")
    if study == "two":  # of the same journal
        Path("out/one").rename("out/two")
    fresh(run, before, *MIXTURE, *line)


LOADS = """
import pathlib, torch
HEAD = torch.load(pathlib.Path(__file__).parent / "head.pt", weights_only=True)
class Judge:
    differentiable, probe_sigma = True, None
    def __call__(self, images, conditions, probes=None):
        return HEAD * images.flatten(1).mean(1)
class Mine:
    def __call__(self, space):
        from scaling.protocols import Proposal
        for k in range(99):
            yield Proposal(space.start(space.draw("candidate", k)) + HEAD, space.times)
"""


@pytest.mark.parametrize(
    "line", [OWN_JUDGE, ("verifier=control", "search=mine.py:Mine"), ("verifier=mine.py:Judge",)], ids=str
)
def test_weights_that_own_code_loads_by_a_name_in_it_are_edited_in_place(run: Run, line: tuple[str, ...]) -> None:
    import torch

    Path("mine.py").write_text(
        LOADS if line[0] != "verifier=mine.py:Judge" else LOADS.replace("conditions, probes=None", "_")
    )
    torch.save(torch.tensor(1.0), "head.pt")
    before = run(*MIXTURE, *line)
    torch.save(torch.tensor(3.0), "head.pt")
    fresh(run, before, *MIXTURE, *line)


SCORES = "import sys\nfor line in sys.stdin: print({})\n"
COMMANDS = {
    "as a module": f"{sys.executable} -m judge",
    "of a package": f"{sys.executable} -m judges.first",
    "in quotes": f'bash -c "{sys.executable} judge.py"',
    "in a script": "bash judge.sh",
    "with weights": f"{sys.executable} weighs.py",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_code_behind_a_command_is_edited_in_place(run: Run, command: str) -> None:
    def write(score: float) -> None:
        Path("judges").mkdir(exist_ok=True)
        Path("judges/__init__.py").write_text("")
        for path in ("judge.py", "judges/first.py"):
            Path(path).write_text(SCORES.format(score))
        Path("factor.npy").write_text(str(score))

    Path("judge.sh").write_text(f"# scores\nexec {sys.executable} judge.py\n")
    Path("weighs.py").write_text(SCORES.format("open('factor.npy').read()"))
    line = (*MIXTURE, "verifier=command", f"verifier.command='{command}'")
    write(1.0)
    assert run(*line)["command"] == [1.0, 1.0]
    write(2.0)
    assert run(*line)["command"] == [2.0, 2.0]


def test_a_file_given_before_content_was_recorded_is_taken_for_the_same_and_said(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(BY_FILE)
    Path("head.json").write_text("1.0")
    line = (*MIXTURE, *FILED["a path"])
    before = run(*line)
    [path] = Path("out/one").glob("*/environment.json")
    description = json.loads(path.read_text())
    judge = description["identities"]["verifiers"]["Judge"]
    assert set(judge["path"]) == {"content"}
    judge["path"] = "head.json"
    path.write_text(json.dumps(description))
    (path.parent / "inputs.json").write_text('{"verifier.path": "0123456789abcdef"}')
    assert run(*line) == before
    assert "made before path was recorded, which cannot be compared" in capsys.readouterr().err
    assert run(*line) == before
    assert "already finished, nothing to do" in capsys.readouterr().out


SELECTOR = """
import sys
sys.path.insert(0, sys.argv[1])
from mine import Picks, Bright
from scaling.identity import digest_of
print(digest_of(Picks(0.5)), digest_of(Bright(2.0)))
"""
PARTS = """
class Picks:
    def __init__(self, share):
        self.share = share
    def pick(self, scores):
        return 0
class Bright:
    feature = "pixels.flat"
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, values, labels):
        return self.factor * values.mean(1)
"""


def test_a_selector_and_a_metric_without_repr_are_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PARTS)
    line = [sys.executable, "-c", SELECTOR, str(tmp_path)]
    said = [subprocess.run(line, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert said[0] == said[1]
    (tmp_path / "mine.py").write_text(PARTS.replace("self.factor *", "2 * self.factor *"))
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout != said[0]
