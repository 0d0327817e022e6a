"""The loop that every trainer shares: minutes instead of steps, checkpoints, the same command goes on.

A trainer gives the network, what its loss is at a step (drawn from that step's own generator, so that a resumed run
sees what an uninterrupted one sees), and how its weights are written. The learning rate follows the share of the
minutes that is gone: up, level, down; so more minutes on a later call continue at the level that they ask for.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scaling.loading.weights_file import load_weights

Export = Callable[[nn.Module, dict[str, Any]], None]  # network, and `finished`, `steps` and `seconds` for its header


@dataclass(frozen=True)
class Plan:
    """How a network is trained; `muon` is the learning rate of hidden matrices where they do not get AdamW's."""

    minutes: float
    lr: float
    batch: int
    muon: float | None = None
    warm: float = 0.02  # share of the minutes in which the learning rate rises
    fall: float = 0.4  # and in which it falls, at the end
    ema: float | None = 0.999  # decay of the averaged weights, which are the ones written
    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.01  # weight decay
    save: float = 45.0  # seconds between two checkpoints

    def rate(self, progress: float) -> float:
        """The learning rate's factor at a share of the minutes."""
        return min(progress / self.warm + 1e-2, 1.0, (1 - progress) / self.fall + 1e-3)


def trained(path: Path, minutes: float) -> bool:
    """Whether a weights file says that it was trained for the minutes, to the end of its schedule."""
    metadata = load_weights(path).metadata if path.exists() else {}
    return bool(metadata.get("finished")) and metadata["seconds"] >= 60 * minutes - 1


def optimizers(net: nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters, or Muon (Jordan et al. 2024) for the matrices in blocks and AdamW for the others."""
    inner = [p for name, p in net.named_parameters() if plan.muon is not None and p.ndim == 2 and "blocks." in name]
    chosen = {id(p) for p in inner}
    outer = [p for p in net.parameters() if id(p) not in chosen]
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(outer, lr=plan.lr, betas=plan.betas, weight_decay=plan.decay, fused=True)
    ]
    if inner:
        assert plan.muon is not None
        made.append(torch.optim.Muon(inner, lr=plan.muon, weight_decay=plan.decay, adjust_lr_fn="match_rms_adamw"))
    for optimizer in made:
        for group in optimizer.param_groups:
            group["full"] = group["lr"]
    return made


@dataclass
class Run:
    """A training under way: what a checkpoint holds."""

    net: nn.Module
    ema: nn.Module
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Writes all of it, atomically."""
        state = {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint."""
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self.net.load_state_dict(saved["net"])
        self.ema.load_state_dict(saved["ema"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step, self.seconds = saved["step"], saved["seconds"]


def train(
    name: str,
    net: nn.Module,
    loss: Callable[[nn.Module, int], Tensor],
    export: Export,
    checkpoint: Path,
    plan: Plan,
    device: torch.device | None = None,
) -> nn.Module:
    """Trains for the plan's minutes, from the checkpoint where there is one; returns what was exported last."""
    net = nn.Module.to(net.train(), device)
    run = Run(net, copy.deepcopy(net).requires_grad_(False), optimizers(net, plan))
    if checkpoint.exists():
        run.load(checkpoint)
    budget = 60 * plan.minutes
    print(f"{name}: {sum(p.numel() for p in net.parameters()):,} parameters, {budget:.0f} s", flush=True)
    while run.seconds < budget:
        mean = _until_save(run, loss, plan, budget)
        run.save(checkpoint)
        header = {"finished": run.seconds >= budget, "steps": run.step, "seconds": round(run.seconds, 1)}
        export(run.ema if plan.ema else run.net, header)
        print(f"{name} step {run.step} {run.seconds:.0f} s loss {mean:.4f}", flush=True)
    return run.ema if plan.ema else run.net


def _until_save(run: Run, loss: Callable[[nn.Module, int], Tensor], plan: Plan, budget: float) -> float:
    """Takes steps until the next checkpoint is due; the mean loss of them."""
    began, before, losses = time.monotonic(), run.seconds, []
    averaged, live = list(run.ema.parameters()), list(run.net.parameters())
    while run.seconds - before < plan.save and run.seconds < budget:
        for optimizer in run.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full"] * plan.rate(run.seconds / budget)
            optimizer.zero_grad(set_to_none=True)
        value = loss(run.net, run.step)
        value.backward()
        nn.utils.clip_grad_norm_(live, 1.0)
        for optimizer in run.optimizers:
            optimizer.step()
        run.step += 1
        if plan.ema:
            decay = min(plan.ema, (1 + run.step) / (10 + run.step))
            torch._foreach_lerp_(averaged, live, 1 - decay)
        losses.append(value.detach())
        run.seconds = before + time.monotonic() - began
    return math.fsum(torch.stack(losses).tolist()) / max(len(losses), 1)
