"""The shapes and dtypes in signatures are no mere comments: tests hold them."""

from __future__ import annotations

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation

from scaling.protocols import Proposal
from scaling.schedules import Flow
from scaling.search.branching import best


def test_an_argument_of_a_wrong_shape_fails() -> None:
    assert best(torch.tensor([0.0, 2.0, 1.0]), 2).tolist() == [1, 2]
    with pytest.raises(BeartypeCallHintViolation, match="best"):
        best(torch.zeros(3, 1), 2)
    with pytest.raises(BeartypeCallHintViolation, match="best"):
        best(torch.zeros(3, dtype=torch.int64), 2)


def test_an_answer_of_a_wrong_shape_fails() -> None:
    with pytest.raises(BeartypeCallHintViolation, match=r"best\(\) return"):
        best(torch.zeros(1), 2)


def test_fields_of_a_dataclass_fit_each_other() -> None:
    times = Flow().grid(2)
    Proposal(torch.zeros(2, 3), times, parents=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(BeartypeCallHintViolation, match="parents"):
        Proposal(torch.zeros(2, 3), times, parents=torch.zeros(3, dtype=torch.int64))
