"""What decides a run's name, and what does not."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from scaling.config.build import build, study_of
from scaling.config.compose import grid
from scaling.config.outline import outline_of
from scaling.config.renamed import current, former, refuse_former, renamed
from scaling.config.run_name import deciding, execution_only, run_name
from scaling.output.run_folder import ROOM, slug
from scaling.verifiers.endpoint import Endpoint


def name(*overrides: str) -> str:
    ((config, said),) = grid(["model=flux_dev", *overrides])
    return run_name(config, said)


def test_a_key_by_its_former_name_is_refused_and_names_the_new_one() -> None:
    ((config, said),) = grid(["model=fashion_s", "+metrics.set.fid.reads=evaluator.features"])
    with pytest.raises(ValueError, match="metrics.set.fid.reads is called metrics.set.fid.feature by now"):
        study_of(config, said)
    assert renamed("journal.probe") == "journal.probe_sigma" and renamed("journal.retention") is None


def test_a_recorded_configuration_is_read_and_named_as_before() -> None:
    ((config, said),) = grid(["model=fashion_s", "verifier=dino_self_supervised"])
    recorded = former(config)
    assert recorded["journal"]["keep"] == "latents" and recorded["verifier"]["probe"] == 0.4
    assert recorded["metrics"]["set"]["fid"]["reads"] == "evaluator.features"
    assert current(recorded) == config
    assert run_name(recorded, said) == run_name(config, said)
    ((selected, _),) = grid(["model=fashion_s", "verifier=fid_oracle_fashion"])
    assert former(selected)["verifier"]["reads"] == selected["verifier"]["feature"] == "evaluator.features"


def test_a_search_that_needs_guidance_is_planned_before_its_model_is_built() -> None:
    guided = ["search=halving", "search.by=guidance_gap", "model.guidance_scale=2"]
    words = ["model=shapes", "verifier=shapes_clip", *guided]
    ((config, said),) = grid(words)
    assert outline_of(config, said, build_model=False).search.by == "guidance_gap"
    ((config, said),) = grid([*words, "model.guidance_scale=1"])
    with pytest.raises(ValueError, match="it needs a model that runs guidance"):
        study_of(config, said)


def test_parameters_of_others_are_called_as_they_like() -> None:
    own = {"metrics": {"set": {"mine": {"_target_": "mine.Metric", "reads": "a.b"}}}}
    assert current(own) == own == former(own)
    refuse_former(own)


GRADED = ("verifier=llm_grader",)


@pytest.mark.parametrize(
    "override",
    [
        "model.device=cuda:1",
        "model.offload=model",
        "model.chunk=1",
        "+model.prompt_cache=/tmp/prompts",
        "verifier.judge.store=/tmp/answers.sqlite",
        "verifier.judge.cap=50",
        "verifier.judge.workers=2",
        "output_dir=/tmp/elsewhere",
        "conditions.get=curl",
    ],
)
def test_where_and_how_do_not_rename_a_run(override: str) -> None:
    assert name(*GRADED, override) == name(*GRADED)


@pytest.mark.parametrize("override", ["model.tiling=true", "model.vae_dtype=float32", "verifier.judge.model=other"])
def test_what_may_change_a_bit_does(override: str) -> None:
    assert name(*GRADED, override) != name(*GRADED)


def test_encoders_and_extractors_are_looked_into() -> None:
    assert name("verifier.encoder.device=cuda:1") == name()
    metrics = "metrics=blip_vqa"
    assert name(metrics, "metrics.extractors.blip_vqa.device=cpu") == name(metrics)


def test_others_parts_keep_all_their_words() -> None:
    ((config, _),) = grid(["model=flux_dev"])
    mine = {**config, "verifier": {"_target_": "mine.Verifier", "cap": 1, "device": "cpu"}}
    assert deciding(mine)["verifier"] == mine["verifier"]
    assert "device" not in deciding({**config, "model": {"_target_": "mine.Model", "device": "cpu"}})["model"]
    assert config["model"]["device"] == "auto"  # the configuration itself stays whole


def test_equal_nodes_are_one_object_wherever_they_stand() -> None:
    node = {"_target_": "scaling.verifiers.control.Control", "seed": 5}
    assert build("verifier", node) is build("scorers.control", node)


def test_a_class_says_what_decides_nothing_and_digests_stay_as_they_were() -> None:
    assert "cap" in Endpoint.execution_only and "model" not in Endpoint.execution_only
    ((config, _),) = grid(["model=gaussian_mixture", "verifier=control"])
    here = {**config, "model": {**config["model"], "device": "cuda:3"}}
    assert deciding(here) == deciding(config)
    assert execution_only("scaling.verifiers.nowhere.Judge") == execution_only("scaling") == frozenset()


def test_a_parameter_that_came_later_leaves_the_names_of_before() -> None:
    ((config, _),) = grid(["model=gaussian_mixture", "verifier=control", "search=smc"])
    search = {name: value for name, value in config["search"].items() if name not in ("tempering", "funnel")}
    assert deciding({**config, "search": search}) == deciding(config)
    assert deciding({**config, "search": {**search, "funnel": 0.5}}) != deciding(config)


def test_a_folder_is_called_by_what_varies_and_needs_no_quotes() -> None:
    long = "conditions.names=[" + ",".join(f"a very long class {k}" for k in range(40)) + "]"
    for count in (1, 16):
        called = slug([long, "verifier@scorers.other=control", f"budget.candidates=[{count},32]", "seed=-1"])
        assert f"__other-control__candidates-{count}-32__seed--1" in called
        assert len(called) <= ROOM and shlex.quote(called) == called


def test_a_folder_under_a_former_name_is_still_the_runs(tmp_path: Path) -> None:
    now = name(f"output_dir={tmp_path}", "study=one")
    former = tmp_path / "one" / f"model=flux_dev,budget-{now.rpartition('-')[2]}"
    former.mkdir(parents=True)
    assert name(f"output_dir={tmp_path}", "study=one") == former.name
    assert name(f"output_dir={tmp_path}", "study=one", "seed=7") not in (now, former.name)
