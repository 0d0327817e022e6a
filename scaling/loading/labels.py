"""Class labels of conditions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int

from scaling.protocols import Condition


def class_labels(conditions: Sequence[Condition], classes: int) -> Int[torch.Tensor, " n"]:
    """The conditions' labels; a ValueError names one that is no label in [0, classes)."""
    for condition in conditions:
        if condition.class_label is None or not 0 <= condition.class_label < classes:
            shown = condition.class_label if condition.prompt is None else repr(condition.prompt)
            raise ValueError(f"condition {shown}: a class label from 0 to {classes - 1} is needed")
    return torch.tensor([condition.class_label for condition in conditions], dtype=torch.long)
