"""The judge of latents of the shapes world: a forecast of how a sample ends, and nothing decoded."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from studies import study

import scaling
from scaling.budget import Budget
from scaling.conditions.shapes import ShapesPrompts
from scaling.models.shapes import Shapes
from scaling.protocols import Condition
from scaling.search.halving import Halving
from scaling.shapes.grammar import parse
from scaling.shapes.judge import judge
from scaling.verifiers.shapes_latents import ShapesLatents


@pytest.fixture(scope="module")
def latents() -> ShapesLatents:
    return ShapesLatents(device="cpu")


def test_it_knows_early_how_a_sample_ends(latents: ShapesLatents) -> None:
    """A single prediction at t = 0.7 scores noises that end right above those that end wrong."""
    model, condition = Shapes(guidance_scale=2.0, device="cpu"), Condition(prompt="two blue rings left of a cross")
    encoded = {name: rows.expand(32, *rows.shape[1:]) for name, rows in model.encode([condition]).items()}
    x, times = (
        torch.randn(32, *model.latent_shape, generator=torch.Generator().manual_seed(0)),
        torch.linspace(1, 0, 11),
    )
    with torch.inference_mode():
        for t, s in pairwise(times):
            found = model(x, t.expand(32), encoded)
            x = (1 - s) * found.x0 + s * found.eps
            if abs(float(t) - 0.7) < 0.01:
                early = latents(found.x0, [condition] * 32)
    right = torch.from_numpy(judge(model.decode(x).numpy(), [parse(condition.prompt or "")] * 32)) > 0
    assert 4 <= right.sum() <= 28
    assert (early[right][:, None] > early[~right]).double().mean() > 0.75


def test_a_score_is_a_log_probability_with_a_gradient(latents: ShapesLatents) -> None:
    x0 = torch.zeros(1, *latents.latent_shape).requires_grad_()
    score = latents(x0, [Condition(prompt="a red ring")])
    assert score.shape == (1,) and score <= 0
    score.sum().backward()
    assert x0.grad is not None
    assert x0.grad.abs().sum() > 0


def test_it_guides_a_search_that_decodes_nothing(tmp_path: Path, latents: ShapesLatents) -> None:
    class Watched(Shapes):
        decoded = 0

        def decode(self, x0: torch.Tensor) -> torch.Tensor:
            self.decoded += len(x0)
            return super().decode(x0)

    model = Watched(device="cpu")
    parts = {"conditions": ShapesPrompts(count=2), "extractors": {}, "samples": 0, "batch_size": 4}
    search, budget = Halving(rungs=[0.7, 0.5]), Budget(nfes_per_iter=4, nfe=[24])
    scaling.run(study(tmp_path, denoiser=model, verifier=latents, search=search, budget=budget, **parts))
    assert model.decoded == 0


def test_another_file_or_word_is_refused(latents: ShapesLatents) -> None:
    with pytest.raises(ValueError, match="holds a ShapesReader: a ShapesLatents is needed"):
        ShapesLatents(path="shapes_reader")
    with pytest.raises(ValueError, match="'square'"):
        latents(torch.zeros(1, 3, 24, 24), [Condition(prompt="a sqare")])
