"""How early judges of shapes know how a sample will end: python scripts/shapes_forecast.py [--guidance 2] [--count 40].

By the time of an x0 prediction: how often a judge scores one that ends right above one of its prompt that does not.
The prompts are the study's, passed over by 3,000; the noises are new.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
import torch
from shapes_report import judged
from torch import Tensor

from scaling.conditions.shapes import ShapesPrompts
from scaling.models.shapes import Shapes
from scaling.protocols import Condition
from scaling.verifiers.shapes_clip import ShapesClip
from scaling.verifiers.shapes_latents import ShapesLatents
from scaling.verifiers.shapes_reader import ShapesReader

CANDIDATES, TOGETHER = 16, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--count", type=int, default=40, help="prompts, a multiple of 4")
    parser.add_argument("--category", default="all")
    arguments = parser.parse_args()
    model = Shapes(guidance_scale=arguments.guidance, device="cpu")
    prompts = ShapesPrompts(count=arguments.count, category=arguments.category, skip=3000)
    conditions = [condition for condition in prompts for _ in range(CANDIDATES)]
    times = model.schedule.grid(arguments.steps).float()
    found = [along(model, conditions[start : start + TOGETHER], times) for start in range(0, len(conditions), TOGETHER)]
    right = np.concatenate([ends for _, ends in found]).reshape(arguments.count, CANDIDATES)
    print(f"{right.mean():.3f} right; time, then the strength of {', '.join(found[0][0])}")
    for place, t in enumerate(times.tolist()):
        scores = {name: np.concatenate([each[name][place] for each, _ in found]) for name in found[0][0]}
        told = [strength(each.reshape(arguments.count, CANDIDATES), right) for each in scores.values()]
        print(f"{t:.2f} | " + " | ".join(f"{value:.3f}" for value in told))


@torch.inference_mode()
def along(model: Shapes, conditions: list[Condition], times: Tensor) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Every judge's scores of the predictions at each time and of the sample, and which samples are right."""
    g = torch.Generator().manual_seed(int(conditions[0].key[:7], 16))
    x, encoded = torch.randn(len(conditions), *model.latent_shape, generator=g), model.encode(conditions)
    seen = []
    for t, s in pairwise(times):
        x0, eps, *_ = model(x, t.expand(len(x)), encoded)
        x = (1 - s) * x0 + s * eps
        seen.append(x0)
    seen.append(x)
    reader, clip, latents = ShapesReader(device="cpu"), ShapesClip(device="cpu"), ShapesLatents(device="cpu")
    scores = {
        "shapes_latents": [latents(each, conditions).numpy() for each in seen],
        "shapes_reader": [reader(model.decode(each), conditions).numpy() for each in seen],
        "shapes_clip": [clip(model.decode(each), conditions).numpy() for each in seen],
    }
    return scores, judged(model.decode(x), conditions)


def strength(scores: np.ndarray, right: np.ndarray) -> float:
    """How often a right one is above a wrong one of its prompt, mean over prompts that have both; equals count half."""
    shares = []
    for row, truth in zip(scores, right.astype(bool), strict=True):
        if truth.any() and not truth.all():
            gap = row[truth][:, None] - row[~truth]
            shares.append((gap > 0).mean() + 0.5 * (gap == 0).mean())
    return float(np.mean(shares))


if __name__ == "__main__":
    main()
