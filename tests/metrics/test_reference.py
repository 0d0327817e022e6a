"""Reference statistics: layouts, bad files, streaming."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from metric_rows import correlated, write_reference
from safetensors.numpy import save_file

from scaling.metrics.reference import Reference, load_reference, reference_from_batches, save_reference

ROWS = correlated(60, 5, seed=1)
MEAN, COVARIANCE = ROWS.numpy().mean(0), np.cov(ROWS.numpy(), rowvar=False)


def test_streamed_statistics_are_numpys() -> None:
    """A mean of 1e4 beside a deviation of 1: the one-pass formula without a shift would lose eight digits."""
    rows = ROWS + 1e4
    reference = reference_from_batches(rows.split(7))
    np.testing.assert_allclose(reference.mean, rows.numpy().mean(0), rtol=1e-14)
    np.testing.assert_allclose(reference.covariance, np.cov(rows.numpy(), rowvar=False), rtol=1e-10, atol=1e-12)
    assert reference.count == 60


def test_kept_rows_are_of_the_stream_and_differ_by_seed() -> None:
    first = reference_from_batches(ROWS.split(7), keep=20, seed=0).rows()
    assert len({tuple(row.tolist()) for row in first} & {tuple(row.tolist()) for row in ROWS}) == 20
    assert torch.equal(first, reference_from_batches(ROWS.split(11), keep=20, seed=0).rows())
    assert not torch.equal(first, reference_from_batches(ROWS.split(7), keep=20, seed=1).rows())
    assert not torch.equal(first, ROWS[:20])


def test_our_layout_comes_back(tmp_path: Path) -> None:
    reference = load_reference(write_reference(tmp_path, ROWS), width=5)
    np.testing.assert_allclose(reference.mean, MEAN, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(reference.covariance, COVARIANCE, rtol=1e-12, atol=1e-15)
    assert reference.count == 60
    assert torch.equal(reference.rows().double(), ROWS)


def write(layout: str, folder: Path) -> str:
    old = {"mu": MEAN, "sigma": COVARIANCE}
    path = folder / f"{layout}.{'pkl' if layout == 'edm2' else 'safetensors' if layout == 'safetensors' else 'npz'}"
    if layout == "adm":
        np.savez(path, **old, mu_s=np.zeros(7), sigma_s=np.eye(7), arr_0=np.zeros((2, 4, 4, 3), np.uint8))
    elif layout == "edm":
        np.savez(path, **old)
    elif layout == "edm2":
        path.write_bytes(
            pickle.dumps({"num_images": 60, "fid": {"mu": np.ones(3), "sigma": np.eye(3)}, "fd_dinov2": old})
        )
        return f"{path}#fd_dinov2"
    else:
        save_file({"mean": MEAN, "covariance": COVARIANCE, "count": np.array([60])}, path)
    return str(path)


@pytest.mark.parametrize(("layout", "count"), [("adm", None), ("edm", None), ("edm2", 60), ("safetensors", 60)])
def test_other_layouts(tmp_path: Path, layout: str, count: int | None) -> None:
    reference = load_reference(write(layout, tmp_path))
    np.testing.assert_array_equal(reference.mean, MEAN)
    np.testing.assert_allclose(reference.covariance, COVARIANCE, rtol=1e-14)
    assert reference.count == count


def test_the_factor_squares_to_the_covariance() -> None:
    reference = reference_from_batches([ROWS])
    torch.testing.assert_close(reference.factor @ reference.factor.T, reference.covariance)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no reference statistics at .*gone\.npz"):
        load_reference(tmp_path / "gone.npz")


@pytest.mark.parametrize("layout", ["adm", "edm2", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, layout: str, share: float) -> None:
    path = Path(write(layout, tmp_path).partition("#")[0])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"{path.name}.*truncated") as error:
        load_reference(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": MEAN}, r"lacks covariance; it holds mean"),
        ({"images": MEAN}, r"lacks mu and sigma"),
        ({"mu": MEAN, "sigma": COVARIANCE[:4]}, r"shapes \(5,\), \(4, 5\) do not belong together"),
        ({"mu": MEAN * np.nan, "sigma": COVARIANCE}, r"not finite"),
        ({"mu": MEAN, "sigma": np.triu(COVARIANCE)}, r"not symmetric"),
    ],
)
def test_bad_contents_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=rf"bad\.npz.*{message}"):
        load_reference(tmp_path / "bad.npz")


def test_another_width_names_the_file_and_both_widths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"reference\.npz holds statistics of 5 features, but .* has 2048"):
        load_reference(write_reference(tmp_path, ROWS), width=2048)


def test_an_entry_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write("edm2", tmp_path).partition("#")[0]
    with pytest.raises(ValueError, match=r"no entry 'clip'; it has fid, fd_dinov2"):
        load_reference(f"{path}#clip")


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"fid": Evil()}))
    with pytest.raises(ValueError, match="only numpy arrays"):
        load_reference(tmp_path / "evil.pkl")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_was_rewritten_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "changing.npz"
    save_reference(path, Reference(torch.zeros(2).double(), torch.eye(2).double(), 5))
    assert load_reference(path).count == 5
    save_reference(path, Reference(torch.zeros(2).double(), torch.eye(2).double(), 6))
    assert load_reference(path).count == 6


def test_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 images, not 1"):
        reference_from_batches([ROWS[:1]])
