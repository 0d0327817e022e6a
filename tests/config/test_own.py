"""Parts of one's own in place of an option: by their file, or as entry points of an installed package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from scaling.cli.errors import one_line
from scaling.config.build import build, clear_cache, labels
from scaling.config.compose import grid
from scaling.config.places import CONF

PARTS = """
import math
from dataclasses import dataclass
from typing import ClassVar
from fractions import Fraction as Part
from scaling.protocols import Proposal

@dataclass(frozen=True, kw_only=True)
class Halfway:
    open_loop: ClassVar[bool] = False
    share: float = 0.5
    name: str = "half"
    steps: list = None

    def __call__(self, space):
        yield Proposal(space.start(space.draw("candidate", 0)), space.times)

def fresh(space, offset=0, scale=math.pi):
    yield Proposal(space.start(space.draw("candidate", offset)), space.times)

def redness(images, prompts, strength=1.0):
    return strength * images[:, 0].mean(dim=(1, 2))

class Judge:
    differentiable, probe_sigma = True, None
    def __init__(self, *, weight=2):
        self.weight = weight
    def __call__(self, images, conditions, probes=None):
        return self.weight * images.flatten(1).mean(1)
    def identity(self):
        return {"weight": self.weight}

class Labels:
    def __init__(self, count=3):
        self.count = count

class Model:
    def __init__(self, guidance_scale: float = 1.5):
        self.guidance_scale = guidance_scale
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    clear_cache()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("parts_of_mine", "parts_in_a_package")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    (tmp_path / "parts_of_mine.py").write_text(PARTS)
    return tmp_path


def composed(*overrides: str) -> dict[str, Any]:
    ((config, _),) = grid(["model=gaussian_mixture", *overrides])
    return config


def refused(*overrides: str) -> str:
    with pytest.raises(Exception) as error:  # Hydra's own or a ValueError: a user sees one line
        composed(*overrides)
    return one_line(error.value, CONF)


def test_a_search_by_its_file_has_its_defaults_and_its_name() -> None:
    config = composed("search=parts_of_mine.py:Halfway", "search.share=0.7")
    assert config["search"] == {"_target_": "parts_of_mine.Halfway", "share": 0.7, "name": "half", "steps": None}
    assert labels(config)["search"] == "Halfway"
    assert build("search", config["search"]).share == 0.7


def test_a_function_is_a_search_too() -> None:
    config = composed("search=parts_of_mine.py:fresh", "search.offset=2")
    assert config["search"] == {"_target_": "parts_of_mine.fresh", "_partial_": True, "offset": 2}
    assert build("search", config["search"]).keywords == {"offset": 2}
    assert labels(config)["search"] == "fresh"


def test_a_function_judges_as_verifier_scorer_and_metric() -> None:
    choice = "parts_of_mine.py:redness"
    config = composed(f"verifier={choice}", f"+verifier@scorers.red={choice}", f"metrics={choice}")
    own = {"function": choice, "arguments": {"strength": 1.0}}
    assert config["verifier"] == config["scorers"]["red"] == {"_target_": "scaling.verifiers.python.Python", **own}
    assert config["metrics"]["extractors"]["redness"] == {"_target_": "scaling.verifiers.python.PythonValues", **own}
    assert config["metrics"]["per_sample"]["redness"]["feature"] == "redness.value"
    assert labels(config)["verifier"] == "redness"
    assert labels(composed("verifier=python", f"verifier.function={choice}"))["verifier"] == "redness"


def test_a_class_that_takes_conditions_is_a_verifier_as_it_is() -> None:
    config = composed("verifier=parts_of_mine.py:Judge", "verifier.weight=3")
    assert config["verifier"] == {"_target_": "parts_of_mine.Judge", "weight": 3}
    assert labels(config)["verifier"] == "Judge"


def test_models_and_conditions_by_their_file() -> None:
    ((config, _),) = grid(["model=parts_of_mine.py:Model", "conditions=parts_of_mine.py:Labels", "conditions.count=5"])
    assert config["model"] == {"_target_": "parts_of_mine.Model", "guidance_scale": 1.5}
    assert config["conditions"] == {"_target_": "parts_of_mine.Labels", "count": 5}
    assert config["choices"]["verifier"] == "control"
    assert labels(config)["model"] == "Model"


def test_they_are_swept_beside_options_and_found_in_folders(folder: Path) -> None:
    (folder / "deeper").mkdir()
    (folder / "deeper" / "others.py").write_text(PARTS)
    runs = grid(["model=gaussian_mixture", "search=random,deeper/others.py:Halfway,parts_of_mine.py:fresh"])
    targets = [config["search"]["_target_"] for config, _ in runs]
    assert targets == ["scaling.search.random.Random", "deeper.others.Halfway", "parts_of_mine.fresh"]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("search=parts_of_mine.py:Halfwey", "parts_of_mine.py has no Halfwey; did you mean Halfway?"),
        ("search=parts_of_mine.py:Zzz", "did you mean Halfway or Judge or Labels or Model or fresh or redness?"),
        ("verifier=parts_of_mine.py:rednes", "did you mean redness?"),
        ("search=elsewhere.py:Halfway", "there is no file elsewhere.py (seen from"),
        ("search=elsewhere:Halfway", "there is no module elsewhere; a file is named with its suffix"),
        ("search=random.py:Mine", "random.py cannot be imported as random: its name has to be a Python name"),
        ("search=broken.py:Mine", "broken.py, line 1: expected an indented block"),
    ],
)
def test_what_is_not_there_is_one_line(override: str, line: str, folder: Path) -> None:
    (folder / "random.py").write_text("class Mine: ...\n")  # the standard library's name
    (folder / "broken.py").write_text("class Mine:\n")
    said = refused(override)
    assert line in said and "\n" not in said


ENTRY_POINTS = """
[scaling.search]
halfway_of_a_package = parts_in_a_package.parts:Halfway
[scaling.verifiers]
redness_of_a_package = parts_in_a_package.parts:redness
[scaling.metrics]
bright = parts_in_a_package.parts:redness
[scaling.models]
model_of_a_package = parts_in_a_package.parts:Model
[scaling.conditions]
labels_of_a_package = parts_in_a_package.parts:Labels
"""


@pytest.fixture
def package(folder: Path) -> Path:
    """What an installer leaves of a package: its modules, its yamls and its metadata."""
    parts, metadata = folder / "parts_in_a_package", folder / "parts_in_a_package-1.0.dist-info"
    for place in (parts / "conf" / "search", metadata):
        place.mkdir(parents=True)
    (parts / "__init__.py").write_text("")
    (parts / "parts.py").write_text(PARTS)
    (parts / "conf" / "search" / "tuned_of_a_package.yaml").write_text(
        "# Tuned.\n_target_: parts_in_a_package.parts.Halfway\nshare: 0.9\n"
    )
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: parts-in-a-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.mark.usefixtures("package")
def test_entry_points_of_a_package_are_options_of_every_group() -> None:
    config = composed("search=halfway_of_a_package", "verifier=redness_of_a_package", "metrics=bright")
    assert config["search"]["_target_"] == "parts_in_a_package.parts.Halfway"
    assert config["verifier"]["function"] == "parts_in_a_package.parts:redness"
    assert list(config["metrics"]["per_sample"]) == ["redness"]
    assert labels(config)["search"] == "halfway_of_a_package"
    ((config, _),) = grid(["model=model_of_a_package", "conditions=labels_of_a_package"])
    assert config["model"]["_target_"] == "parts_in_a_package.parts.Model"
    assert config["conditions"] == {"_target_": "parts_in_a_package.parts.Labels", "count": 3}


@pytest.mark.usefixtures("package")
def test_yamls_of_a_package_are_options_and_all_are_offered_where_a_name_is_misspelt() -> None:
    assert composed("search=tuned_of_a_package")["search"]["share"] == 0.9
    said = refused("search=halfway_of_a_packag")
    assert "did you mean halfway_of_a_package?" in said and "tuned_of_a_package" in said and "zero_order" in said


def test_nothing_of_a_package_is_there_without_it() -> None:
    assert "halfway_of_a_package" not in refused("search=halfway_of_a_packag")


@pytest.mark.parametrize("way", ["yaml", "entry point"])
def test_a_package_cannot_have_an_option_of_our_name(way: str, package: Path) -> None:
    if way == "yaml":
        (package / "parts_in_a_package/conf/search/random.yaml").write_text(
            "_target_: parts_in_a_package.parts.Halfway"
        )
    else:
        points = package / "parts_in_a_package-1.0.dist-info/entry_points.txt"
        points.write_text(ENTRY_POINTS.replace("halfway_of_a_package", "random"))
    assert "search/random is ours; give the package's another name" in refused("search=random")
