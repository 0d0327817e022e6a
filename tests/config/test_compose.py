"""The grid of runs that a command line means."""

from __future__ import annotations

from typing import Any

import hydra
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from scaling.config.compose import LATER, grid
from scaling.config.places import CONF


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


def test_jobs_that_differ_in_values_are_as_hydra_composes_each() -> None:
    lines = ["search=random,zero_order", "budget.candidates=[1,2],[4],8", "seed=0,1", "+search.note=null,'a b'"]
    lines += ["metrics.set.fid.width=32", "~metrics.set.kid", "batch_size=null,4"]
    runs = grid(lines)
    assert len(runs) == 48
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for config, overrides in runs[::5]:
            alone = OmegaConf.to_container(compose("config", overrides), resolve=True)
            for group, names in LATER.items():
                for name in names:
                    assert alone[group].pop(name) is None
            assert {key: value for key, value in config.items() if key != "choices"} == alone


def test_a_choice_of_options_is_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []

    def counted(*args: Any, **options: Any) -> Any:
        composed.append(args)
        return compose(*args, **options)

    monkeypatch.setattr(hydra, "compose", counted)
    assert len(grid(["search=random,zero_order", f"seed={','.join(map(str, range(20)))}"])) == 40
    assert len(composed) == 3  # one more to read the sweep
