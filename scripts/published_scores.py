"""Makes a pool with a step column of the scores that TTSnap (2511.22242) publishes: 200 prompts, 200 noises, 20 steps.

    git clone https://github.com/TerrysLearning/TTSnap
    python scripts/published_scores.py TTSnap/simulation/values --model flux --out flux.parquet
    python scripts/published_scores.py TTSnap/simulation/values --model flux --kind naft --out flux_naft.parquet
    scaling-study report --pool flux.parquet
    scaling-study rungs --pool flux.parquet --guide image_reward --budget 400

`flux` is FLUX.1-dev at 512 pixels, `sdxl` RealVisXL V4.0. `base` are the rewards as published, `naft` those that were
tuned to noisy predictions (of the first steps alone; later ones are the reward's own). The files carry no license: they
stay where they are.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray
from pyarrow import parquet

REWARDS = {"imr": "image_reward", "hps": "hps_v2", "pic": "pickscore"}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def main() -> None:
    """Reads, joins, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("values", type=Path, help="the folder simulation/values of a clone")
    parser.add_argument("--model", choices=("flux", "sdxl"), default="flux")
    parser.add_argument("--kind", choices=("base", "naft"), default="base")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    scores = {name: tensor(options.values, options.model, short, options.kind) for short, name in REWARDS.items()}
    if len({each.shape for each in scores.values()}) != 1:
        parser.error(f"the rewards differ in size: {', '.join(f'{n} {s.shape}' for n, s in scores.items())}")
    parquet.write_table(table(scores), options.out)
    print(options.out)


def tensor(values: Path, model: str, reward: str, kind: str) -> NDArray[np.float32]:
    """Scores of one reward, [prompts, candidates, steps]; where `kind` lacks a step it is the published reward's."""
    found = {step: path for each in ("base", kind) for step, path in steps(values / f"{model}_{reward}_val_{each}")}
    if sorted(found) != list(range(len(found))) or not found:
        raise SystemExit(f"{values} has not every step of {model}, {reward}; it has {sorted(found)}")
    by_step = [yaml.load(found[step].read_text(), LOADER) for step in sorted(found)]
    return np.array([[rows[prompt] for prompt in sorted(rows)] for rows in by_step], np.float32).transpose(1, 2, 0)


def steps(folder: Path) -> list[tuple[int, Path]]:
    """The files of a folder, each with its step."""
    matches = ((re.fullmatch(r"p\d+_i\d+_s(\d+)", path.stem), path) for path in folder.glob("*.yaml"))
    return [(int(match[1]), path) for match, path in matches if match]


def table(scores: dict[str, NDArray[np.float32]]) -> pa.Table:
    """A row per prompt, candidate and step."""
    axes = np.indices(next(iter(scores.values())).shape).reshape(3, -1)
    keys = dict(zip(("condition", "candidate", "step"), axes.astype(np.int32), strict=True))
    return pa.table(keys | {name: each.ravel() for name, each in scores.items()})


if __name__ == "__main__":
    main()
