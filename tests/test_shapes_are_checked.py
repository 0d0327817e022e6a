"""The shapes and dtypes in signatures are no mere comments: tests hold them."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from scaling.search.branching import best


def test_an_argument_of_a_wrong_shape_fails() -> None:
    assert best(torch.tensor([0.0, 2.0, 1.0]), 2).tolist() == [1, 2]
    with pytest.raises(TypeCheckError, match=r"best"):
        best(torch.zeros(3, 1), 2)
    with pytest.raises(TypeCheckError, match=r"best"):
        best(torch.zeros(3, dtype=torch.int64), 2)


def test_an_answer_of_a_wrong_shape_fails() -> None:
    with pytest.raises(TypeCheckError, match=r"return value of .*best"):
        best(torch.zeros(1), 2)
