"""The text-to-image half of conf/ composes, and every node names arguments that its target takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configs import check
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
BUDGETS = {
    "flux_dev": 30, "flux_schnell": 4, "sd3": 28, "sd35": 28, "sdxl": 40, "sdxl_dpo": 40, "sdxl_turbo": 1, "sd15":
    50, "pixart_sigma": 30, "sana": 20, "qwen_image": 50, "pipeline": 30, "whole_pipeline": 30, "flux2_dev": 50,
    "flux2_klein": 4, "z_image": 50, "z_image_turbo": 8, "sana_sprint": 2, "lumina2": 50, "chroma": 40, "cogview4":
    50, "hidream": 50, "krea2": 28, "hunyuan_image": 50, "kandinsky5": 50, "pixart_alpha": 20, "kolors": 50,
    "playground_v25": 50,
}  # fmt: skip
VERIFIERS = {
    "clip_score": {}, "aesthetic": {}, "siglip": {}, "pickscore": {}, "hps_v2": {}, "hps_v3": {}, "image_reward": {},
    "unified_reward": {}, "vqa_score": {}, "llm_grader": {}, "llm_grader_local": {}, "command": {"command": "judge"},
    "ensemble": {"calibration": "outputs/x/y"},
}  # fmt: skip


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("model", BUDGETS)
def test_a_model_brings_conditions_verifier_metrics_and_budget(model: str) -> None:
    extra = ["model.path=a/b"] if model in ("pipeline", "whole_pipeline", "krea2") else []
    config = composed(f"model={model}", *extra)
    assert config["conditions"]["path"] == "sayakpaul/drawbench"
    assert config["verifier"]["_target_"].endswith("ClipScore")
    assert config["metrics"]["set"] == {}
    assert config["budget"]["nfes_per_iter"] == config["budget"]["final_nfe"] == BUDGETS[model]
    check({name: value for name, value in config["model"].items() if name != "draft"})
    instantiate(config["budget"]).check(instantiate(config["sampler"]))


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_a_verifier_composes(verifier: str) -> None:
    options = [f"verifier.{name}={value}" for name, value in VERIFIERS[verifier].items()]
    config = composed("model=flux_dev", f"verifier={verifier}", *options)
    check(config["verifier"])


def test_the_grader_asks_for_what_its_instruction_names() -> None:
    verifier = composed("model=flux_dev", "verifier=llm_grader")["verifier"]
    assert "{prompt}" in verifier["instruction"]
    for aspect in (*verifier["aspects"], "overall"):
        assert f"{aspect}:" in verifier["instruction"]
