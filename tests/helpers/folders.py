"""Synthetic run folders in the runner's format, with known truths: quality rises, FID turns, the control is flat."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from scaling.schema import Point, names
from scaling.statistics import jackknife_interval, mean_interval

GROUPS = 20
NFE = 20
SIZE = {"fashion_s": 0.0, "fashion_m": 0.3, "fashion_l": 0.5}
GFLOPS = {"fashion_s": 0.003, "fashion_m": 0.01, "fashion_l": 0.03}
INFORMED = {"oracle": 0.9, "self_supervised": 0.4, "control": 0.0}


def fid(features: np.ndarray) -> float:
    """Frechet distance of features to a standard normal."""
    mean, covariance = features.mean(axis=0), np.cov(features.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0))
    return float(mean @ mean + np.trace(covariance) + len(mean) - 2 * roots.sum())


SET_METRICS = {
    "fid": lambda features, quality: fid(features),
    "inception_score": lambda features, quality: float(5 + 2 * quality.mean()),
    "precision": lambda features, quality: float((quality > -0.5).mean()),
    "recall": lambda features, quality: float(features[:, 0].std() / 2),
}


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
    guidance: float = 2.0,
    settings: Mapping[str, Any] | None = None,
    scores: Sequence[str] = ("classifier",),
    sets: Sequence[str] = ("fid",),
    strength: float = 1.0,
    pool: int | None = None,
) -> Path:
    """Writes one run folder and returns its path; `steps` buys denoising steps with the same ladder of NFE.

    `settings` go into the config (nested); `strength` is how much a candidate gains, 1 for random search;
    runs of one `pool` of candidates share them whatever their ladder.
    """
    path = folder / name
    (path / "candidates").mkdir(parents=True)
    rng = np.random.default_rng([7, seed])
    quality = rng.standard_normal((conditions, pool or max(ladder)))
    score = INFORMED.get(verifier, 0.7) * quality + 0.5 * rng.standard_normal(quality.shape)
    features = rng.standard_normal((*quality.shape, 4)) + 0.35
    features[..., 0] -= 0.5 * quality  # searching moves this one through 0 and beyond: FID turns
    jitter = {each: rng.standard_normal(conditions) for each in scores}
    winners, curve, replicates = [], [], []
    rows = np.arange(conditions)
    for rung, size in enumerate(ladder):
        pick = np.zeros(conditions, int) if search == "steps" else score[:, :size].argmax(axis=1)
        gain = 0.3 * (1 - 1 / size) if search == "steps" else 0.0
        q = strength * quality[rows, pick] + SIZE.get(model, 0.3) + gain + 0.1 * guidance
        chosen = features[rows, pick] - gain / 4
        samples = {each: 5 + q + 0.3 * jitter[each] for each in scores} | {"accuracy": (q > -0.8).astype(float)}
        winners.append(_winners(rung, size, pick, {f"search/{verifier}": score[rows, pick], **samples}))
        metrics = {}
        for each in sets:
            kept = [rows % GROUPS != group for group in range(GROUPS)]
            without = np.array([SET_METRICS[each](chosen[keep], q[keep]) for keep in kept])
            replicates += [{"rung": rung, "metric": each, "group": g, "value": v} for g, v in enumerate(without)]
            value = SET_METRICS[each](chosen, q)
            metrics[each] = (value, *jackknife_interval(value, without))
        metrics |= {each: tuple(mean_interval(values)) for each, values in samples.items()}
        nfe = size * NFE
        calls = 1 if search == "steps" else size
        solved = 2 * nfe * GFLOPS.get(model, 0.01)
        costs = (calls, nfe, 0, nfe, 2 * nfe, 0, calls, calls, solved, 0.0, 0.0, 0.0, solved)
        curve += [
            (model, verifier, search, guidance, seed, rung, nfe, *costs, m, *v, conditions) for m, v in metrics.items()
        ]
    _write_tables(path, winners, curve, replicates, score, quality)
    _write_text(path, folder.name, name, search, verifier, model, seed, ladder, settings or {})
    if images:
        write_images(path, ladder)
    return path


def without_scores(path: Path, metric: str, rung: int, conditions: Sequence[int]) -> None:
    """Takes a score of some conditions' winners away, as of images that cannot be read, from the tables of a run."""
    winners = pq.read_table(path / "winners.parquet")
    values, there = winners[metric].to_numpy().copy(), winners["rung"].to_numpy() == rung
    values[there & np.isin(winners["condition"].to_numpy(), conditions)] = np.nan
    place = winners.column_names.index(metric)
    pq.write_table(winners.set_column(place, metric, pa.array(values)), path / "winners.parquet")
    applies = values[there & ~np.isnan(values)]
    with (path / "curve.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    of, at = head.index("metric"), head.index("rung")
    for row in rows:
        if (row[of], row[at]) == (metric, str(rung)):
            row[of + 1 :] = map(str, (*mean_interval(applies, metric=metric), len(applies)))
    with (path / "curve.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def make_study(folder: Path, **options: Any) -> Path:
    """A search, the dashed baseline and the control, as the quick start leaves them."""
    for search, verifier in (("random", "classifier"), ("steps", "classifier"), ("random", "control")):
        make_run(folder, f"{search}-{verifier}", search, verifier, **options)
    (folder / "multirun.yaml").write_text("hydra: {}\n")
    return folder


def _winners(rung, size, pick, scores) -> pa.Table:
    count = len(pick)
    return pa.table(
        {
            "rung": np.full(count, rung),
            "budget_nfe": np.full(count, size * NFE),
            "condition": np.arange(count),
            "class_label": np.arange(count) % 10,
            "prompt": pa.array([None] * count, pa.string()),
            "copy": np.arange(count) // 10,
            "candidate": pick,
            **scores,
        }
    )


def _write_tables(path, winners, curve, replicates, score, quality) -> None:
    pq.write_table(pa.concat_tables(winners), path / "winners.parquet")
    pq.write_table(pa.Table.from_pylist(replicates), path / "replicates.parquet")
    with (path / "curve.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names(Point), *curve])
    count, pool = score.shape
    index = np.tile(np.arange(pool), count)
    table = {
        "condition": np.repeat(np.arange(count), pool),
        "candidate": index,
        "parent": np.full(score.size, -1),
        "round": index,
        "spent_nfe": (index + 1) * NFE,
        "t": np.zeros(score.size),
        "search/classifier": score.ravel(),
        "search/oracle": quality.ravel(),
    }
    pq.write_table(pa.table(table), path / "candidates" / "part-00000.parquet")


def _write_text(path, study, name, search, verifier, model, seed, ladder, settings) -> None:
    config: dict[str, Any] = {
        "study": study,
        "name": name,
        "seed": seed,
        "choices": {"model": model, "verifier": verifier, "search": search, "budget": "candidates"},
        "model": {"_target_": "scaling.models.fashion.load", "size": model},
        "search": {"_target_": f"scaling.search.{search}"},
        "verifier": {"_target_": f"scaling.verifiers.{verifier}"},
        "budget": {"candidates": list(ladder), "nfes_per_iter": NFE, "final_nfe": None},
    }
    for group, values in settings.items():
        config[group] = {**config.get(group, {}), **values}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "environment.json").write_text(json.dumps({"versions": {"torch": "2.14.1"}, "device": "cpu"}))
    paid = {"nfe": max(ladder) * NFE * 100, "forwards": 2 * max(ladder) * NFE * 100}
    (path / "cost.json").write_text(json.dumps({"seconds": 12.5, "paid": paid, "conditions": 100, "done": True}))


def write_images(path: Path, ladder: Sequence[int]) -> None:
    """A grid of four images per rung, and the images one by one."""
    for size in ladder:
        folder = path / "samples" / f"{size * NFE:06d}"
        folder.mkdir(parents=True)
        grid = Image.new("RGB", (4 * 28, 28))
        for condition in range(4):
            tile = Image.new("RGB", (28, 28), (60 * condition, min(255, 12 * size), 120))
            tile.save(folder / f"{condition:05d}.png")
            grid.paste(tile, (28 * condition, 0))
        grid.save(path / "samples" / f"rung-{size * NFE:06d}.png")
