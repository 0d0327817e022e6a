"""Heights of scores: the log of a Gaussian kernel density and a tilt, at closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from scaling import mode


def test_one_score_among_itself_is_its_tilt() -> None:
    assert mode.heights(np.array([0.7]), np.array([0.7]), width=0.1, lambda_=3.0) == pytest.approx([2.1])


def test_the_density_is_a_sum_of_kernels() -> None:
    among = np.array([0.0, 0.0, 0.3])
    far = np.exp(-(0.3**2) / (2 * 0.2**2))
    wanted = np.log([2 + far, 1 + 2 * far])
    assert mode.heights(np.array([0.0, 0.3]), among, width=0.2, lambda_=0.0) == pytest.approx(wanted)


def test_a_score_far_from_all_has_a_finite_height() -> None:
    heights = mode.heights(np.array([1e3, 0.0]), np.array([0.0, 0.1]))
    assert np.isfinite(heights).all()
    assert heights.argmax() == 1


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot be found: \[0.0, nan\]"):
        mode.heights(np.array([0.0, np.nan]), np.array([0.0]))
