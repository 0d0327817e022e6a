"""Trains the flow transformer of the shapes world: x_t = (1 - t) x0 + t noise, predicting noise - x0 from phrases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import shapes_data
import torch
import training
from torch import Tensor, nn

from scaling.loading.weights_file import save_weights
from scaling.shapes.phrases import WIDTH, phrases
from scaling.shapes.scenes import SIDE

ARCHITECTURE: dict[str, Any] = {
    "num_layers": 4,
    "num_attention_heads": 4,
    "attention_head_dim": 32,
    "cross_attention_dim": 128,
    "caption_channels": WIDTH,
    "sample_size": SIDE,
    "patch_size": 4,
    "in_channels": 3,
    "out_channels": 3,
    "interpolation_scale": 1,
}
PLAN = training.Plan(minutes=90, lr=1.5e-3, batch=64, muon=4e-3)
DROP = 0.1  # share of captions left out, for guidance
ON_GPU = 8  # times the batch: a smaller one would leave a GPU idle


def build(architecture: dict[str, Any]) -> nn.Module:
    """A fresh network whose output and cross-attention begin at zero."""
    from diffusers import PixArtTransformer2DModel
    from diffusers.models.attention_processor import AttnProcessor

    torch.manual_seed(0)
    net = PixArtTransformer2DModel(**architecture)
    for name, module in net.named_modules():
        if name.endswith("attn2.to_out.0") or name == "proj_out":
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        if hasattr(module, "set_processor"):
            module.set_processor(AttnProcessor())  # the fused one's bf16 backward is half of a step on these CPUs
    return net.train()


class Scenes:
    """Training images, and what the network attends to for each caption: every distinct one once, row 0 the empty."""

    def __init__(self, images: Tensor, captions: list[str], device: torch.device) -> None:
        distinct = {"": 0}
        self.rows = torch.tensor([distinct.setdefault(caption, len(distinct)) for caption in captions]).to(device)
        self.states, self.mask = (rows.to(device) for rows in phrases(list(distinct)))
        self.images, self.device = images.to(device), device

    def batch(self, step: int, size: int) -> tuple[Tensor, ...]:
        """(x_t, t, phrases, mask, velocity) of a step, a tenth without text; the same whenever the step is taken."""
        g = torch.Generator(self.device).manual_seed(step)
        options: dict[str, Any] = {"generator": g, "device": self.device}
        rows = torch.randint(len(self.images), (size,), **options)
        strata = (torch.arange(size, device=self.device) + torch.rand(size, **options)) / size
        t = torch.sigmoid(1.2 * torch.special.ndtri(strata.clamp(1e-6, 1 - 1e-6)) + 0.3)
        texts = torch.where(torch.rand(size, **options) >= DROP, self.rows[rows], 0)
        x0 = self.images[rows].float() / 127.5 - 1
        noise = torch.randn(x0.shape, **options)
        u = t[:, None, None, None]
        return (1 - u) * x0 + u * noise, t, self.states[texts], self.mask[texts], noise - x0


def flow_loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Mean squared error of the velocity, under bf16 autocast."""
    x, t, states, mask, velocity = batch
    with torch.autocast(x.device.type, torch.bfloat16):
        predicted = net(
            x,
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            timestep=t * 1000,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
    return (predicted.float() - velocity).square().mean()


def train(out: Path, checkpoints: Path, minutes: float | None, device: torch.device) -> None:
    """Trains for the minutes, from the last checkpoint where there is one; a finished one is left alone."""
    path, plan = out / "shapes.safetensors", replace(PLAN, minutes=minutes or PLAN.minutes)
    if training.trained(path, plan.minutes):
        return print("shapes is finished")
    scenes = Scenes(*shapes_data.load(checkpoints), device)
    size = plan.batch * (ON_GPU if device.type == "cuda" else 1)

    def export(ema: nn.Module, header: dict[str, Any]) -> None:
        metadata = {
            "class": "PixArtTransformer2DModel",
            "architecture": ARCHITECTURE,
            "prediction": "velocity",
            "data_range": [-1.0, 1.0],
            "timestep_scale": 1000.0,
        }
        save_weights(path, ema.state_dict(), metadata | header)

    training.train(
        "shapes",
        build(ARCHITECTURE),
        lambda net, step: flow_loss(net, scenes.batch(step, size)),
        export,
        checkpoints / "shapes.pt",
        plan,
        device,
    )
