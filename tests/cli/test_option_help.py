"""Help on an option is what its file says, a line a parameter, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from scaling.cli.option_help import chosen, general_help, option_help
from scaling.config.places import CONF

GROUPS = ("search", "verifier", "model", "conditions", "budget")


def test_an_option_is_explained_with_its_parameters() -> None:
    said = option_help("search", "zero_order", width=80).splitlines()
    assert said[:2] == [
        "search=zero_order",
        "Zero-order search (ZO-N): the best of N neighbors becomes the pivot. Ma et al.",
    ]
    assert "  search.neighbors=2  N; the paper: 2, 4, 8 on ImageNet, 2 on text-to-image" in said
    assert all(len(line) <= 80 for line in said)


def test_what_an_option_builds_on_is_explained_too() -> None:
    said = option_help("search", "zero_order_4", width=120)
    assert "  search.neighbors=4  N; the paper" in said
    assert "  search.cosine=0.95" in said
    assert "  model.guidance_scale=" in option_help("model", "sit_b")


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))],
)
def test_every_option_composes_and_every_key_that_is_named_can_be_typed(group: str, name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"{group}={name}"])
    assert OmegaConf.to_container(config, resolve=True)
    for line in option_help(group, name, width=400).splitlines()[1:]:
        if line.startswith("  ") and "=" in line.split()[0]:
            node, _, key = line.split()[0].partition("=")[0].rpartition(".")
            assert key in list(OmegaConf.select(config, node)), f"{node}.{key}"


def test_only_options_with_help_beside_them_are_asked_about(tmp_path: Path) -> None:
    assert chosen(["search=zero_order", "seed=3", "model.path=x", "--help"]) == [("search", "zero_order")]
    assert chosen(["search=zero_order"]) == []
    assert chosen(["--help"]) == []


def test_without_an_option_all_of_them_are_listed_those_of_a_folder_of_ones_own_too(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "mine.yaml").write_text("_target_: mine.Search\n")
    said = " ".join(general_help(["--config-dir", str(tmp_path), "--help"], width=80).split())
    for group in GROUPS:
        names = sorted([path.stem for path in (CONF / group).glob("*.yaml")] + ["mine"] * (group == "search"))
        assert f" {group}: {', '.join(names)} " in said
    assert "mine" not in general_help()
    assert "experiment/tuned: beam" in said
    assert all(len(line) <= 100 for line in general_help(width=80).splitlines())
