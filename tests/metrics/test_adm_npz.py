"""The ADM-layout export is what numpy reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.metrics.adm_npz import export_adm


def batches(images: torch.Tensor, labels: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(images.split(3), labels.split(3), strict=True))


def test_numpy_reads_images_and_labels(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (8, 3, 4, 6), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 3
    export_adm(tmp_path / "samples.npz", batches(pixels / 255, labels), 8, (4, 6))
    with np.load(tmp_path / "samples.npz") as opened:
        assert opened.files == ["arr_0", "arr_1"]
        assert opened["arr_0"].dtype == np.uint8
        np.testing.assert_array_equal(opened["arr_0"], pixels.permute(0, 2, 3, 1).numpy())
        np.testing.assert_array_equal(opened["arr_1"], labels.numpy())


@pytest.mark.parametrize(("count", "size", "message"), [(9, (4, 6), "9 images was given 8"), (8, (4, 4), r"\(4, 6\)")])
def test_another_number_or_size_leaves_no_file(tmp_path: Path, count: int, size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_adm(tmp_path / "samples.npz", batches(torch.rand(8, 3, 4, 6), torch.arange(8)), count, size)
    assert list(tmp_path.iterdir()) == []
