"""Configurations that are copied are those that Hydra composes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from scaling.config.compose import CONF, alike, grid

LINES = [
    ["verifier=oracle", "budget.candidates=4", "seed=1"],
    ["verifier=oracle", "budget.candidates=16", "seed=0"],
    ["verifier=control", "budget.candidates=16", "seed=0"],
    ["verifier=oracle", "budget.candidates=1", "seed=null"],
    ["verifier=oracle", "budget.candidates='${seed}'", "seed=7"],
    ["verifier=oracle", "budget.candidates=2", "seed=8"],
    ["seed=8", "verifier=oracle", "budget.candidates=2"],
    ["search=zero_order", "+verifier@scorers.other=control", "search.neighbors=3", "study=a b"],
    ["search=zero_order", "+verifier@scorers.other=control", "search.neighbors=5", "study='1'"],
    ["search=zero_order", "+verifier@scorers.other=oracle", "search.neighbors=5", "study=c"],
    ["scorers={a: 1}", "+budget.other=1", "hydra.job.chdir=true"],
    ["scorers={b: 1}", "+budget.other=2", "hydra.job.chdir=false"],
    ["metrics=[]", "~calibration"],
]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def of_hydra(lines: list[str]) -> DictConfig:
    return compose("config", lines, return_hydra_config=True)


def test_whatever_was_composed_before_the_result_is_that_of_hydra() -> None:
    asked: list[list[str]] = []

    def counted(lines: list[str]) -> DictConfig:
        asked.append(lines)
        return of_hydra(lines)

    composed = alike(GlobalHydra.instance().config_loader(), counted)
    good = []
    for lines in LINES:
        try:
            expected = of_hydra(lines)
        except ConfigCompositionException as error:
            with pytest.raises(ConfigCompositionException, match="^" + str(error)[:20]):
                composed(lines)
        else:
            good.append((lines, expected))
    assert len(good) > 10
    for _ in range(2):
        for lines, expected in good:
            config = composed(lines)
            assert OmegaConf.to_yaml(config) == OmegaConf.to_yaml(expected), lines
            config.seed = "the caller's own"
    assert len(asked) < len(LINES)


def test_a_grid_composes_each_choice_of_options_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def counted(name: str, lines: list[str], return_hydra_config: bool) -> DictConfig:
        asked.append(lines)
        return compose(name, lines, return_hydra_config=return_hydra_config)

    monkeypatch.setattr("hydra.compose", counted)
    runs = grid(["verifier=classifier,oracle", "budget.candidates=1,2,4"])
    assert [(config["choices"]["verifier"], config["budget"]["candidates"]) for config, _ in runs] == [
        (verifier, candidates) for verifier in ("classifier", "oracle") for candidates in (1, 2, 4)
    ]
    assert len(asked) == 2


def test_an_unknown_key_is_refused_though_its_neighbor_was_composed() -> None:
    composed = alike(GlobalHydra.instance().config_loader(), of_hydra)
    composed(["budget.candidates=4"])
    with pytest.raises(ConfigCompositionException, match=r"budget\.candidate'"):
        composed(["budget.candidate=4"])
