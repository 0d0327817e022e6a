"""Trains the judge of latents of the shapes world: the reader goes on with what the model predicts along its solves.

Its answers are the exact judge's on the sample that a solve ended with, whatever the noise level of the prediction that
is shown: so it says early how a candidate will end. Nothing is decoded.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapes_data
import torch
import training
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.loading.weights_file import load_weights, save_weights
from scaling.models.shapes import Shapes
from scaling.protocols import Condition
from scaling.shapes.grammar import CATEGORIES, Prompt, draw
from scaling.shapes.judge import read
from scaling.shapes.questions import MOST, ask, questions
from scaling.shapes.reader import Reader

PLAN = training.Plan(minutes=12, lr=5e-4, batch=64, betas=(0.9, 0.98), ema=0.998)
SOLVES, STEPS, GUIDANCE, SHOWN, TOGETHER = 16_000, 10, 2.0, 4, 64  # `SHOWN` predictions of each solve are kept


def data(folder: Path, model: Path) -> dict[str, Tensor]:
    """Latents (float16) of SHOWN predictions and the end of each solve, words, answers and weights of its questions."""
    path = folder / "latents.npz"
    if not path.exists():
        generator, denoiser = (
            np.random.default_rng(shapes_data.LATENTS),
            Shapes(path=str(model), guidance_scale=GUIDANCE),
        )
        batches = [_solves(denoiser, generator) for _ in range(SOLVES // TOGETHER)]
        stacked = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        np.savez(path.with_suffix(".partial.npz"), **stacked)
        path.with_suffix(".partial.npz").replace(path)
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@torch.inference_mode()
def _solves(denoiser: Shapes, generator: np.random.Generator) -> dict[str, np.ndarray]:
    prompts = [draw(CATEGORIES[generator.integers(len(CATEGORIES))], generator) for _ in range(TOGETHER)]
    encoded = denoiser.encode([Condition(prompt=str(prompt)) for prompt in prompts])
    g = torch.Generator().manual_seed(int(generator.integers(2**62)))
    x = torch.randn(TOGETHER, *denoiser.latent_shape, generator=g).to(denoiser.device)
    grid, shown = denoiser.schedule.grid(STEPS).float(), []
    for t, s in pairwise(grid):
        found = denoiser(x, t.expand(TOGETHER), encoded)
        x = (1 - s) * found.x0 + s * found.eps
        shown.append(found.x0)
    steps = torch.rand(TOGETHER, STEPS - 1, generator=g).argsort(dim=1)[:, :SHOWN]  # the last prediction is the sample
    kept = torch.stack(shown, dim=1)[torch.arange(TOGETHER)[:, None], steps]
    images = denoiser.decode(x).cpu().numpy()
    rows = [_answers(prompt, image) for prompt, image in zip(prompts, images, strict=True)]
    answers, weights = (np.stack(column) for column in zip(*rows, strict=True))
    words, _ = ask(prompts)
    latents = torch.cat((kept, x[:, None]), dim=1).half().cpu().numpy()
    return {"latents": latents, "words": words.numpy().astype(np.uint8), "answers": answers, "weights": weights}


def _answers(prompt: Prompt, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the exact judge answers to each question; where it cannot read, no to the closing one alone."""
    scene, asked = read(image), questions(prompt)
    answers, weights = np.zeros(MOST, np.float32), np.zeros(MOST, np.float32)
    for place, question in enumerate(asked):
        closing = place == len(asked) - 1
        answers[place] = question.answer(scene) if scene is not None else 0
        weights[place] = scene is not None or closing
    return answers, weights


def train(out: Path, checkpoints: Path, minutes: float | None, device: torch.device) -> None:
    """Trains for the minutes, from the last checkpoint where there is one; a finished one is left alone."""
    path, plan = out / "shapes_latents.safetensors", replace(PLAN, minutes=minutes or PLAN.minutes)
    if training.trained(path, plan.minutes):
        return print("shapes_latents is finished")
    begun = load_weights(out / "shapes_reader.safetensors")
    rows = {name: values.to(device) for name, values in data(checkpoints, out / "shapes.safetensors").items()}
    torch.manual_seed(0)
    network = Reader(**begun.metadata["architecture"])
    network.load_state_dict(begun.state)

    def export(ema: nn.Module, header: dict[str, Any]) -> None:
        shape = list(rows["latents"].shape[2:])
        architecture = begun.metadata["architecture"]
        metadata = {"class": "ShapesLatents", "architecture": architecture, "latent_shape": shape} | header
        save_weights(path, ema.state_dict(), metadata)

    def loss(net: nn.Module, step: int) -> Tensor:
        g = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(rows["latents"]), (plan.batch,), generator=g).to(device)
        shown = torch.randint(SHOWN + 1, (plan.batch,), generator=g).to(device)
        latents = rows["latents"][chosen, shown].float()
        with torch.autocast(device.type, torch.bfloat16):
            logits = net(latents / 2 + 0.5, rows["words"][chosen].float()).float()
        weights = rows["weights"][chosen]
        each = F.binary_cross_entropy_with_logits(logits, rows["answers"][chosen], reduction="none")
        return (each * weights).sum() / weights.sum()

    training.train("shapes_latents", network, loss, export, checkpoints / "shapes_latents.pt", plan, device)
