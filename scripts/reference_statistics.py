"""Reference statistics of an image folder under any Features network, in our layout (see scaling/metrics/reference.py).

    python scripts/reference_statistics.py IMAGES imagenet256_reference.npz --size 256
    python scripts/reference_statistics.py IMAGES dino.npz --network scaling.metrics.dino.DinoFeatures path=DINO

IMAGES is searched through all its folders. Images are cropped at the center and resized (as ADM does) to `--size`;
without it they must be equal in size. The feature rows that are kept (for KID, precision and recall) are drawn at
random from all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scaling.metrics.reference import reference_from_batches, save_reference
from scaling.protocols import Condition, Features

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--network", default="scaling.metrics.inception.InceptionFeatures", help="a Features class")
    parser.add_argument("--output", default="features", help="which of its outputs")
    parser.add_argument("--size", type=int, help="crop at the center and resize to this many pixels")
    parser.add_argument("--keep", type=int, default=10000, help="feature rows to keep")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="decides which rows are kept")
    parser.add_argument("options", nargs="*", help="the network's arguments, key=value")
    args = parser.parse_intermixed_args(arguments)
    try:
        started = time.perf_counter()
        files = image_files(args.images)
        network = build(args.network, args.options)
        batches = feature_batches(network, args.output, files, args.size, args.batch)
        reference = reference_from_batches(batches, args.keep, args.seed)
        save_reference(args.out, reference)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    seconds = time.perf_counter() - started
    print(f"{args.out}: {reference.count} images, {reference.width} features, {seconds:.0f} s")


def build(target: str, options: Sequence[str]) -> Features:
    """The network of a dotted class name, with key=value arguments."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    return instantiate(OmegaConf.from_dotlist([f"_target_={target}", *options]))


def image_files(folder: Path) -> list[Path]:
    """All images below a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"no images below {folder} ({', '.join(sorted(SUFFIXES))})")
    return files


def feature_batches(
    network: Features, output: str, files: Sequence[Path], size: int | None, batch: int
) -> Iterator[Tensor]:
    """The features of the images, batch by batch."""
    for start in range(0, len(files), batch):
        images = torch.stack([read_image(path, size) for path in files[start : start + batch]])
        outputs = network(images, [Condition(class_label=-1)] * len(images))
        if output not in outputs:
            raise ValueError(f"the network has no output '{output}'; it has {', '.join(outputs)}")
        yield outputs[output]


def read_image(path: Path, size: int | None) -> Tensor:
    """[3, h, w] in [0, 1]; cropped and resized where a size is given."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if size is not None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        while side >= 2 * size:  # halve by boxes first, as ADM's preprocessing does
            image = image.crop((left, top, left + side, top + side)).resize(
                (side // 2, side // 2), Image.Resampling.BOX
            )
            side, left, top = side // 2, 0, 0
        image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


if __name__ == "__main__":
    main()
