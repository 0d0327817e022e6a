"""The class-conditional transformer is diffusers' one: weights, answers and gradients to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DiTTransformer2DModel
from diffusers.models.embeddings import Timesteps
from torch import Tensor, nn

from scaling.models.class_transformer import ClassTransformer

PIXELS = {
    "num_layers": 2, "num_attention_heads": 4, "attention_head_dim": 24, "in_channels": 1, "sample_size": 28,
    "patch_size": 4, "num_embeds_ada_norm": 10,
}  # fmt: skip
LATENTS = {
    "num_layers": 3, "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 8,
    "sample_size": 16, "patch_size": 2, "num_embeds_ada_norm": 5, "norm_eps": 1e-6, "attention_bias": False,
}  # fmt: skip


def both(architecture: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
    """diffusers' network with weights that say something, and ours with the same."""
    torch.manual_seed(0)
    theirs = DiTTransformer2DModel(**architecture)
    with torch.no_grad():
        for value in theirs.parameters():
            value.add_(0.05 * torch.randn_like(value))
    ours = ClassTransformer(**architecture)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def rows(architecture: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    side, classes = architecture["sample_size"], architecture["num_embeds_ada_norm"]
    x = torch.randn(5, architecture["in_channels"], side, side)
    return x, torch.tensor([0.0, 1.5, 250.0, 731.25, 1000.0]), torch.tensor([0, 1, 2, classes - 1, classes])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", [PIXELS, LATENTS])
def test_answers_are_equal(architecture: dict[str, Any], dtype: torch.dtype) -> None:
    theirs, ours = (nn.Module.to(each, dtype) for each in both(architecture))
    x, t, labels = rows(architecture)
    with torch.inference_mode():
        expected = theirs(x.to(dtype), timestep=t, class_labels=labels).sample
        assert torch.equal(ours(x.to(dtype), t, labels), expected)


def test_gradients_are_equal() -> None:
    got = []
    networks, (x, t, labels) = both(PIXELS), rows(PIXELS)
    for network in networks:
        leaf = x.clone().requires_grad_()
        out = network(leaf, timestep=t, class_labels=labels)
        (out if isinstance(out, Tensor) else out.sample).square().sum().backward()
        got.append(leaf.grad)
    assert torch.equal(got[0], got[1])


def test_the_frequencies_may_lie_as_in_dits_own_code() -> None:
    theirs, _ = both(LATENTS)
    for block in theirs.transformer_blocks:
        block.norm1.emb.time_proj = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)
    ours = ClassTransformer(**LATENTS, frequency_shift=0)
    ours.load_state_dict(theirs.state_dict())
    x, t, labels = rows(LATENTS)
    with torch.inference_mode():
        assert torch.equal(ours(x, t, labels), theirs(x, timestep=t, class_labels=labels).sample)


def test_a_new_one_begins_with_the_same_weights() -> None:
    made = []
    for kind in (DiTTransformer2DModel, ClassTransformer):
        torch.manual_seed(3)
        made.append(kind(**PIXELS).state_dict())
    assert made[0].keys() == made[1].keys()
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
