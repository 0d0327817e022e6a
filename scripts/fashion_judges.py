"""Trains what judges, each on its third of the data: the classifier, the evaluator and the label-free encoder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fashion_data import SHARES, load, share
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.loading.networks import NETWORKS, load_network
from scaling.loading.weights_file import load_weights, save_weights

PLANS: dict[str, dict[str, Any]] = {
    "classifier": {"kind": "PlainCNN", "architecture": {"width": 24, "classes": 10}, "epochs": 12, "lr": 4e-3},
    "evaluator": {
        "kind": "ConvNeXt",
        "architecture": {"width": 40, "depth": 2, "features": 32, "classes": 10},
        "epochs": 14,
        "lr": 3e-3,
    },
    "encoder": {"kind": "PatchMixer", "architecture": {"width": 96, "depth": 3}, "epochs": 8, "lr": 2e-3},
}
BATCH = 128


def shifted(images: Tensor, g: torch.Generator, pixels: int = 2) -> Tensor:
    """Each image moved by up to `pixels` and mirrored half of the time."""
    n = len(images)
    offsets = torch.randint(-pixels, pixels + 1, (n, 2), generator=g).float() * (2 / 28)
    mirror = torch.where(torch.rand(n, generator=g) < 0.5, -1.0, 1.0)
    return _warp(images, mirror, torch.ones(n), offsets)


def view(images: Tensor, g: torch.Generator) -> Tensor:
    """A random crop (0.6 to 1 of the side), mirrored, darkened or brightened, with a little noise: for SimCLR."""
    n = len(images)
    zoom = 0.6 + 0.4 * torch.rand(n, generator=g)
    offsets = (2 * torch.rand(n, 2, generator=g) - 1) * (1 - zoom)[:, None]
    mirror = torch.where(torch.rand(n, generator=g) < 0.5, -1.0, 1.0)
    gain = (0.6 + 0.8 * torch.rand(n, generator=g)).view(n, 1, 1, 1)
    noise = 0.1 * torch.rand(n, 1, 1, 1, generator=g) * torch.randn(images.shape, generator=g)
    return (_warp(images, mirror * zoom, zoom, offsets) * gain + noise).clamp(0, 1)


def _warp(images: Tensor, x_scale: Tensor, y_scale: Tensor, offsets: Tensor) -> Tensor:
    zero = torch.zeros_like(x_scale)
    rows = torch.stack((x_scale, zero, offsets[:, 0], zero, y_scale, offsets[:, 1]), dim=1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False, padding_mode="zeros")


def supervised(net: nn.Module, images: Tensor, labels: Tensor, g: torch.Generator) -> Tensor:
    """Cross-entropy of shifted images."""
    out = net(shifted(images, g))
    return F.cross_entropy(out[-1] if isinstance(out, tuple) else out, labels)


def contrastive(net: nn.Module, images: Tensor, labels: Tensor, g: torch.Generator) -> Tensor:
    """SimCLR's loss at temperature 0.2: two views of one image against all others; the labels are not read."""
    both = F.normalize(net(torch.cat((view(images, g), view(images, g)))), dim=1)
    similar = (both @ both.T / 0.2).fill_diagonal_(-torch.inf)
    n = len(images)
    return F.cross_entropy(similar, torch.cat((torch.arange(n, 2 * n), torch.arange(n))))


LOSSES: dict[str, Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]] = {
    "classifier": supervised,
    "evaluator": supervised,
    "encoder": contrastive,
}


def train(name: str, out: Path, checkpoints: Path, folder: Path) -> None:
    """Trains one network, from its last epoch where there is one; a finished one is left alone."""
    plan, path, checkpoint = PLANS[name], out / f"fashion_{name}.safetensors", checkpoints / f"fashion_{name}.pt"
    if path.exists() and load_weights(path).metadata.get("finished"):
        return print(f"{path} is finished")
    images, labels = share(name, folder)
    torch.manual_seed(SHARES[name])
    net = NETWORKS[plan["kind"]](**plan["architecture"]).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan["lr"], weight_decay=0.05)
    steps = plan["epochs"] * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan["lr"], steps, pct_start=0.2)
    parts = {"net": net, "optimizer": optimizer, "schedule": schedule}
    done, seconds = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        done, seconds = saved["epochs"], saved["seconds"]
        for key, part in parts.items():
            part.load_state_dict(saved[key])
    for epoch in range(done, plan["epochs"]):
        began = time.monotonic()
        loss = _epoch(name, net, optimizer, schedule, images, labels, epoch)
        seconds += time.monotonic() - began
        saved = {key: part.state_dict() for key, part in parts.items()} | {"epochs": epoch + 1, "seconds": seconds}
        torch.save(saved, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        metadata = {"class": plan["kind"], "architecture": plan["architecture"], "seconds": round(seconds, 1)}
        save_weights(path, net.state_dict(), metadata | {"finished": epoch + 1 == plan["epochs"]})
        print(f"fashion_{name} epoch {epoch + 1} {seconds:.0f} s loss {loss:.4f}", flush=True)


def _epoch(
    name: str,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    images: Tensor,
    labels: Tensor,
    epoch: int,
) -> float:
    """One pass over the images in an order of this epoch's own; the mean loss."""
    g = torch.Generator().manual_seed(1000 * SHARES[name] + epoch)
    rows, total = torch.randperm(len(images), generator=g), 0.0
    batches = rows.split(BATCH)[: len(images) // BATCH]
    for chosen in batches:
        loss = LOSSES[name](net, images[chosen], labels[chosen], g)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
    return total / len(batches)


@torch.no_grad()
def accuracy(name: str, folder: Path) -> tuple[float, Tensor]:
    """The share of the 10,000 test images whose class a saved network names, and its answers [10000]."""
    images, labels = load("test", folder)
    net, _ = load_network(f"fashion_{name}", PLANS[name]["kind"], "cpu")
    outs = [net(part) for part in images.split(500)]
    answers = torch.cat([(out[-1] if isinstance(out, tuple) else out).argmax(dim=1) for out in outs])
    return (answers == labels).double().mean().item(), answers
