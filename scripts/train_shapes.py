"""Makes all weights of the shapes world: python scripts/train_shapes.py [--only model,reader,...]; rerun to go on.

Finished parts are skipped, unfinished ones go on from their checkpoint under outputs/shapes; delete a part's weights
and its checkpoint to make it anew. The scenes are drawn first. `--device cuda --minutes 8` goes on on a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import shapes_aesthetic
import shapes_clip
import shapes_data
import shapes_diffusion
import shapes_latents
import shapes_reader

from scaling.loading.devices import pick_device
from scaling.loading.weights_file import weights_folder
from scaling.metrics.reference import reference_from_batches, save_reference
from scaling.metrics.shapes_judge import ShapesFeatures

PARTS = ("reader", "model", "latents", "clip", "aesthetic", "reference")
REAL, KEPT = 10_000, 3_000  # rendered scenes behind the reference, and how many of their features are kept


def reference(out: Path) -> None:
    """Statistics of the CLIP's features over rendered scenes of evenly drawn prompts."""
    drawn, _ = shapes_data.scenes(REAL, shapes_data.REFERENCE, skew=0.0)
    features = ShapesFeatures(path=str(out / shapes_clip.FOLDER), device="cpu")
    batches = (features(part, [])["features"] for part in shapes_data.images_of(drawn).split(500))
    save_reference(out / "shapes_reference.npz", reference_from_batches(batches, keep=KEPT))


def make(part: str, out: Path, checkpoints: Path, minutes: float | None, device: torch.device) -> None:
    """Makes or goes on making one part."""
    if part == "clip":
        shapes_clip.train(out, checkpoints, minutes, device)
    elif part == "reader":
        shapes_reader.train(out, checkpoints, minutes, device)
    elif part == "model":
        shapes_diffusion.train(out, checkpoints, minutes, device)
    elif part == "latents":
        shapes_latents.train(out, checkpoints, minutes, device)
    elif part == "aesthetic" and not (out / "shapes_aesthetic.safetensors").exists():
        shapes_aesthetic.train(out)
    elif part == "reference" and not (out / "shapes_reference.npz").exists():
        reference(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}, in order")
    parser.add_argument("--minutes", type=float, help="for each part that is trained for minutes, instead of its own")
    parser.add_argument("--checkpoints", type=Path, default=Path("outputs/shapes"))
    parser.add_argument("--out", type=Path, default=weights_folder(), help="where the weights go")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: valid are {', '.join(PARTS)}")
    torch.set_num_threads(arguments.threads)
    arguments.checkpoints.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part in parts:
        began = time.monotonic()
        try:
            make(part, arguments.out, arguments.checkpoints, arguments.minutes, pick_device(arguments.device))
        except ValueError as error:
            sys.exit(f"{part}: {error}")
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
