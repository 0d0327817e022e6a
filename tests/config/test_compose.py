"""The grid of runs that a command line means."""

from __future__ import annotations

import pytest
from hydra.errors import ConfigCompositionException

from scaling.config.compose import grid


def test_a_grid_is_every_combination_in_the_order_of_a_multirun() -> None:
    runs = grid(["verifier=classifier,oracle", "budget.candidates=1,2,4"])
    assert [(config["choices"]["verifier"], config["budget"]["candidates"]) for config, _ in runs] == [
        (verifier, candidates) for verifier in ("classifier", "oracle") for candidates in (1, 2, 4)
    ]
    assert runs[1][1] == ["verifier=classifier", "budget.candidates=2"]
    assert all("hydra" not in config for config, _ in runs)


def test_an_experiment_is_swept_as_it_says_but_for_what_is_typed() -> None:
    whole, one = grid(["experiment=quickstart"]), grid(["experiment=quickstart", "verifier=oracle"])
    assert {config["choices"]["verifier"] for config, _ in one} == {"oracle"}
    assert len(whole) == 2 * len(one)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigCompositionException, match=r"budget\.candidate'"):
        grid(["budget.candidate=4"])
