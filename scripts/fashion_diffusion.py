"""Trains the class-conditional flow-matching transformers: x_t = (1 - t) x0 + t noise, predicting noise - x0."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import training
from fashion_data import load
from torch import Tensor, nn

from scaling.loading.weights_file import load_weights, save_weights

CLASSES = 10  # the label CLASSES is the null class
WIDTHS = {  # layers, heads, channels a head
    "s": (2, 4, 16),
    "m": (4, 4, 24),
    "l": (5, 5, 32),
}
PLANS = {
    "s": training.Plan(minutes=12, lr=3e-3, batch=128),
    "m": training.Plan(minutes=18, lr=2e-3, batch=128),
    "l": training.Plan(minutes=41, lr=1.5e-3, batch=128, muon=4e-3),
}


def architecture(size: str) -> dict[str, Any]:
    """The arguments of diffusers' DiTTransformer2DModel, as kept in the weights' header."""
    widths = dict(zip(("num_layers", "num_attention_heads", "attention_head_dim"), WIDTHS[size], strict=True))
    return widths | {"sample_size": 28, "patch_size": 4, "in_channels": 1, "num_embeds_ada_norm": CLASSES}


def build(size: str) -> nn.Module:
    """A fresh network whose blocks begin as the identity (adaLN-zero, which diffusers leaves to the trainer)."""
    from diffusers import DiTTransformer2DModel
    from diffusers.models.attention_processor import AttnProcessor

    torch.manual_seed(0)
    net = DiTTransformer2DModel(**architecture(size))
    for name, module in net.named_modules():
        if name.endswith("norm1.linear") or name in ("proj_out_1", "proj_out_2"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0  # each block would drop its own labels: the loss drops a row's label at once
        if hasattr(module, "set_processor"):
            module.set_processor(AttnProcessor())  # the fused one's bf16 backward is half of a step on these CPUs
    return net.train()


def batch(images: Tensor, labels: Tensor, step: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(x_t, t, labels with a tenth dropped, velocity) of a step; the same whenever the step is taken again."""
    g = torch.Generator().manual_seed(step)
    rows = torch.randint(len(images), (size,), generator=g)
    strata = (torch.arange(size) + torch.rand(size, generator=g)) / size
    t = torch.sigmoid(1.2 * torch.special.ndtri(strata.clamp(1e-6, 1 - 1e-6)))
    x0, kept = images[rows], torch.rand(size, generator=g) >= 0.1
    noise = torch.randn(x0.shape, generator=g)
    u = t[:, None, None, None]
    return (1 - u) * x0 + u * noise, t, torch.where(kept, labels[rows], CLASSES), noise - x0


def train(size: str, out: Path, checkpoints: Path, folder: Path, minutes: float | None = None) -> None:
    """Trains one size for its minutes, from its last checkpoint where there is one; a finished one is left alone."""
    path, plan = out / f"fashion_{size}.safetensors", PLANS[size]
    if path.exists() and load_weights(path).metadata["finished"] and minutes is None:
        return print(f"{path} is finished")
    plan = replace(plan, minutes=minutes or plan.minutes)
    if training.trained(path, plan.minutes):
        return print(f"{path} is finished")
    images, labels = load("train", folder)
    images = images * 2 - 1

    def loss(net: nn.Module, step: int) -> Tensor:
        x, t, dropped, velocity = batch(images, labels, step, plan.batch)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = net(x, timestep=t * 1000, class_labels=dropped).sample
        return (predicted.float() - velocity).square().mean()

    def export(ema: nn.Module, header: dict[str, Any]) -> None:
        metadata = {
            "class": "DiTTransformer2DModel",
            "architecture": architecture(size),
            "prediction": "velocity",
            "data_range": [-1.0, 1.0],
            "timestep_scale": 1000.0,
            "null_class": CLASSES,
        }
        save_weights(path, ema.state_dict(), metadata | header)

    training.train(f"fashion_{size}", build(size), loss, export, checkpoints / f"fashion_{size}.pt", plan)
