"""The script that makes reference statistics from an image folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model

from scaling.metrics.dino import DinoFeatures
from scaling.metrics.reference import load_reference
from scaling.protocols import Condition

SCRIPT = Path(__file__).parents[2] / "scripts" / "reference_statistics.py"


@pytest.fixture
def main() -> Callable[[list[str]], None]:
    spec = importlib.util.spec_from_file_location("reference_statistics", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_statistics_of_a_folder_are_those_of_its_features(main: Callable[[list[str]], None], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        path = tmp_path / "images" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = Dinov2Config(hidden_size=4, num_hidden_layers=1, num_attention_heads=1, image_size=28, patch_size=14)
        Dinov2Model(config).save_pretrained(tmp_path / "dino")
    arguments = [tmp_path / "images", tmp_path / "out.npz", "--batch", "3", "--keep", "5"]
    network = ["--network", "scaling.metrics.dino.DinoFeatures", f"path={tmp_path / 'dino'}", "size=28", "device=cpu"]
    main([*map(str, arguments), *network])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    dino = DinoFeatures(path=str(tmp_path / "dino"), size=28, device="cpu")
    features = dino(images, [Condition(class_label=0)] * 7)["features"].double()
    reference = load_reference(tmp_path / "out.npz")
    torch.testing.assert_close(reference.mean, features.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(reference.covariance, features.T.cov(), rtol=1e-4, atol=1e-8)
    assert (reference.count, len(reference.rows())) == (7, 5)


def test_an_empty_folder_is_one_line(main: Callable[[list[str]], None], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: no images below .*\)$"):
        main([str(tmp_path), str(tmp_path / "out.npz")])


def test_large_images_are_cropped_and_resized(main: Callable[[list[str]], None], tmp_path: Path) -> None:
    """The crop keeps the center: the sides of these images, of any color, leave no trace."""
    rng = np.random.default_rng(1)
    for number in range(3):
        image = rng.integers(0, 256, (40, 90, 3), dtype=np.uint8)
        image[:, 25:65] = 40 * number
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
    network = ["--network", "metric_rows.PixelMean", "--size", "8"]
    main([str(tmp_path / "images"), str(tmp_path / "out.npz"), *network])
    torch.testing.assert_close(load_reference(tmp_path / "out.npz").mean, torch.full((3,), 40 / 255).double())
