"""A plain install works from any folder: configuration and weights are in the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone, built with the installed hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_configuration_weights_and_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for path in (
        *ROOT.glob("conf/**/*.yaml"),
        *ROOT.glob("scaling/weights/*"),
        *ROOT.glob("scaling/analysis/paper/*"),
        ROOT / "scaling" / "references.bib",
    ):
        inside = path.relative_to(ROOT).as_posix()
        inside = inside if inside.startswith("scaling/") else f"scaling/{inside}"
        assert path.is_dir() or inside in names
    assert "scaling/py.typed" in names  # its types are for users, too (PEP 561)


def test_it_runs_outside_the_clone(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from scaling.cli.run import main, CONF; main()"
    arguments = ["model=fashion_s", "conditions.count=4", "budget.candidates=[1,2]", "batch_size=4", "logger=none"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments], cwd=elsewhere, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (curve,) = elsewhere.glob("outputs/*/*/curve.csv")
    assert "accuracy" in curve.read_text()


BLOCKED = ("accelerate", "open_clip", "plotly", "timm", "torch_fidelity", "torchvision", "transformers")
LIGHT = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
from scaling.cli.run import main
main()
"""


@pytest.mark.slow
def test_the_light_core_runs_without_the_extras_and_names_the_one_that_is_missing(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LIGHT, *arguments, "logger=none", "conditions.count=20", "batch_size=4"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    done = run("model=gaussian_mixture", "budget.candidates=[1,2]")
    assert done.returncode == 0, done.stderr
    refused = run("model=fashion_s", "verifier=dino_linear", "budget.candidates=[1,2]")
    assert refused.returncode == 1
    assert "pip install 'scaling-study[" in refused.stderr


def test_every_extra_that_a_text_names_is_there() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("conf/**/*.yaml"),
        *ROOT.glob("scaling/**/*.py"),
    ]
    text = "\n".join(path.read_text() for path in texts)
    named = {name for group in re.findall(r"scaling-study\[([a-z,]+)\]", text) for name in group.split(",")}
    assert named and named <= extras
    assert not re.findall(r"pip install [^\n]*scaling\[", text)
