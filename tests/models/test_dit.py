"""The class-conditional transformer as a denoiser."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scaling.loading.weights_file import load_weights, save_weights
from scaling.models.dit import DiT, build, decode_range, guided, predict
from scaling.protocols import Condition, Denoiser
from scaling.schedules import Flow, VariancePreserving

ARCHITECTURE = {
    "num_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "sample_size": 28,
    "patch_size": 4,
    "in_channels": 1,
    "num_embeds_ada_norm": 10,
}
METADATA = {
    "class": "DiTTransformer2DModel",
    "architecture": ARCHITECTURE,
    "prediction": "velocity",
    "data_range": [-1.0, 1.0],
    "timestep_scale": 1000.0,
    "null_class": 10,
}
CONDITIONS = [Condition(class_label=i) for i in (0, 3, 9)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    state = {k: v + 0.05 * torch.randn_like(v) for k, v in build(ARCHITECTURE).state_dict().items()}
    save_weights(path, state, METADATA)
    return path


def model(path: Path, **options: object) -> DiT:
    return DiT(path=str(path), device="cpu", **options)  # type: ignore[arg-type]


def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(3, 1, 28, 28, generator=g), torch.tensor([0.9, 0.5, 0.1])


def test_is_a_denoiser(weights: Path) -> None:
    denoiser: Denoiser = model(weights)
    assert denoiser.latent_shape == (1, 28, 28)
    x, t = noisy()
    prediction = denoiser(x, t, denoiser.encode(CONDITIONS))
    assert prediction.x0.shape == x.shape
    assert prediction.x0.dtype == torch.float32
    images = denoiser.decode(prediction.x0)
    assert images.shape == (3, 3, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize("scale", [1.0, 0.0, 1.5, 4.0])
def test_prediction_is_consistent_with_x(weights: Path, scale: float) -> None:
    denoiser = model(weights, guidance_scale=scale)
    x, t = noisy()
    x0, eps, _ = denoiser(x, t, denoiser.encode(CONDITIONS))
    rows = t.view(-1, 1, 1, 1)
    torch.testing.assert_close((1 - rows) * x0 + rows * eps, x, atol=1e-5, rtol=0)


def test_guidance_is_null_plus_scaled_difference(weights: Path) -> None:
    x, t = noisy()
    plain, strong = model(weights), model(weights, guidance_scale=2.5)
    encoded = plain.encode(CONDITIONS)
    labeled = plain(x, t, encoded).x0
    null = plain(x, t, {"class_label": torch.full((3,), 10)}).x0
    assert (labeled - null).abs().max() > 1e-3, "the labels must matter for this test to say anything"
    torch.testing.assert_close(strong(x, t, encoded).x0, null + 2.5 * (labeled - null), atol=1e-5, rtol=1e-5)


def test_guided_on_a_closed_form() -> None:
    x, labels = torch.ones(2, 1), torch.tensor([2, 3])
    out = guided(lambda x, t, y: y.float()[:, None] * x, x, torch.ones(2), labels, null=1, scale=3.0)
    assert out.tolist() == [[4.0], [7.0]]


@pytest.mark.parametrize(("scale", "forwards"), [(1.0, 1), (1.5, 2), (0.0, 1)])
def test_forwards_are_what_a_hook_counts(weights: Path, scale: float, forwards: int) -> None:
    denoiser = model(weights, guidance_scale=scale)
    rows: list[int] = []
    denoiser.network.pos_embed.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    x, t = noisy()
    denoiser(x, t, denoiser.encode(CONDITIONS))
    assert rows == [3 * forwards]
    assert denoiser.forwards_per_call == forwards


def test_eps_and_velocity_adapt_to_the_same_prediction() -> None:
    g = torch.Generator().manual_seed(2)
    x0, eps = torch.randn(2, 3, 4, 4, generator=g), torch.randn(2, 3, 4, 4, generator=g)
    t = torch.tensor([0.7, 0.3])
    rows = t.view(-1, 1, 1, 1)
    x = (1 - rows) * x0 + rows * eps
    for output, kind in ((eps - x0, "velocity"), (eps, "eps")):
        got = predict(output, x, t, Flow(), kind)
        torch.testing.assert_close(got.x0, x0, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(got.eps, eps, atol=1e-5, rtol=1e-5)
    schedule = VariancePreserving.linear_betas()
    x = schedule.alpha(t).view(-1, 1, 1, 1) * x0 + schedule.sigma(t).view(-1, 1, 1, 1) * eps
    torch.testing.assert_close(predict(eps, x, t, schedule, "eps").x0, x0, atol=1e-4, rtol=1e-4)


def test_decode_clips_and_repeats() -> None:
    images = decode_range(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).view(5, 1, 1, 1), -1, 1)
    assert images.shape == (5, 3, 1, 1)
    assert images[:, 2, 0, 0].tolist() == [0, 0, 0.5, 1, 1]


def test_identity_follows_what_decides_the_answers(weights: Path, tmp_path: Path) -> None:
    first = model(weights)
    assert first.identity() == model(weights).identity()
    assert first.identity() != model(weights, guidance_scale=1.5).identity()
    assert first.identity() != model(weights, dtype="bfloat16").identity()
    state = load_weights(weights).state
    state["proj_out_2.bias"][0] += 1
    save_weights(tmp_path / "other.safetensors", state, METADATA)
    assert first.identity()["weights"] != model(tmp_path / "other.safetensors").identity()["weights"]


def test_bfloat16_answers_in_float32_and_nearby(weights: Path) -> None:
    x, t = noisy()
    full, half = model(weights), model(weights, dtype="bfloat16")
    a, b = full(x, t, full.encode(CONDITIONS)), half(x, t, half.encode(CONDITIONS))
    assert b.x0.dtype == torch.float32
    torch.testing.assert_close(a.x0, b.x0, atol=0.1, rtol=0.1)


def test_gradient_reaches_x(weights: Path) -> None:
    denoiser, (x, t) = model(weights), noisy()
    x.requires_grad_()
    denoiser(x, t, denoiser.encode(CONDITIONS)).x0.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(not p.requires_grad for p in denoiser.network.parameters())


def test_building_leaves_the_global_random_state(weights: Path) -> None:
    before = torch.random.get_rng_state()
    model(weights)
    assert torch.equal(before, torch.random.get_rng_state())


def test_gflops_count_attention(weights: Path) -> None:
    width, tokens = 16, 49
    attention = 2 * 2 * tokens * tokens * width  # scores and values: what a fused CPU kernel hides from the counter
    linear = 2 * tokens * (12 * width * width)
    assert model(weights).gflops() * 1e9 > attention + linear
    assert model(weights).gflops() * 1e9 < 2 * (attention + linear)


def test_errors_are_one_line_and_name_the_file(weights: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:-100])
    wrong = tmp_path / "wrong.safetensors"
    save_weights(wrong, {"a": torch.ones(1)}, {"class": "PlainCNN"})
    for path, words in ((cut, "whole safetensors"), (tmp_path / "none", "bundled"), (wrong, "PlainCNN")):
        with pytest.raises(ValueError, match=words) as caught:
            model(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="float8"):
        model(weights, dtype="float8")
    for bad in (Condition(class_label=10), Condition(prompt="a red seven")):
        with pytest.raises(ValueError, match="class label from 0 to 9"):
            model(weights).encode([bad])


def test_tensors_of_another_architecture_are_one_line(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, load_weights(weights).state, METADATA | {"architecture": ARCHITECTURE | {"num_layers": 2}})
    with pytest.raises(ValueError, match=r"other\.safetensors") as caught:
        model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", ["s", "m", "l"])
def test_bundled_sizes_load(size: str) -> None:
    denoiser = DiT(path=f"fashion_{size}", device="cpu")
    x, t = noisy()
    x0, eps, _ = denoiser(x, t, denoiser.encode(CONDITIONS))
    assert torch.isfinite(x0).all()
    assert torch.isfinite(eps).all()
