"""Every option has its line, and every source its entry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from configs import options as files
from folders import make_run

from scaling.cli.study.command import main
from scaling.config.catalog import ARXIV, GROUPS, ORIGINS, Option, find, options
from scaling.config.compose import grid
from scaling.config.places import CONF
from scaling.config.references import PAPER, SOFTWARE, bibtex, table
from scaling.extras import EXTRAS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_has_a_line(group: str) -> None:
    listed = options(group)
    assert {option.name for option in listed if "/" not in option.name} == set(files(group))
    for option in listed:
        assert 15 < len(option.what) < 240, option.name
        assert not option.what.startswith(("#", "@", "scaling"))
        assert option.origin in ORIGINS
        assert set(option.extras) <= set(EXTRAS.values())


@pytest.mark.parametrize(
    ("group", "name", "origin", "extras"),
    [
        ("search", "zero_order_4", "offline", ()),
        ("verifier", "classifier", "offline", ()),
        ("verifier", "shapes_clip", "offline", ("judges",)),
        ("verifier", "shapes_self_supervised", "offline", ("judges",)),
        ("verifier", "clip_score", "download", ("judges",)),
        ("verifier", "pickscore", "download", ("judges", "models")),
        ("verifier", "inception", "download", ("judges",)),
        ("verifier", "llm_grader", "endpoint", ()),
        ("verifier", "python", "yours", ()),
        ("model", "fashion_m", "offline", ()),
        ("model", "shapes", "offline", ()),
        ("model", "sdxl", "download", ("models",)),
        ("model", "chroma", "download", ("models",)),
        ("model", "custom", "yours", ()),
        ("metrics", "llm_grader", "endpoint", ()),
        ("metrics", "imagenet", "yours", ("judges",)),
        ("metrics", "efficientnet", "yours", ("efficientnet", "judges")),
        ("conditions", "fashion", "offline", ()),
        ("conditions", "prompts", "yours", ()),
        ("experiment", "fig06", "offline", ()),
        ("experiment", "contest", "offline", ("judges",)),
        ("experiment", "paper/fig06", "yours", ("judges", "models")),
    ],
)
def test_what_an_option_needs_is_read_from_its_source(
    group: str, name: str, origin: str, extras: tuple[str, ...]
) -> None:
    option = find(group, name)
    assert option is not None
    assert (option.origin, option.extras) == (origin, extras)


def test_presets_say_how_long_they_took() -> None:
    found = {option.name: option.takes for option in options("experiment")}
    assert found["fig06"] == "22 min on one core"
    assert found["paper/fig06"] == "never run at full size by us"
    assert not [name for name, takes in found.items() if not takes]


def test_each_is_listed_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "search"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [option.name for option in options("search")]
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{group}=\n" in said for group in GROUPS)
    assert re.search(r"^sdxl +download +models +SDXL base", said, re.MULTILINE)


def citable() -> list[Option]:
    return [option for group in GROUPS if group != "experiment" for option in options(group)]


def test_every_source_has_an_entry_and_every_entry_a_use() -> None:
    named = {number for option in citable() for number in option.sources}
    assert named <= table().keys()
    assert table().keys() - named <= {PAPER, SOFTWARE}
    for option in citable():
        comment = {n for n in ARXIV.findall(option.head) if not (option.group == "model" and n == PAPER)}
        assert comment <= set(option.sources)


def test_every_entry_is_whole() -> None:
    keys = [re.match(r"@\w+\{([^,]+),", entry) for entry in table().values()]
    assert len({key[1] for key in keys if key}) == len(table())
    for entry in table().values():
        assert re.search(r"title = \{.+\},", entry) and re.search(r"year = \{(19|20)\d\d\},", entry)
        assert entry.count("{") == entry.count("}")


def test_this_project_is_cited_as_it_is() -> None:
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"title = {{{said['title']}}}" in table()[SOFTWARE]
    assert f"version = {{{said['version']}}}" in table()[SOFTWARE]
    assert said["version"] == project["version"]


def test_a_run_cites_what_it_used_and_nothing_else() -> None:
    ((config, _),) = grid(["model=sdxl", "search=smc", "verifier=pickscore", "+verifier@scorers.clip=clip_score"])
    said = bibtex([config])
    for number in ("2307.01952", "2501.06848", "2305.01569", "2104.08718", PAPER):
        assert f"eprint = {{{number}}}" in said
    for number in ("2505.17618", "2304.05977", "2401.08740"):
        assert number not in said
    assert "% search smc" in said and SOFTWARE in said
    assert said.count("2501.06848") == 1


def test_a_model_without_a_paper_is_cited_by_its_address() -> None:
    ((config, _),) = grid(["model=chroma", "conditions=prompts", "conditions.path=a.txt"])
    assert r"\url{https://huggingface.co/lodestones/Chroma1-HD}" in bibtex([config])


def test_cite_reads_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "study", conditions=20, images=False)
    assert main(["cite", str(tmp_path / "study")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("% this study") and "1708.07747" in said
    assert main(["cite", str(tmp_path)]) == 0
    assert main(["cite", str(CONF)]) == 1
    assert "holds no run" in capsys.readouterr().err
