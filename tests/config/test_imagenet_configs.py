"""The ImageNet half of conf/ composes, and what it names is built from small weights in the real formats."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors import safe_open
from tiny_encoders import tiny_dinov2, tiny_open_clip
from tiny_models import tiny_vae

from scaling.protocols import Condition

TESTS = Path(__file__).parents[1]


def composed(*overrides):
    with initialize_config_dir(str(TESTS.parent / "conf"), version_base="1.3"):
        return compose("config", list(overrides))


def built(node):
    """The object; a model's draft is a model beside it, no parameter."""
    plain = OmegaConf.to_container(node, resolve=True)
    return instantiate({name: value for name, value in plain.items() if name != "draft"}, _convert_="all")


@pytest.mark.parametrize("model", ["sit_s", "sit_b", "sit_l", "sit_xl", "dit_xl"])
def test_a_model_brings_its_conditions_verifier_metrics_and_budget(model):
    config = composed(f"model={model}")
    assert config.conditions.count == 50_000
    assert config.verifier._target_.endswith("DinoLinear")
    assert config.metrics.set.inception_score.classes == 1008
    assert (config.budget.nfes_per_iter, config.budget.final_nfe) == (50, 250)
    built(config.budget).check(built(config.sampler))
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    letter = model.split("_")[1].upper()
    assert f"{letter}-2" in config.model.path


def test_the_verifier_can_be_another():
    assert composed("model=sit_xl", "verifier=inception").verifier._target_.endswith("InceptionProbability")


def test_sit_is_built(tmp_path):
    with safe_open(TESTS / "golden" / "sit.safetensors", "pt") as f:
        keys = [key for key in f.keys() if key.startswith("state_dict.")]  # noqa: SIM118
        torch.save({k.removeprefix("state_dict."): f.get_tensor(k) for k in keys}, tmp_path / "sit.pt")
    folder = tiny_vae(tmp_path / "vae")
    paths = [f"model.path={tmp_path}/sit.pt", "model.heads=3", f"model.vae.path={folder}", "model.device=cpu"]
    model = built(composed("model=sit_l", *paths).model)
    assert model.latent_shape == (4, 8, 8)
    assert model.decode(torch.zeros(1, 4, 8, 8)).shape == (1, 3, 16, 16)


def test_verifiers_are_built(tmp_path):
    dino, clip = tiny_dinov2(tmp_path / "dino"), tiny_open_clip(tmp_path / "clip")
    torch.save({"weight": torch.zeros(1000, 120), "bias": torch.arange(1000.0)}, tmp_path / "head.pth")
    small = ["verifier.encoder.device=cpu", "verifier.encoder.path="]
    images, condition = torch.rand(1, 3, 40, 40), [Condition(class_label=7)]
    head = built(composed("verifier=dino_linear", f"verifier.head={tmp_path}/head.pth", *_at(small, dino)).verifier)
    assert head(images, condition).item() == 7.0
    for name, path in (("clip", clip), ("siglip", clip), ("dino", dino)):
        verifier = built(composed(f"verifier={name}_self_supervised", *_at(small, path)).verifier)
        assert verifier(images, condition, images).item() == pytest.approx(1.0)


def _at(overrides, path):
    return [overrides[0], f"{overrides[1]}{path}"]


def test_conditions_are_built(tmp_path):
    (tmp_path / "prompts.txt").write_text("a\nb\n")
    file = f"conditions.path={tmp_path}/prompts.txt"
    counts = {"prompts": 2, "drawbench": 2, "parti_prompts": 2, "t2i_compbench": 4, "geneval": 8}
    for name, count in counts.items():
        assert len(built(composed(f"conditions={name}", file).conditions)) == count
    assert [c.class_label for c in built(composed("conditions=one", "conditions.class_label=7").conditions)] == [7]
    subset = composed("conditions=imagenet", "conditions.subset=[tench,207]", "conditions.count=20").conditions
    assert {c.class_label for c in built(subset)} == {0, 207}


def test_a_benchmark_that_is_not_there_says_how_to_get_it():
    with pytest.raises(Exception, match="curl -LO") as caught:
        built(composed("conditions=geneval").conditions)
    assert isinstance(caught.value.__cause__, ValueError)
