"""Inception and DINOv2: small or random weights, saved and loaded through the real code path."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from scaling.metrics.dino import DEVIATION, MEAN, DinoFeatures
from scaling.metrics.inception import InceptionFeatures
from scaling.protocols import Condition


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random InceptionV3 weights in torch-fidelity's file format, under the name that torch.hub would give them."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    folder = tmp_path_factory.mktemp("torch_home") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    path = folder / Path(module.URL_INCEPTION_V3).name
    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr(module, "load_state_dict_from_url", lambda url, progress: {})
        torch.save(module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict(), path)
    return path


def images(n: int = 2, size: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(3))


CONDITIONS = [Condition(class_label=0)] * 2


def test_inception_is_torch_fidelitys_on_the_png(weights: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = InceptionFeatures(path=str(weights), device="cpu")
    outputs = network(images(), CONDITIONS)
    png = (images() * 255).round().to(torch.uint8)
    direct = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(weights))(png)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {"features": (2, 2048), "logits": (2, 1008)}
    assert torch.equal(outputs["features"], direct[0])
    assert torch.equal(outputs["logits"], direct[1])
    torch.testing.assert_close(outputs["logits"], outputs["features"] @ network.inception.network.fc.weight.T)


def test_inception_weights_are_found_under_torch_home(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(weights.parents[2]))
    assert InceptionFeatures(device="cpu").identity() == InceptionFeatures(path=str(weights), device="cpu").identity()


def test_missing_and_truncated_inception_weights_show_the_command(weights: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pth"
    with pytest.raises(ValueError, match=r"no Inception weights at .*broken\.pth: curl -L .*6726825d\.pth$"):
        InceptionFeatures(path=str(broken))
    broken.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"broken\.pth cannot be read .*curl -L"):
        InceptionFeatures(path=str(broken))
    torch.save({"fc.weight": torch.zeros(1)}, broken)
    with pytest.raises(ValueError, match=r"broken\.pth holds no InceptionV3 weights") as error:
        InceptionFeatures(path=str(broken))
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dino")
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        Dinov2Model(config).save_pretrained(folder)
    return folder


def test_dino_is_the_class_token_of_the_resized_normalized_image(dino: Path) -> None:
    network = DinoFeatures(path=str(dino), size=56, device="cpu")
    features = network(images(), CONDITIONS)["features"]
    resized = torch.nn.functional.interpolate(images(), (56, 56), mode="bicubic", antialias=True)
    pixels = torch.stack([(resized[:, c] - MEAN[c]) / DEVIATION[c] for c in range(3)], 1)
    direct = Dinov2Model.from_pretrained(dino).eval()(pixels).pooler_output  # the class token, after the last norm
    assert features.shape == (2, 24)
    torch.testing.assert_close(features, direct.detach())


def test_dinos_identity_follows_the_weights(dino: Path, tmp_path: Path) -> None:
    first = DinoFeatures(path=str(dino), device="cpu").identity()
    model = Dinov2Model.from_pretrained(dino)
    model.layernorm.bias.data += 1e-3
    model.save_pretrained(tmp_path)
    assert DinoFeatures(path=str(tmp_path), device="cpu").identity() != first
    assert DinoFeatures(path=str(dino), device="cpu").identity() == first


def test_missing_dino_weights_show_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no DINOv2 weights at .*gone: hf download") as error:
        DinoFeatures(path=str(tmp_path / "gone"))
    assert "\n" not in str(error.value)
