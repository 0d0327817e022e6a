"""Scenes with captions for training, drawn once and kept, and blurred or noisy views of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scaling.shapes.grammar import CATEGORIES, draw
from scaling.shapes.scenes import Scene, compose, render

SKEW = 0.7  # captions have a long tail of rare words, as those of photographs; evaluation prompts have not
TRAIN, SCENES = 0, 100_000  # seed and number of the training scenes
TEST, AESTHETIC, REFERENCE, READER, LATENTS = 1, 2, 3, 4, 5  # seeds of other scenes


def scenes(count: int, seed: int, skew: float = SKEW) -> tuple[list[Scene], list[str]]:
    """Scenes and their captions, all categories in turn."""
    generator = np.random.default_rng(seed)
    prompts = [draw(CATEGORIES[i % len(CATEGORIES)], generator, skew) for i in range(count)]
    return [compose(prompt, generator) for prompt in prompts], [str(prompt) for prompt in prompts]


def images_of(drawn: list[Scene]) -> Tensor:
    """[n,3,24,24] in [0,1]."""
    return torch.from_numpy(np.stack([render(scene) for scene in drawn]))


def load(folder: Path) -> tuple[Tensor, list[str]]:
    """The training images (uint8) and captions, drawn on the first call."""
    path = folder / "scenes.npz"
    if not path.exists():
        drawn, captions = scenes(SCENES, TRAIN)
        images = (images_of(drawn) * 255).round().byte().numpy()
        np.savez(path.with_suffix(".partial.npz"), images=images, captions=np.array(captions))
        path.with_suffix(".partial.npz").replace(path)
    with np.load(path) as file:
        return torch.from_numpy(file["images"]), [str(caption) for caption in file["captions"]]


def blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Each image under a 5x5 Gaussian of its own deviation [n], in pixels."""
    n, channels = images.shape[:2]
    offsets = torch.arange(-2.0, 3.0)
    kernel = torch.exp(-offsets.square() / (2 * sigma.clamp(min=1e-3)[:, None].square()))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    rows = images.reshape(1, n * channels, *images.shape[2:])
    rows = F.conv2d(F.pad(rows, (0, 0, 2, 2), "replicate"), kernel[:, None, :, None], groups=n * channels)
    rows = F.conv2d(F.pad(rows, (2, 2, 0, 0), "replicate"), kernel[:, None, None, :], groups=n * channels)
    return rows.reshape(images.shape)


def view(images: Tensor, g: torch.Generator, blur: float = 0.7, noise: float = 0.25) -> Tensor:
    """Half of the images as they are, half blurred, dimmed and noisy, as a denoiser's early predictions are."""
    n = len(images)
    worse = (torch.rand(n, generator=g) < 0.5).float()
    out = blurred(images, worse * blur * torch.rand(n, generator=g))
    gain = (1 - 0.3 * worse * torch.rand(n, generator=g)).view(n, 1, 1, 1)
    grain = (worse * noise * torch.rand(n, generator=g)).view(n, 1, 1, 1)
    return (out * gain + grain * torch.randn(images.shape, generator=g)).clamp(0, 1)
