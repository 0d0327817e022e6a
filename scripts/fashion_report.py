"""Measures what docs/fashion.md says: the networks on real images, and samples without search.

python scripts/fashion_report.py [--samples 2000] [--sizes s,m,l] [--steps 10,20] [--guidance 1,1.5] [--picture FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from fashion_data import DATA, load
from fashion_judges import accuracy
from plain_samples import sample
from torch import Tensor

from scaling.loading.weights_file import weights_folder
from scaling.metrics.evaluator import Evaluator
from scaling.models.dit import DiT
from scaling.protocols import Condition
from scaling.verifiers.classifier import Classifier
from scaling.verifiers.control import Control


def frechet(features: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """FID of features [n,d] against a reference, in float64."""
    from scipy.linalg import sqrtm

    own = np.cov(features, rowvar=False, ddof=1)
    root = np.real(sqrtm(own @ covariance))
    return float(np.square(features.mean(axis=0) - mean).sum() + np.trace(own + covariance - 2 * root))


def judge(images: Tensor, conditions: list[Condition]) -> dict[str, float]:
    """Accuracy, FID and IS (one split) by the evaluator, the classifier's accuracy, and what the control knows."""
    labels = torch.tensor([c.class_label for c in conditions])
    evaluator, classifier, control = Evaluator(device="cpu"), Classifier(device="cpu"), Control()
    parts = [evaluator(part, []) for part in images.split(500)]
    features, logits = (torch.cat([part[k] for part in parts]).double() for k in ("features", "logits"))
    right = logits.argmax(dim=1) == labels
    p = logits.softmax(dim=1)
    inception = (p * (p.log() - p.mean(dim=0).log())).sum(dim=1).mean().exp()
    with torch.no_grad():
        agreed = torch.cat([classifier.network(part).argmax(dim=1) for part in images.split(500)]) == labels
    scores = control(images, conditions)
    reference = np.load(weights_folder() / "fashion_reference.npz")
    return {
        "accuracy": right.double().mean().item(),
        "fid": frechet(features.numpy(), reference["mean"], reference["covariance"]),
        "is": inception.item(),
        "classifier": agreed.double().mean().item(),
        "control_correlation": float(np.corrcoef(scores.numpy(), right.numpy())[0, 1]),
    }


def real(folder: Path, samples: int) -> None:
    """Prints the two classifiers' accuracies, how often they disagree, and the scores of real training images."""
    (first, ours), (second, theirs) = accuracy("classifier", folder), accuracy("evaluator", folder)
    apart = (ours != theirs).double().mean().item()
    print(f"real test images: classifier {first:.4f} evaluator {second:.4f} disagree {apart:.4f}")
    images, labels = load("train", folder)
    conditions = [
        Condition(class_label=int(label)) for label in labels[2::3][:samples]
    ]  # the evaluator never saw these
    print("real training images", _line(judge(images[2::3][:samples].expand(-1, 3, -1, -1), conditions)), flush=True)


def picture(path: Path, sizes: list[str]) -> None:
    """One contact sheet: for each size ten samples of each class (columns), the same noises at every size."""
    from PIL import Image

    conditions = [Condition(class_label=i % 10, copy=i // 10) for i in range(100)]
    sheets = []
    for size in sizes:
        images = sample(DiT(path=f"fashion_{size}", device="cpu"), conditions, 10)[:, 0]
        sheets.append(images.reshape(10, 10, 28, 28).permute(0, 2, 1, 3).reshape(280, 280))
        sheets.append(torch.ones(280, 8))
    sheet = (torch.cat(sheets[:-1], dim=1) * 255).round().byte().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).resize((2 * sheet.shape[1], 2 * sheet.shape[0]), Image.Resampling.NEAREST).save(path)


def _line(values: dict[str, float]) -> str:
    return " ".join(f"{key} {value:.3f}" for key, value in values.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--sizes", default="s,m,l")
    parser.add_argument("--steps", default="10,20")
    parser.add_argument("--guidance", default="1,1.5")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--picture", type=Path, help="write a contact sheet here and measure nothing")
    arguments = parser.parse_args()
    sizes = arguments.sizes.split(",")
    if arguments.picture:
        return picture(arguments.picture, sizes)
    real(arguments.data, arguments.samples)
    conditions = [Condition(class_label=i % 10, copy=i // 10) for i in range(arguments.samples)]
    for size in sizes:
        for scale in map(float, arguments.guidance.split(",")):
            for steps in map(int, arguments.steps.split(",")):
                model = DiT(path=f"fashion_{size}", guidance_scale=scale, dtype=arguments.dtype, device="cpu")
                values = judge(sample(model, conditions, steps), conditions)
                print(f"fashion_{size} guidance {scale} steps {steps}", _line(values), flush=True)


if __name__ == "__main__":
    main()
