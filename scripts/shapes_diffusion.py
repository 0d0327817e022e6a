"""Trains the flow transformer of the shapes world: x_t = (1 - t) x0 + t noise, predicting noise - x0 from phrases."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import shapes_data
import torch
from torch import Tensor, nn

from scaling.loading.networks import save_weights
from scaling.shapes.phrases import WIDTH, phrases

ARCHITECTURE: dict[str, Any] = {
    "num_layers": 4,
    "num_attention_heads": 4,
    "attention_head_dim": 32,
    "cross_attention_dim": 128,
    "caption_channels": WIDTH,
    "sample_size": 16,
    "patch_size": 4,
    "in_channels": 3,
    "out_channels": 3,
    "interpolation_scale": 1,
}
BATCH, LR, EMA, DROP, SAVE_SECONDS = 64, 1.5e-3, 0.999, 0.1, 60.0


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


class Captions:
    """What the network attends to for each caption, every distinct one once; row 0 is the empty caption."""

    def __init__(self, captions: list[str]) -> None:
        distinct = {"": 0}
        self.rows = torch.tensor([distinct.setdefault(caption, len(distinct)) for caption in captions])
        self.states, self.mask = phrases(list(distinct))


def batch(images: Tensor, captions: Captions, step: int) -> tuple[Tensor, ...]:
    """(x_t, t, phrases, mask, velocity) of a step, a tenth without text; the same whenever the step is taken."""
    g = torch.Generator().manual_seed(step)
    rows = torch.randint(len(images), (BATCH,), generator=g)
    strata = (torch.arange(BATCH) + torch.rand(BATCH, generator=g)) / BATCH
    t = torch.sigmoid(1.2 * torch.special.ndtri(strata.clamp(1e-6, 1 - 1e-6)) + 0.3)
    kept = torch.rand(BATCH, generator=g) >= DROP
    texts = torch.where(kept, captions.rows[rows], 0)
    x0 = images[rows].float() / 127.5 - 1
    noise = torch.randn(x0.shape, generator=g)
    u = t[:, None, None, None]
    return (1 - u) * x0 + u * noise, t, captions.states[texts], captions.mask[texts], noise - x0


def export(path: Path, ema: nn.Module, architecture: dict[str, Any], state: dict[str, Any], finished: bool) -> None:
    """Writes the averaged weights with all that is needed to use them."""
    metadata = {
        "class": "PixArtTransformer2DModel",
        "architecture": architecture,
        "prediction": "velocity",
        "data_range": [-1.0, 1.0],
        "timestep_scale": 1000.0,
        "finished": finished,
        "steps": state["step"],
        "seconds": round(state["seconds"], 1),
    }
    save_weights(path, ema.state_dict(), metadata)


def train(out: Path, checkpoints: Path, minutes: float, architecture: dict[str, Any] = ARCHITECTURE) -> None:
    """Trains for the minutes, from the last checkpoint where there is one; a finished one is left alone."""
    path, checkpoint = out / "shapes.safetensors", checkpoints / "shapes.pt"
    if shapes_data.trained(path, minutes):
        return print("shapes is finished")
    images, texts = shapes_data.load(checkpoints)
    captions, net = Captions(texts), build(architecture)
    ema = copy.deepcopy(net).requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    state: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"]), ema.load_state_dict(saved["ema"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    budget = 60 * minutes
    print(f"shapes: {sum(p.numel() for p in net.parameters()):,} parameters, {budget:.0f} s", flush=True)
    while state["seconds"] < budget:
        loss = _until_save(net, ema, optimizer, images, captions, state, budget)
        saved = {"net": net.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict(), "state": state}
        torch.save(saved, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        export(path, ema, architecture, state, state["seconds"] >= budget)
        print(f"shapes step {state['step']} {state['seconds']:.0f} s loss {loss:.4f}", flush=True)


def _until_save(
    net: nn.Module,
    ema: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    captions: Captions,
    state: dict[str, Any],
    budget: float,
) -> float:
    """Takes steps until the next checkpoint is due, moving `state` along; the mean loss of them."""
    began, before, losses = time.monotonic(), state["seconds"], []
    averaged, live = list(ema.parameters()), list(net.parameters())
    while state["seconds"] - before < SAVE_SECONDS and state["seconds"] < budget:
        progress = state["seconds"] / budget
        for group in optimizer.param_groups:
            group["lr"] = LR * min(progress / 0.01 + 1e-2, 1.0, (1 - progress) / 0.4 + 1e-3)
        x, t, states, mask, velocity = batch(images, captions, state["step"])
        added = {"resolution": None, "aspect_ratio": None}
        with torch.autocast("cpu", torch.bfloat16):
            predicted = net(
                x,
                encoder_hidden_states=states,
                encoder_attention_mask=mask,
                timestep=t * 1000,
                added_cond_kwargs=added,
            ).sample
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
    return sum(losses) / max(len(losses), 1)
