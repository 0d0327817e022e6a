"""Weights files and the small networks that they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.loading.labels import class_labels
from scaling.loading.networks import NETWORKS, PlainCNN, gray, load_network
from scaling.loading.weights_file import load_weights, save_weights, weights_folder
from scaling.metrics.evaluator import Evaluator
from scaling.protocols import Condition


def test_weights_come_back_as_float32_with_their_header(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    state = {"w": torch.tensor([1.0, 2.5]), "count": torch.tensor(3)}
    save_weights(path, state, {"class": "PlainCNN", "n": 1})
    weights = load_weights(path)
    assert weights.metadata == {"class": "PlainCNN", "n": 1}
    assert weights.state["w"].dtype == torch.float32
    assert torch.equal(weights.state["w"], state["w"])
    assert torch.equal(weights.state["count"], state["count"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"], "nothing half-written stays behind"


def test_the_hash_follows_tensors_and_header_but_not_how_long_training_took(tmp_path: Path) -> None:
    def digest(value: float, **metadata: object) -> str:
        save_weights(tmp_path / "a.safetensors", {"w": torch.tensor([value])}, {"class": "x"} | metadata)
        return load_weights(tmp_path / "a.safetensors").sha256

    assert digest(1.0) == digest(1.0, seconds=3) != digest(2.0)
    assert digest(1.0) != digest(1.0, prediction="eps")


@pytest.mark.parametrize("cut", [3, 60, -1])
def test_a_truncated_file_is_a_one_line_error_that_names_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, {"w": torch.ones(100)}, {"class": "x"})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"a\.safetensors") as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


def test_a_missing_name_lists_what_is_bundled() -> None:
    with pytest.raises(ValueError, match=r"fashion_x.*fashion_classifier.*fashion_m"):
        load_weights("fashion_x")


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"w": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"foreign\.safetensors lacks the json"):
        load_weights(tmp_path / "foreign.safetensors")


def test_bundled_networks_are_frozen_and_leave_the_random_state() -> None:
    before = torch.random.get_rng_state()
    for name, kind in (("classifier", "PlainCNN"), ("evaluator", "ConvNeXt"), ("encoder", "PatchMixer")):
        network, identity = load_network(f"fashion_{name}", kind, "cpu")
        assert type(network) is NETWORKS[kind]
        assert not network.training
        assert identity["network"] == kind
        assert not any(p.requires_grad for p in network.parameters())
    assert torch.equal(before, torch.random.get_rng_state())


def test_folded_norms_give_the_logits_of_the_trained_network() -> None:
    weights = load_weights("fashion_classifier")
    trained = PlainCNN(**weights.metadata["architecture"])
    trained.load_state_dict(weights.state)
    network, _ = load_network("fashion_classifier", "PlainCNN", "cpu")
    images = torch.rand(8, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(network(images), trained.eval()(images), atol=1e-5, rtol=1e-5)


def test_gray_centers_as_the_training_images() -> None:
    assert gray(torch.full((1, 3, 28, 28), 0.286)).abs().max() < 1e-6


def test_labels_are_checked() -> None:
    assert class_labels([Condition(class_label=4)], 10).tolist() == [4]
    with pytest.raises(ValueError, match=r"condition 10: a class label from 0 to 9"):
        class_labels([Condition(class_label=10)], 10)


def test_all_weights_fit_in_ten_megabytes() -> None:
    assert sum(p.stat().st_size for p in weights_folder().glob("fashion_*")) < 10e6


def test_the_reference_belongs_to_the_bundled_evaluator() -> None:
    reference = np.load(weights_folder() / "fashion_reference.npz")
    assert str(reference["evaluator"]) == Evaluator(device="cpu").identity()["weights"]
    assert reference["mean"].shape == (32,)
    assert reference["mean"].dtype == np.float64
    assert reference["covariance"].shape == (32, 32)
    assert np.linalg.eigvalsh(reference["covariance"]).min() > 0
    assert reference["count"] == 10_000
    assert reference["features"].shape == (3000, 32)
    rows = reference["features"].astype(np.float64)
    assert np.abs(rows.mean(axis=0) - reference["mean"]).max() < 0.2 * np.sqrt(reference["covariance"].diagonal()).max()
