"""Makes all bundled Fashion-MNIST weights: python scripts/train_fashion.py [--only m,classifier,...]; rerun to go on.

Finished parts (their files say so) are skipped, others continue from their checkpoint under outputs/fashion; delete a
weights file and its checkpoint to make that part anew. About an hour and a half on 2 cores, printed part by part.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import fashion_diffusion
import fashion_judges
from fashion_data import DATA, load

from scaling.loading.weights_file import weights_folder
from scaling.metrics.evaluator import Evaluator

PARTS = ("m", "classifier", "evaluator", "encoder", "reference", "s", "l")  # what a first run needs comes first
FEATURES_PER_CLASS = 300  # kept for KID, precision and recall: 3,000 rows of 32 in half precision are 190 KB


def reference(path: Path, folder: Path) -> None:
    """Statistics of the evaluator's features over the 10,000 real test images, 1,000 of each class.

    `mean` [32] and `covariance` [32,32] (ddof 1) are float64, `features` [3000,32] the first 300 of each class in
    float16, `count` 10000, and `evaluator` the hash of the weights that these features belong to.
    """
    images, labels = load("test", folder)
    evaluator = Evaluator(device="cpu")
    features = torch.cat([evaluator(part.expand(-1, 3, -1, -1), [])["features"] for part in images.split(500)]).numpy()
    rows = np.concatenate([np.flatnonzero(labels.numpy() == c)[:FEATURES_PER_CLASS] for c in range(10)])
    wide = features.astype(np.float64)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        mean=wide.mean(axis=0),
        covariance=np.cov(wide, rowvar=False, ddof=1),
        count=np.int64(len(wide)),
        features=features[rows].astype(np.float16),
        evaluator=np.str_(evaluator.identity()["weights"]),
    )
    partial.replace(path)


def make(part: str, out: Path, checkpoints: Path, folder: Path, minutes: float | None) -> None:
    """Makes or goes on making one part."""
    if part in fashion_diffusion.PLANS:
        fashion_diffusion.train(part, out, checkpoints, folder, minutes)
    elif part == "reference":
        reference(out / "fashion_reference.npz", folder)
    else:
        fashion_judges.train(part, out, checkpoints, folder)
        if part != "encoder":
            print(f"{part}: accuracy {fashion_judges.accuracy(part, folder)[0]:.4f} on the test images", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the four IDX files")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}, in order")
    parser.add_argument("--minutes", type=float, help="for each diffusion model, instead of its own")
    parser.add_argument("--checkpoints", type=Path, default=Path("outputs/fashion"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: valid are {', '.join(PARTS)}")
    torch.set_num_threads(arguments.threads)
    arguments.checkpoints.mkdir(parents=True, exist_ok=True)
    weights_folder().mkdir(exist_ok=True)
    for part in parts:
        began = time.monotonic()
        try:
            make(part, weights_folder(), arguments.checkpoints, arguments.data, arguments.minutes)
        except ValueError as error:
            sys.exit(f"{part}: {error}")
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
