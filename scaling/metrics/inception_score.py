"""Inception score (Salimans et al. 1606.03498, section 4) of class logits.

torchmetrics and torch-fidelity deal the samples to splits by a global permutation, so that a sample's split depends on
how many others there are and on a seed (0.15 to 0.3 % of the value); here a condition's index decides. At one split all
three agree.
"""

from __future__ import annotations

from math import lcm

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling.metrics.sets import GroupedMetric


class InceptionScore(GroupedMetric):
    """exp(E KL(p(class | image) || p(class))), the mean over splits (index mod splits); from 1 to `classes`.

    One split is taken where a split would hold fewer than `minimum` samples, by default 50 a class. The usual ImageNet
    protocol is minimum=5000: ten splits of 5,000. Keeps sums per residue of the index: exact replicates, little memory.
    """

    parameters = (*GroupedMetric.parameters, "classes", "splits", "minimum")
    higher_is_better = True
    count: Tensor
    negentropy: Tensor
    probability: Tensor

    def __init__(
        self, classes: int, feature: str, splits: int = 10, minimum: int | None = None, groups: int = 20
    ) -> None:
        super().__init__(feature, residues=lcm(splits, groups), groups=groups)
        self.classes = classes
        self.splits = splits
        self.minimum = 50 * classes if minimum is None else minimum
        self.add_sum("count")
        self.add_sum("negentropy")  # sum over samples of sum_c p log p
        self.add_sum("probability", classes)

    def update(self, values: Float[Tensor, "n d"], index: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> None:
        """Takes logits; `index` are the conditions' places in the study, `labels` are not read."""
        if values.shape[1] != self.classes:
            raise ValueError(
                f"InceptionScore was told of {self.classes} classes, but {self.feature} has {values.shape[1]}"
            )
        log_p = values.cpu().double().log_softmax(1)
        p, residue = log_p.exp(), index.cpu() % self.residues
        self.count.index_add_(0, residue, torch.ones_like(residue, dtype=torch.float64))
        self.negentropy.index_add_(0, residue, (p * log_p).nan_to_num(0.0).sum(1))
        self.probability.index_add_(0, residue, p)

    def compute(self) -> Tensor:
        """The score, a float64 scalar."""
        return self._score(torch.ones(self.residues, dtype=torch.float64))

    def replicates(self, groups: int) -> Float[Tensor, " groups"]:
        """The score without each group, over as many splits as the whole has."""
        return torch.stack([self._score(1 - members) for members in self.members(groups)])

    def _score(self, kept: Float[Tensor, " residues"]) -> Tensor:
        if self.count.sum() < 1:
            raise ValueError("InceptionScore was given no samples")
        splits = self.splits if self.count.sum() >= self.minimum * self.splits else 1
        residue = torch.arange(self.residues)
        split = (residue % splits == torch.arange(splits)[:, None]) * kept
        count = split @ self.count
        occupied = count > 0  # 20 groups over 10 splits: leaving one out may thin a split, but never half of them
        count, split = count[occupied], split[occupied]
        p = split @ self.probability / count[:, None]
        return (split @ self.negentropy / count - p.xlogy(p).sum(1)).exp().mean()
