"""Every command and option that a page names is one: parsed and composed, not run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from pages import EXAMPLES, PAGES, ROOT, TEXTS, commands, quoted, steps, words

from scaling.cli.errors import one_line
from scaling.cli.study.command import arguments_of
from scaling.config.catalog import GROUPS
from scaling.config.compose import CONF
from scaling.config.plugins import register
from scaling.config.quick import spelled

OPTION = re.compile(rf"\+?({'|'.join(GROUPS)}|budget|logger|quick|calibration)(?:@[\w.]+)?=([\w/,]++)(?![.:])")
FILE = re.compile(r"(?<![\w/.])((?:scripts|tests|scaling|conf)/[\w/.-]+\.(?:py|yaml))")
HYDRA = ("-m", "--help", "--cfg", "job")
UNNAMED = ("true", "figNN", "X", "a", "b", "x", "y")  # what stands for any option, or for a plain value


def compose_one(overrides: list[str]) -> None:
    """Composes the first run that these words mean; fails with the line that a user would see."""
    given = [word for word in overrides if "=" in word and not word.startswith(("hydra/", "hydra."))]
    swept = [word for word in given if "," in word and not {"[", "{", '"'} & set(word)]
    firsts = [word.partition(",")[0] if word in swept else word for word in given]
    register()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            compose("config", spelled(firsts), return_hydra_config=True)
    except Exception as error:
        pytest.fail(one_line(error, CONF))


@pytest.mark.parametrize("line", commands("scaling-study"))
def test_a_command_of_scaling_study_is_one(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = words(line)
    if len(given) == 1 or given[-1].startswith("--"):  # a mention without its arguments
        with pytest.raises(SystemExit) as ended:
            arguments_of().parse_args([given[0], "--help"])
        said = capsys.readouterr().out
        assert ended.value.code == 0 and all(word in said for word in given[1:] if word.startswith("--"))
        return
    options = arguments_of().parse_args(given)
    if given[0] == "plan":
        compose_one(options.overrides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all Python files that pages show, those of one name together: `judge.py:redness` is looked for."""
    made = tmp_path_factory.mktemp("own")
    shown = [step for page in (*PAGES.glob("*.md"), *EXAMPLES.glob("*.md")) for step in steps(page)]
    shown += re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", TEXTS[0].read_text(), re.DOTALL | re.MULTILINE)
    for name, text in shown:
        if name.endswith(".py"):
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            with (made / name).open("a") as file:
                file.write(text)
    return made


@pytest.fixture
def own_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is that one."""
    monkeypatch.chdir(folder)


@pytest.mark.usefixtures("own_files")
@pytest.mark.parametrize("line", [line for line in commands("scaling") if "antithetic" not in line])  # an installed one
def test_a_command_of_scaling_composes(line: str) -> None:
    unknown = [word for word in words(line) if "=" not in word and word not in HYDRA]
    assert not unknown
    compose_one(words(line))


def test_every_option_that_a_page_names_is_there() -> None:
    lacking = {
        f"{path.name}: {group}={name}"
        for path in TEXTS
        for code in quoted(path)
        for group, names in OPTION.findall(code)
        for name in names.split(",")
        if name and name not in UNNAMED and not (CONF / group / f"{name}.yaml").is_file()
    }
    assert not lacking


def test_every_file_of_the_project_that_a_page_names_is_there() -> None:
    named = {name for path in TEXTS for name in FILE.findall(path.read_text()) if "/my_" not in name}
    assert len(named) > 10
    assert not {name for name in named if not (ROOT / name).is_file()}


def test_every_script_that_a_page_runs_does_something() -> None:
    named = {name for path in TEXTS for name in re.findall(r"python (scripts/\w+\.py)", path.read_text())}
    assert len(named) > 5
    assert not {name for name in named if "__main__" not in (ROOT / name).read_text()}
