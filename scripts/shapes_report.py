"""Measures what docs/shapes.md says, and draws its pictures.

python scripts/shapes_report.py judge                  the judge on 2,000 scenes, clean, blurred and noisy
python scripts/shapes_report.py changes                every judge: the right caption against one with a wrong word
python scripts/shapes_report.py samples --guidance 1,2,3 --steps 10,20   accuracy without search
python scripts/shapes_report.py pictures               contact sheets into docs/pictures
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import shapes_data
import torch
from plain_samples import sample as plain_sample
from shapes_changes import CHANGES, changed
from torch import Tensor

from scaling.conditions.shapes import ShapesPrompts
from scaling.models.shapes import Shapes
from scaling.protocols import Condition, Verifier
from scaling.shapes.grammar import CATEGORIES, parse
from scaling.shapes.judge import judge, read
from scaling.shapes.scenes import SIDE
from scaling.verifiers.shapes_aesthetic import ShapesAesthetic
from scaling.verifiers.shapes_clip import ShapesClip
from scaling.verifiers.shapes_reader import ShapesReader

JUDGES: dict[str, Callable[[], Verifier]] = {
    "shapes_clip_1": lambda: ShapesClip(path="shapes_clip_1", device="cpu"),
    "shapes_clip": lambda: ShapesClip(device="cpu"),
    "shapes_reader_1": lambda: ShapesReader(path="shapes_reader_1", device="cpu"),
    "shapes_reader_2": lambda: ShapesReader(path="shapes_reader_2", device="cpu"),
    "shapes_reader": lambda: ShapesReader(device="cpu"),
    "shapes_aesthetic": lambda: ShapesAesthetic(device="cpu"),
}
sample = partial(plain_sample, batch=200)
PICTURES = Path("docs/pictures")
AUDIT, STRIPS = 200, 12  # images to audit by eye; prompts with best-of-n strips


def judged(images: Tensor, conditions: list[Condition]) -> np.ndarray:
    """1 where an image is right, [n]."""
    return judge(images.numpy(), [parse(condition.prompt or "") for condition in conditions])


def report_judge() -> None:
    """Share of 2,000 rendered scenes that the judge calls right, clean and degraded."""
    drawn, captions = shapes_data.scenes(2000, shapes_data.TEST, skew=0.0)
    images, prompts = shapes_data.images_of(drawn), [parse(caption) for caption in captions]
    g = torch.Generator().manual_seed(0)
    for blur, noise in ((0, 0), (0.4, 0), (0.6, 0), (0.7, 0), (0, 0.1), (0, 0.15), (0.4, 0.1)):
        seen = shapes_data.blurred(images, torch.full((len(images),), float(blur)))
        seen = (seen + noise * torch.randn(seen.shape, generator=g)).clamp(0, 1).numpy()
        unreadable = np.mean([read(image) is None for image in seen])
        print(f"blur {blur} noise {noise}: right {judge(seen, prompts).mean():.4f} unreadable {unreadable:.4f}")


def report_changes(judges: list[str]) -> None:
    """How often a judge prefers a rendered scene's caption to the same with one word wrong, or two colors swapped."""
    drawn, captions = shapes_data.scenes(2000, shapes_data.TEST, skew=0.0)
    images, generator = shapes_data.images_of(drawn), np.random.default_rng(0)
    wrong = {what: [changed(parse(caption), what, generator) for caption in captions] for what in CHANGES}
    for name in judges:
        verifier, shares = JUDGES[name](), []
        with torch.no_grad():
            right = scored(verifier, images, [Condition(prompt=caption) for caption in captions])
            for what, prompts in wrong.items():
                rows = [i for i, prompt in enumerate(prompts) if prompt]
                scores = scored(verifier, images[rows], [Condition(prompt=str(prompts[i])) for i in rows])
                shares.append(f"{what} {np.mean(right[rows] > scores):.3f} of {len(rows)}")
        print(f"{name}: {', '.join(shares)}", flush=True)


@torch.no_grad()
def scored(verifier: Verifier, images: Tensor, conditions: list[Condition]) -> np.ndarray:
    """Scores [n], in batches."""
    starts = range(0, len(images), 500)
    return torch.cat([verifier(images[i : i + 500], conditions[i : i + 500]) for i in starts]).numpy()


def report_samples(scales: list[float], steps: list[int], count: int) -> None:
    """Accuracy without search by category."""
    conditions = list(ShapesPrompts(count=count, seed=1))
    for scale in scales:
        model = Shapes(guidance_scale=scale, device="cpu")
        for n in steps:
            right = judged(sample(model, conditions, n), conditions)
            parts = " ".join(f"{name} {right[i::5].mean():.3f}" for i, name in enumerate(CATEGORIES))
            print(f"guidance {scale} steps {n}: {right.mean():.3f} ({parts})", flush=True)


def report_spread(scale: float, steps: int, count: int) -> None:
    """Quantiles over prompts of the share of 64 images that are right."""
    prompts = list(ShapesPrompts(count=count, seed=4))
    many = [replace(condition, copy=k) for condition in prompts for k in range(64)]
    right = judged(sample(Shapes(guidance_scale=scale, device="cpu"), many, steps), many)
    shares = right.reshape(count, 64).mean(axis=1)
    marks = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
    print(", ".join(f"{mark:.0%} {value:.3f}" for mark, value in zip(marks, np.quantile(shares, marks), strict=True)))
    print(f"mean {shares.mean():.3f}, no image right {np.mean(shares == 0):.3f} of {count} prompts")


def sheet(rows: list[Tensor], marks: list[np.ndarray] | None = None, scale: int = 3) -> np.ndarray:
    """Rows of images [n,3,24,24] as one picture; a green frame says right, a red one wrong, a gray one nothing."""
    lines = []
    for place, images in enumerate(rows):
        framed = np.full((len(images), 3, SIDE + 4, SIDE + 4), 0.35, np.float32)
        if marks is not None:
            right = marks[place].astype(bool)
            framed[right] = np.array((0.2, 0.8, 0.2), np.float32)[:, None, None]
            framed[~right] = np.array((0.8, 0.2, 0.2), np.float32)[:, None, None]
        framed[:, :, :1] = framed[:, :, -1:] = framed[:, :, :, :1] = framed[:, :, :, -1:] = 1
        framed[:, :, 2:-2, 2:-2] = images.numpy()
        lines.append(np.concatenate(list(framed), axis=2))
    picture = (np.concatenate(lines, axis=1).transpose(1, 2, 0) * 255).round().astype(np.uint8)
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def labeled(path: Path, picture: np.ndarray, names: list[str]) -> None:
    """Writes a picture with a line of text to the left of each row."""
    from PIL import Image, ImageDraw

    height, left = picture.shape[0] // len(names), 7 * max(map(len, names)) + 8
    out = Image.new("RGB", (left + picture.shape[1], picture.shape[0]), "white")
    out.paste(Image.fromarray(picture), (left, 0))
    for row, name in enumerate(names):
        ImageDraw.Draw(out).text((4, row * height + height // 2 - 6), name, fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    out.save(path, optimize=True)


def pictures(scale: float, steps: int) -> None:
    """Samples by prompt, the audit of 200 images, and the best of 1 to 64 by CLIP and by the reader."""
    from PIL import Image

    model = Shapes(guidance_scale=scale, device="cpu")
    prompts = list(ShapesPrompts(count=15, seed=1))
    many = [replace(condition, copy=k) for condition in prompts for k in range(12)]
    images = sample(model, many, steps)
    right = judged(images, many).reshape(len(prompts), 12)
    names = [condition.prompt or "" for condition in prompts]
    labeled(PICTURES / "shapes_samples.png", sheet(list(images.split(12)), list(right)), names)
    audit = list(ShapesPrompts(count=AUDIT, seed=2))
    images = sample(model, audit, steps, seed=1)
    right = judged(images, audit).reshape(10, 20)
    Image.fromarray(sheet(list(images.split(20)), list(right))).save(PICTURES / "shapes_audit.png", optimize=True)
    lines = [f"{i // 20} {i % 20:2d} {int(right.flat[i])} {condition.prompt}" for i, condition in enumerate(audit)]
    (PICTURES / "shapes_audit.txt").write_text("row column right prompt\n" + "\n".join(lines) + "\n")
    strips(model, steps)


@torch.no_grad()
def strips(model: Shapes, steps: int) -> None:
    """One row a prompt: the best of 1, 2, 4, ..., 64 by CLIP, then by the reader."""
    prompts = list(ShapesPrompts(count=STRIPS, seed=3))
    pool = [replace(condition, copy=k) for condition in prompts for k in range(64)]
    images = sample(model, pool, steps, seed=2)
    rows, marks = [], []
    scores = [
        torch.from_numpy(scored(verifier, images, pool)).view(STRIPS, 64)
        for verifier in (ShapesClip(device="cpu"), ShapesReader(device="cpu"))
    ]
    right = torch.from_numpy(judged(images, pool)).view(STRIPS, 64)
    for row, own in enumerate(images.view(STRIPS, 64, 3, SIDE, SIDE)):
        best = [int(score[row, :n].argmax()) for score in scores for n in (1, 2, 4, 8, 16, 32, 64)]
        rows.append(own[best])
        marks.append(right[row, best].numpy())
    labeled(PICTURES / "shapes_best_of_n.png", sheet(rows, marks), [condition.prompt or "" for condition in prompts])
    print(f"{STRIPS} prompts of 64: accuracy from {right.mean(dim=1).min():.2f} to {right.mean(dim=1).max():.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("judge", "changes", "samples", "spread", "pictures"))
    parser.add_argument("--guidance", default="2")
    parser.add_argument("--steps", default="10")
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    scales = [float(scale) for scale in arguments.guidance.split(",")]
    steps = [int(n) for n in arguments.steps.split(",")]
    if arguments.what == "judge":
        report_judge()
    elif arguments.what == "changes":
        report_changes(list(JUDGES)[:-1])
    elif arguments.what == "samples":
        report_samples(scales, steps, arguments.count)
    elif arguments.what == "spread":
        report_spread(scales[0], steps[0], arguments.count)
    else:
        pictures(scales[0], steps[0])


if __name__ == "__main__":
    main()
