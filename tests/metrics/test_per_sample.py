"""Per-sample columns."""

from __future__ import annotations

import pytest
import torch

from scaling.metrics.per_sample import Accuracy, LogOdds

LOGITS = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 5.0], [1.0, 2.0, 0.0]])


def test_accuracy_is_one_where_the_label_has_the_largest_logit() -> None:
    assert Accuracy(reads="e.logits")(LOGITS, torch.tensor([0, 1, 1])).tolist() == [1.0, 0.0, 1.0]


def test_log_odds_are_those_of_the_softmax() -> None:
    labels = torch.tensor([0, 1, 1])
    p = LOGITS.double().softmax(1)[torch.arange(3), labels]
    torch.testing.assert_close(LogOdds(reads="e.logits")(LOGITS, labels), (p / (1 - p)).log())


def test_log_odds_still_order_where_probabilities_are_one() -> None:
    logits = torch.tensor([[60.0, 0.0], [70.0, 0.0]])
    low, high = LogOdds(reads="e.logits")(logits, torch.tensor([0, 0])).tolist()
    assert (low, high) == (60.0, 70.0)


@pytest.mark.parametrize("column", [Accuracy, LogOdds])
def test_no_label_is_nan_and_a_strange_one_an_error(column: type[Accuracy] | type[LogOdds]) -> None:
    values = column(reads="e.logits")(LOGITS, torch.tensor([-1, 0, -1]))
    assert values.isnan().tolist() == [True, False, True]
    with pytest.raises(ValueError, match="label 3, but there are 3 classes"):
        column(reads="e.logits")(LOGITS, torch.tensor([0, 3, 1]))
