"""Per-sample columns."""

from __future__ import annotations

import pytest
import torch

from scaling.metrics.per_sample import Accuracy

LOGITS = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 5.0], [1.0, 2.0, 0.0]])


def test_accuracy_is_one_where_the_label_has_the_largest_logit() -> None:
    assert Accuracy(feature="e.logits")(LOGITS, torch.tensor([0, 1, 1])).tolist() == [1.0, 0.0, 1.0]


def test_no_label_is_nan_and_a_strange_one_an_error() -> None:
    values = Accuracy(feature="e.logits")(LOGITS, torch.tensor([-1, 0, -1]))
    assert values.isnan().tolist() == [True, False, True]
    with pytest.raises(ValueError, match="label 3, but there are 3 classes"):
        Accuracy(feature="e.logits")(LOGITS, torch.tensor([0, 3, 1]))
