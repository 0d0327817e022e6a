"""Whether a cheaper score chooses the same: how many winners of best of 16 change at half size or in half precision.

python scripts/bench_scores.py: shapes under the reader and CLIP, clothes under the classifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from plain_samples import sample
from torch import Tensor
from torch.nn import functional as F

from scaling.conditions.class_labels import ClassLabels
from scaling.conditions.shapes import ShapesPrompts
from scaling.models.dit import DiT
from scaling.models.shapes import Shapes
from scaling.protocols import Condition, Denoiser, Verifier
from scaling.verifiers.classifier import Classifier
from scaling.verifiers.shapes_clip import ShapesClip
from scaling.verifiers.shapes_reader import ShapesReader

CANDIDATES = 16
Judge = Callable[[Tensor, list[Condition]], Tensor]


def main(conditions: int = 64) -> dict[str, Any]:
    """Changed winners by world and judge; each is also told what chance would change."""
    prompts, labels = list(ShapesPrompts(count=conditions, skip=3000)), list(ClassLabels(count=conditions, classes=10))
    worlds: list[tuple[str, Denoiser, list[Condition], dict[str, Verifier]]] = [
        ("shapes", Shapes(guidance_scale=2.0), prompts, {"reader": ShapesReader(), "clip": ShapesClip()}),
        ("fashion_m", DiT(path="fashion_m"), labels, {"classifier": Classifier()}),
    ]
    results: dict[str, Any] = {}
    for world, model, each, verifiers in worlds:
        repeated = [condition for condition in each for _ in range(CANDIDATES)]
        images = sample(model, repeated, steps=10, batch=64)
        for name, verifier in verifiers.items():
            full = scores(verifier, images, repeated).view(conditions, CANDIDATES)
            for way, cheaper in WAYS.items():
                try:
                    other = scores(cheaper(verifier), images, repeated).view(conditions, CANDIDATES)
                except (RuntimeError, ValueError):  # a network of one size
                    continue
                changed = int((other.argmax(dim=1) != full.argmax(dim=1)).sum())
                loss = full.max(dim=1).values - full.gather(1, other.argmax(dim=1, keepdim=True)).squeeze(1)
                said = {"changed": changed, "of": conditions, "loss": float((loss / full.std(dim=1)).mean())}
                results[f"{world} {name} {way}"] = said
                print(
                    f"scores    {world:10} {name:10} {way:22} {changed:3} of {conditions} winners change, their score "
                    f"is {said['loss']:.3f} deviations lower"
                )
    return results


@torch.inference_mode()
def scores(judge: Judge, images: Tensor, conditions: list[Condition]) -> Tensor:
    """All scores, in batches of 64."""
    parts = zip(images.split(64), range(0, len(images), 64), strict=True)
    return torch.cat([judge(part, conditions[start : start + 64]).float() for part, start in parts])


def half_size(verifier: Verifier) -> Judge:
    """Judges images of half the side."""
    return lambda images, conditions: verifier(F.avg_pool2d(images, 2), conditions)


def halved_and_back(verifier: Verifier) -> Judge:
    """Judges images that went through half the side, as decoding at half size would leave them."""

    def judge(images: Tensor, conditions: list[Condition]) -> Tensor:
        small = F.avg_pool2d(images, 2)
        return verifier(F.interpolate(small, size=images.shape[-2:], mode="bicubic").clamp(0, 1), conditions)

    return judge


def half_precision(verifier: Verifier) -> Judge:
    """Judges in bfloat16, where torch's autocast does so."""

    def judge(images: Tensor, conditions: list[Condition]) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            return verifier(images, conditions)

    return judge


WAYS = {"half size": half_size, "half size, enlarged": halved_and_back, "half precision": half_precision}


if __name__ == "__main__":
    main()
