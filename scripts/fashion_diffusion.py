"""Trains the class-conditional flow-matching transformers: x_t = (1 - t) x0 + t noise, predicting noise - x0."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import Any

import torch
from fashion_data import load
from torch import Tensor, nn

from scaling.loading.weights_file import load_weights, save_weights

CLASSES = 10  # the label CLASSES is the null class
WIDTHS = {  # layers, heads, channels a head
    "s": (2, 4, 16),
    "m": (4, 4, 24),
    "l": (5, 5, 32),
}
SIZES: dict[str, dict[str, float]] = {
    "s": {"lr": 3e-3, "batch": 128, "minutes": 12},
    "m": {"lr": 2e-3, "batch": 128, "minutes": 18},
    "l": {"lr": 1.5e-3, "batch": 64, "minutes": 36},
}
EMA, SAVE_SECONDS = 0.999, 45.0


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


def rate(progress: float) -> float:
    """The learning rate's factor: 2 % warm-up, flat, then a linear fall over the last 40 %."""
    return min(progress / 0.02 + 1e-2, 1.0, (1 - progress) / 0.4 + 1e-3)


def export(path: Path, size: str, ema: nn.Module, state: dict[str, Any], finished: bool) -> None:
    """Writes the averaged weights with all that is needed to use them."""
    metadata = {
        "class": "DiTTransformer2DModel",
        "architecture": architecture(size),
        "prediction": "velocity",
        "data_range": [-1.0, 1.0],
        "timestep_scale": 1000.0,
        "null_class": CLASSES,
        "finished": finished,
        "steps": state["step"],
        "seconds": round(state["seconds"], 1),
    }
    save_weights(path, ema.state_dict(), metadata)


def train(size: str, out: Path, checkpoints: Path, folder: Path, minutes: float | None = None) -> None:
    """Trains one size for its minutes, from its last checkpoint where there is one; a finished one is left alone."""
    path, checkpoint = out / f"fashion_{size}.safetensors", checkpoints / f"fashion_{size}.pt"
    if path.exists() and _enough(load_weights(path).metadata, minutes):
        return print(f"{path} is finished")
    images, labels = load("train", folder)
    images, net = images * 2 - 1, build(size)
    ema = copy.deepcopy(net).requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    state: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"]), ema.load_state_dict(saved["ema"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    budget = 60 * (minutes or SIZES[size]["minutes"])
    print(f"fashion_{size}: {sum(p.numel() for p in net.parameters()):,} parameters, {budget:.0f} s", flush=True)
    while state["seconds"] < budget:
        loss = _until_save(net, ema, optimizer, images, labels, state, SIZES[size], budget)
        saved = {"net": net.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict(), "state": state}
        torch.save(saved, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        export(path, size, ema, state, state["seconds"] >= budget)
        print(f"fashion_{size} step {state['step']} {state['seconds']:.0f} s loss {loss:.4f}", flush=True)


def _enough(metadata: dict[str, Any], minutes: float | None) -> bool:
    """Whether a file needs no more training: it is finished, and no more minutes are asked for than it had."""
    return metadata["finished"] and (minutes is None or metadata["seconds"] >= 60 * minutes)


def _until_save(
    net: nn.Module,
    ema: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    state: dict[str, Any],
    plan: dict[str, float],
    budget: float,
) -> float:
    """Takes steps until the next checkpoint is due, moving `state` along; the mean loss of them."""
    began, before, losses = time.monotonic(), state["seconds"], []
    averaged, live = list(ema.parameters()), list(net.parameters())
    while state["seconds"] - before < SAVE_SECONDS and state["seconds"] < budget:
        for group in optimizer.param_groups:
            group["lr"] = plan["lr"] * rate(state["seconds"] / budget)
        x, t, dropped, velocity = batch(images, labels, state["step"], int(plan["batch"]))
        with torch.autocast("cpu", torch.bfloat16):
            predicted = net(x, timestep=t * 1000, class_labels=dropped).sample
        loss = (predicted.float() - velocity).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live, 1.0)
        optimizer.step()
        state["step"] += 1
        decay = min(EMA, (1 + state["step"]) / (10 + state["step"]))
        torch._foreach_lerp_(averaged, live, 1 - decay)
        losses.append(loss.item())
        state["seconds"] = before + time.monotonic() - began
    return math.fsum(losses) / max(len(losses), 1)
