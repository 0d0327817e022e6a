"""Trains the judge that reads: it answers questions about rendered scenes, half of them spoiled as generated ones are.

The answers are the exact judge's on the spoiled image where it can read it; where it cannot, the closing question is
answered no, and the others, at a quarter of the weight, by the scene that was drawn.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapes_data
import torch
import training
from shapes_changes import CHANGES, changed
from shapes_damage import damaged
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.loading.weights_file import save_weights
from scaling.shapes.grammar import CATEGORIES, Prompt, draw, parse
from scaling.shapes.judge import read
from scaling.shapes.questions import MOST, ask, questions
from scaling.shapes.reader import Reader

ARCHITECTURE = {"width": 48, "depth": 2, "heads": 4, "hidden": 160}
PLAN = training.Plan(minutes=20, lr=2e-3, batch=64, betas=(0.9, 0.98), ema=0.998)
SCENES, PROMPTS, SPOILED, UNSURE = 50_000, 3, 0.6, 0.25
LADDER = {"shapes_reader_1": 0.02, "shapes_reader_2": 0.1}  # earlier states that are kept: shares of the minutes


def data(folder: Path) -> dict[str, Tensor]:
    """Images (uint8), and words, answers and weights of the questions of three prompts each; made on the first call."""
    path = folder / "questions.npz"
    if not path.exists():
        generator = np.random.default_rng(shapes_data.READER)
        drawn, captions = shapes_data.scenes(SCENES, shapes_data.READER, skew=0.0)
        rows = [_row(scene, parse(caption), generator) for scene, caption in zip(drawn, captions, strict=True)]
        names = ("images", "words", "answers", "weights")
        stacked = {name: np.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        np.savez(path.with_suffix(".partial.npz"), **stacked)
        path.with_suffix(".partial.npz").replace(path)
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def _row(scene: Any, prompt: Prompt, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    image = shapes_data.render(scene)
    if generator.random() < SPOILED:
        image = damaged(image, scene, generator)
    image = (image * 255).round().astype(np.uint8)
    shown = read(image.astype(np.float32) / 255)
    wrong = [changed(prompt, what, generator) for what in generator.permutation(CHANGES)]
    other = draw(CATEGORIES[generator.integers(len(CATEGORIES))], generator)
    prompts = [prompt, next((p for p in wrong if p), other), other]
    words, weights = ask(prompts)
    answers = np.zeros((PROMPTS, MOST), np.float32)
    for row, asked in enumerate(map(questions, prompts)):
        for place, question in enumerate(asked):
            answers[row, place] = question.answer(shown or scene)
        if shown is None:
            answers[row, len(asked) - 1] = 0
            weights[row, : len(asked) - 1] *= UNSURE
    return image, words.flatten(0, 1).numpy().astype(np.uint8), answers.ravel(), weights.flatten().numpy()


def train(out: Path, checkpoints: Path, minutes: float | None, device: torch.device) -> None:
    """Trains for the minutes, from the last checkpoint where there is one; a finished one is left alone."""
    path, plan = out / "shapes_reader.safetensors", replace(PLAN, minutes=minutes or PLAN.minutes)
    if training.trained(path, plan.minutes):
        return print("shapes_reader is finished")
    rows = {name: values.to(device) for name, values in data(checkpoints).items()}
    torch.manual_seed(0)

    def export(ema: nn.Module, header: dict[str, Any]) -> None:
        metadata = {"class": "ShapesReader", "architecture": ARCHITECTURE} | header
        save_weights(path, ema.state_dict(), metadata)
        for name, share in LADDER.items():
            rung = out / f"{name}.safetensors"
            if header["seconds"] >= 60 * share * plan.minutes and not rung.exists():
                save_weights(rung, ema.state_dict(), metadata)

    def loss(net: nn.Module, step: int) -> Tensor:
        g = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(rows["images"]), (plan.batch,), generator=g)
        chosen_here = chosen.to(device)
        images = shapes_data.view(rows["images"][chosen_here].float().cpu() / 255, g).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            logits = net(images, rows["words"][chosen_here].float()).float()
        weights = rows["weights"][chosen_here]
        each = F.binary_cross_entropy_with_logits(logits, rows["answers"][chosen_here], reduction="none")
        return (each * weights).sum() / weights.sum()

    training.train(
        "shapes_reader", Reader(**ARCHITECTURE), loss, export, checkpoints / "shapes_reader.pt", plan, device
    )
