"""Synthetic run folders in the runner's format, with known truths: quality rises, FID turns, the control is flat."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from scaling.analysis.statistics import jackknife_interval, mean_interval

GROUPS = 20
NFE = 20
SIZE = {"fashion_s": 0.0, "fashion_m": 0.3, "fashion_l": 0.5}
INFORMED = {"classifier": 0.7, "oracle": 0.9, "self_supervised": 0.4, "control": 0.0}
COLUMNS = [
    "model",
    "verifier",
    "search",
    "guidance_scale",
    "seed",
    "candidates",
    "search_nfe",
    "final_nfe",
    "nfe",
    "forwards",
    "backwards",
    "decodes",
    "verifier_calls",
    "gflops",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "conditions",
]


def fid(features: np.ndarray) -> float:
    """Frechet distance of features to a standard normal."""
    mean, covariance = features.mean(axis=0), np.cov(features.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0))
    return float(mean @ mean + np.trace(covariance) + len(mean) - 2 * roots.sum())


def make_run(
    folder: Path,
    name: str = "random",
    search: str = "random",
    verifier: str = "classifier",
    model: str = "fashion_m",
    seed: int = 0,
    ladder: Sequence[int] = (1, 2, 4, 8, 16),
    conditions: int = 100,
    images: bool = True,
    noise_seed: int = 0,
) -> Path:
    """Writes one run folder and returns its path; `steps` buys denoising steps with the same ladder of NFE."""
    path = folder / name
    (path / "candidates").mkdir(parents=True)
    rng = np.random.default_rng([noise_seed, seed])
    quality = rng.standard_normal((conditions, max(ladder)))
    score = INFORMED[verifier] * quality + 0.5 * rng.standard_normal(quality.shape)
    features = rng.standard_normal((conditions, max(ladder), 4)) + 0.35
    features[..., 0] -= 0.5 * quality  # searching moves this one through 0 and beyond: FID turns
    winners, curve, replicates = [], [], []
    for rung, size in enumerate(ladder):
        pick = np.zeros(conditions, int) if search == "steps" else score[:, :size].argmax(axis=1)
        rows = np.arange(conditions)
        gain = 0.3 * (1 - 1 / size) if search == "steps" else 0.0
        q = quality[rows, pick] + SIZE[model] + gain
        accuracy = (q > -0.8).astype(float)
        chosen = features[rows, pick] - gain / 4
        winners.append(_winners(rung, size, pick, score[rows, pick], q, accuracy))
        without = np.array([fid(chosen[rows % GROUPS != group]) for group in range(GROUPS)])
        replicates += [{"rung": rung, "metric": "fid", "group": g, "value": v} for g, v in enumerate(without)]
        value = fid(chosen)
        metrics = {
            "fid": (value, *jackknife_interval(value, without)),
            "accuracy": mean_interval(accuracy),
            "classifier": mean_interval(q),
        }
        nfe = size * NFE
        costs = (1 if search == "steps" else size, nfe, NFE, nfe, 2 * nfe, 0, size, size, 2 * nfe * 0.01)
        curve += [(model, verifier, search, 2.0, seed, *costs, m, *v, conditions) for m, v in metrics.items()]
    _write_tables(path, winners, curve, replicates, score, quality, search)
    _write_text(path, folder.name, name, search, verifier, model, seed, ladder)
    if images:
        write_images(path, ladder)
    return path


def make_study(folder: Path, **options) -> Path:
    """A search, the dashed baseline and the control, as the quick start leaves them."""
    for search, verifier in (("random", "classifier"), ("steps", "classifier"), ("random", "control")):
        make_run(folder, f"{search}-{verifier}", search, verifier, **options)
    (folder / "multirun.yaml").write_text("hydra: {}\n")
    return folder


def _winners(rung, size, pick, score, quality, accuracy) -> dict:
    count = len(pick)
    labels = np.arange(count) % 10
    return {
        "rung": np.full(count, rung),
        "nfe": np.full(count, size * NFE),
        "condition": np.arange(count),
        "class_label": labels,
        "prompt": [None] * count,
        "copy": np.arange(count) // 10,
        "candidate": pick,
        "score": score,
        "classifier": quality,
        "accuracy": accuracy,
    }


def _write_tables(path, winners, curve, replicates, score, quality, search) -> None:
    tables = [pa.table({**each, "prompt": pa.array(each["prompt"], pa.string())}) for each in winners]
    pq.write_table(pa.concat_tables(tables), path / "winners.parquet")
    pq.write_table(pa.Table.from_pylist(replicates), path / "replicates.parquet")
    with (path / "curve.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *curve])
    count, pool = score.shape
    index = np.tile(np.arange(pool), count)
    table = {
        "condition": np.repeat(np.arange(count), pool),
        "candidate": index,
        "parent": np.full(score.size, -1),
        "round": index,
        "nfe": (index + 1) * NFE,
        "t": np.zeros(score.size),
        "classifier": score.ravel(),
        "oracle": quality.ravel(),
    }
    pq.write_table(pa.table(table), path / "candidates" / "part-00000.parquet")


def _write_text(path, study, name, search, verifier, model, seed, ladder) -> None:
    choices = {"model": model, "verifier": verifier, "search": search, "budget": "candidates"}
    config = {
        "study": study,
        "name": name,
        "seed": seed,
        "choices": choices,
        "model": {"_target_": "scaling.models.fashion.load", "size": model},
        "budget": {"candidates": list(ladder), "nfes_per_iter": NFE},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "environment.json").write_text(json.dumps({"torch": "2.14.1", "device": "cpu"}))
    paid = {"nfe": max(ladder) * NFE * 100, "forwards": 2 * max(ladder) * NFE * 100}
    (path / "cost.json").write_text(json.dumps({"seconds": 12.5, "paid": paid, "replayed": {}, "done": True}))


def write_images(path: Path, ladder: Sequence[int]) -> None:
    """A grid of four images per rung, and the images one by one."""
    for size in ladder:
        folder = path / "samples" / str(size * NFE)
        folder.mkdir(parents=True)
        grid = Image.new("RGB", (4 * 28, 28))
        for condition in range(4):
            tile = Image.new("RGB", (28, 28), (60 * condition, min(255, 12 * size), 120))
            tile.save(folder / f"{condition}.png")
            grid.paste(tile, (28 * condition, 0))
        grid.save(path / "samples" / f"rung-{size * NFE}.png")
