"""Statistics of real test images of clothes (10,000, or the first of them) under EfficientNet-Lite0.

For metrics=efficientnet:

python scripts/fashion_efficientnet.py [--data FOLDER] [--out fashion_efficientnet.npz] [--count 10000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fashion_data import DATA, load

from scaling.metrics.efficientnet import EfficientNetLite
from scaling.metrics.reference import reference_from_batches, save_reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="where the four files of Fashion-MNIST lie")
    parser.add_argument("--out", type=Path, default=Path("fashion_efficientnet.npz"), help="the file to write")
    parser.add_argument("--count", type=int, default=10000, help="how many of the images, from the first on")
    args = parser.parse_args()
    try:
        images, _ = load("test", args.data)
        network = EfficientNetLite()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    taken = images[: args.count]
    batches = (network(part.expand(-1, 3, -1, -1), [])["features"] for part in taken.split(64))
    save_reference(args.out, reference_from_batches(batches, len(taken)))
    print(f"{args.out}: {len(taken)} images")


if __name__ == "__main__":
    main()
