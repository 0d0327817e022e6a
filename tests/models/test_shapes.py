"""The text-conditioned transformer of the shapes world as a denoiser."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scaling.loading.weights_file import save_weights
from scaling.models.shapes import Shapes, build
from scaling.protocols import Condition, Denoiser
from scaling.shapes.phrases import WIDTH, phrases

ARCHITECTURE = {
    "num_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 16,
    "caption_channels": WIDTH,
    "sample_size": 24,
    "patch_size": 4,
    "in_channels": 3,
    "out_channels": 3,
}
METADATA = {
    "class": "PixArtTransformer2DModel",
    "architecture": ARCHITECTURE,
    "prediction": "velocity",
    "data_range": [-1.0, 1.0],
    "timestep_scale": 1000.0,
}
CONDITIONS = [Condition(prompt=text) for text in ("a red ring", "two blue rings above a cross", "a large square")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    state = {k: v + 0.05 * torch.randn_like(v) for k, v in build(ARCHITECTURE).state_dict().items()}
    save_weights(path, state, METADATA)
    return path


def model(path: Path, **options: object) -> Shapes:
    return Shapes(path=str(path), device="cpu", **options)  # type: ignore[arg-type]


def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(3, 3, 24, 24, generator=g), torch.tensor([0.9, 0.5, 0.1])


@pytest.mark.parametrize("scale", [1.0, 0.0, 2.0])
def test_prediction_is_consistent_with_x(weights: Path, scale: float) -> None:
    denoiser: Denoiser = model(weights, guidance_scale=scale)
    x, t = noisy()
    x0, eps, _ = denoiser(x, t, denoiser.encode(CONDITIONS))
    assert x0.shape == x.shape
    assert x0.dtype == torch.float32
    rows = t.view(-1, 1, 1, 1)
    torch.testing.assert_close((1 - rows) * x0 + rows * eps, x, atol=1e-5, rtol=0)
    images = denoiser.decode(x0)
    assert images.shape == (3, 3, 24, 24)
    assert images.min() >= 0
    assert images.max() <= 1


def test_guidance_is_null_plus_scaled_difference(weights: Path) -> None:
    x, t = noisy()
    plain, strong = model(weights), model(weights, guidance_scale=2.5)
    encoded = plain.encode(CONDITIONS)
    text, mask = (rows.expand(3, *rows.shape[1:]) for rows in phrases([""]))
    prompted, null = plain(x, t, encoded).x0, plain(x, t, {"text": text, "mask": mask}).x0
    assert (prompted - null).abs().max() > 1e-3, "the prompt must matter for this test to say anything"
    torch.testing.assert_close(strong(x, t, encoded).x0, null + 2.5 * (prompted - null), atol=1e-5, rtol=1e-5)


def test_a_prompt_is_answered_alike_in_any_company(weights: Path) -> None:
    denoiser, (x, t) = model(weights), noisy()
    together = denoiser(x, t, denoiser.encode(CONDITIONS)).x0
    for i, condition in enumerate(CONDITIONS):
        alone = denoiser(x[i : i + 1], t[i : i + 1], denoiser.encode([condition])).x0
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("scale", "forwards"), [(1.0, 1), (1.5, 2), (0.0, 1)])
def test_forwards_are_what_a_hook_counts(weights: Path, scale: float, forwards: int) -> None:
    denoiser = model(weights, guidance_scale=scale)
    rows: list[int] = []
    denoiser.network.pos_embed.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    x, t = noisy()
    denoiser(x, t, denoiser.encode(CONDITIONS))
    assert rows == [3 * forwards]
    assert denoiser.forwards_per_call == forwards


def test_gradient_reaches_x_from_prompts_encoded_for_inference(weights: Path) -> None:
    denoiser, (x, t) = model(weights, guidance_scale=2.0), noisy()
    with torch.inference_mode():
        encoded = denoiser.encode(CONDITIONS)
    x.requires_grad_()
    denoiser(x, t, encoded).x0.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_identity_follows_what_decides_the_answers(weights: Path) -> None:
    first = model(weights)
    assert first.identity() == model(weights).identity()
    assert first.identity() != model(weights, guidance_scale=1.5).identity()
    assert first.identity() != model(weights, dtype="bfloat16").identity()


def test_bfloat16_answers_in_float32_and_nearby(weights: Path) -> None:
    x, t = noisy()
    full, half = model(weights), model(weights, dtype="bfloat16")
    a, b = full(x, t, full.encode(CONDITIONS)), half(x, t, half.encode(CONDITIONS))
    assert b.x0.dtype == torch.float32
    torch.testing.assert_close(a.x0, b.x0, atol=0.1, rtol=0.1)


def test_building_leaves_the_global_random_state(weights: Path) -> None:
    before = torch.random.get_rng_state()
    model(weights)
    assert torch.equal(before, torch.random.get_rng_state())


def test_gflops_count_attention(weights: Path) -> None:
    width, tokens = 16, 36
    attention, linear = 2 * 2 * tokens * tokens * width, 2 * tokens * 14 * width * width
    assert attention + linear < model(weights).gflops() * 1e9 < 3 * (attention + linear)


def test_errors_name_the_file_or_the_word(weights: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    save_weights(wrong, {"a": torch.ones(1)}, {"class": "PlainCNN"})
    with pytest.raises(ValueError, match=r"wrong\.safetensors holds a PlainCNN"):
        model(wrong)
    with pytest.raises(ValueError, match="float8"):
        model(weights, dtype="float8")
    with pytest.raises(ValueError, match="needs prompts"):
        model(weights).encode([Condition(class_label=1)])
    with pytest.raises(ValueError, match="'square'"):
        model(weights).encode([Condition(prompt="a sqare")])


def test_the_bundled_model_loads_and_knows_its_colors() -> None:
    denoiser = Shapes(device="cpu")
    assert denoiser.latent_shape == (3, 24, 24)
    x = torch.randn(8, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    for color, channel in (("red", 0), ("blue", 2)):
        encoded = denoiser.encode([Condition(prompt=f"three {color} squares")] * 8)
        mean = denoiser.decode(denoiser(x, torch.full((8,), 0.9), encoded).x0).mean(dim=(0, 2, 3))
        assert mean.argmax() == channel
