"""The FID oracle (Ma et al. 2501.09732, section 3.1): picks, from a stored random stream, what lowers the FID itself.

Greedy over batches of conditions. All statistics are kept in the reference's coordinates z = (x - mean_r) F, where
F F^T = C_r: the FID is then |m|^2 + tr C + tr C_r - 2 tr (C_z)^(1/2), and adding a batch costs no change of basis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from scaling.metrics.reference import Reference, load_reference
from scaling.protocols import Condition

POOLED_ROWS = 16384  # the screen's gradient is taken at running statistics plus this many candidates' rows at most


@dataclass(frozen=True)
class RunningStatistics:
    """Of rows x relative to the reference's mean, and of z = x F: enough for the FID, and cheap to add to."""

    count: float
    mean: Float[Tensor, " d"]  # of x
    trace: Tensor  # of the scatter of x
    scatter: Float[Tensor, "d d"]  # of z

    def add(self, rows: Float[Tensor, "n d"], factor: Float[Tensor, "d d"], weight: float = 1.0) -> RunningStatistics:
        """With rows added, each counted `weight` times."""
        n = weight * len(rows)
        mean = rows.mean(0)
        centered, shift = rows - mean, mean - self.mean
        lever = self.count * n / (self.count + n)
        z, moved = centered @ factor, shift @ factor
        return RunningStatistics(
            self.count + n,
            self.mean + shift * (n / (self.count + n)),
            self.trace + weight * centered.square().sum() + lever * shift.square().sum(),
            self.scatter + weight * (z.T @ z) + lever * torch.outer(moved, moved),
        )

    def fid(self, reference: Reference) -> float:
        """The FID against the reference (covariance ddof 1)."""
        eigenvalues = torch.linalg.eigvalsh(self.scatter / (self.count - 1)).clamp(min=0)
        spread = self.trace / (self.count - 1) - 2 * eigenvalues.sqrt().sum()
        return float(self.mean.square().sum() + spread) + reference.variance


@dataclass(frozen=True, kw_only=True)
class FIDOracle:
    """Selects over the features of an open-loop stream. The first `warmup` conditions take their first candidate; then,
    batch after batch of conditions, the k-th candidates of all of them are committed whose FID together with what is
    already chosen is smallest.

    Candidates are screened by the FID's first-order change, and the `shortlist` best are computed exactly by
    eigenvalues; a shortlist of as many as there are candidates is brute force. `feature` names the features.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    former_parameters: ClassVar[Mapping[str, str]] = {"feature": "reads"}
    reference: str
    feature: str
    batch: int = 256
    warmup: int = 1024
    shortlist: int = 8
    device: str = "cpu"

    def select(
        self,
        features: Float[np.ndarray, "c k d"] | Float[Tensor, "c k d"],
        candidates: int | None = None,
        conditions: Sequence[Condition] = (),
    ) -> Int[Tensor, " c"]:
        """The chosen candidate of each condition, among its first `candidates` (default: all), whatever it is.

        `features` may be a memory map: a batch of conditions is read at a time. At least 2 conditions of warm-up.
        """
        reference = load_reference(self.reference)
        reference.check(features.shape[2], self.feature)
        if min(self.warmup, len(features)) < 2:
            raise ValueError(f"the FID oracle needs at least 2 conditions of warm-up, not {self.warmup}")
        winners = torch.zeros(len(features), dtype=torch.long)
        running = self._start(features, reference)
        for start in range(self.warmup, len(features), self.batch):
            block = self._read(features, slice(start, start + self.batch), candidates, reference)
            winner, running = commit(running, block, reference, self.shortlist)
            winners[start : start + self.batch] = winner
        return winners

    def _start(self, features: np.ndarray | Tensor, reference: Reference) -> RunningStatistics:
        rows = self._read(features, slice(0, self.warmup), 1, reference)[:, 0].double()
        zero = torch.zeros_like(rows[0])
        empty = RunningStatistics(0.0, zero, zero.sum(), torch.zeros(len(zero), len(zero)).to(zero))
        return empty.add(rows, reference.factor.to(self.device))

    def _read(
        self, features: np.ndarray | Tensor, conditions: slice, candidates: int | None, reference: Reference
    ) -> Float[Tensor, "b k d"]:
        block = torch.as_tensor(np.asarray(features[conditions, :candidates]))
        return block.to(self.device).float() - reference.mean.to(self.device).float()


def commit(
    running: RunningStatistics, block: Float[Tensor, "b k d"], reference: Reference, shortlist: int
) -> tuple[int, RunningStatistics]:
    """The candidate batch that brings the FID lowest (the lowest number of equals), and the statistics with it."""
    factor = reference.factor.to(block.device)
    k = block.shape[1]
    order = torch.arange(k) if shortlist >= k else screen(running, block, factor).argsort(stable=True)[:shortlist]
    best: tuple[float, int, RunningStatistics] | None = None
    for candidate in sorted(order.tolist()):
        added = running.add(block[:, candidate].double(), factor)
        fid = added.fid(reference)
        if best is None or fid < best[0]:
            best = fid, candidate, added
    assert best is not None, "a block has at least one candidate"
    return best[1], best[2]


def screen(
    running: RunningStatistics, block: Float[Tensor, "b k d"], factor: Float[Tensor, "d d"]
) -> Float[Tensor, " k"]:
    """Each candidate batch's FID to first order, up to a constant.

    tr C^(1/2) is linearized at the running statistics plus the mean candidate batch, not at the running statistics
    alone: with fewer samples than features those are singular and have no gradient. Mean and trace are exact.
    """
    b, k, _ = block.shape
    pool = block.flatten(0, 1)[:: -(-b * k // POOLED_ROWS)]
    middle = running.add(pool.double(), factor, weight=b / len(pool))
    eigenvalues, vectors = torch.linalg.eigh(middle.scatter / (middle.count - 1))
    eigenvalues = eigenvalues.clamp(min=1e-10 * float(eigenvalues[-1]))
    gradient = ((factor @ vectors) * eigenvalues**-0.25).float()  # G with d tr C^(1/2) = tr(G^T dC G) / 2, C of x
    mean = block.mean(0)
    shift = mean - running.mean.float()
    lever = running.count * b / (running.count + b)
    spread = torch.stack([_spread(block[:, j], gradient) for j in range(k)])
    spread += lever * (shift.square().sum(1) - (shift @ gradient).square().sum(1))
    moved = running.mean + shift.double() * (b / (running.count + b))
    return moved.square().sum(1) + spread.double() / (running.count + b - 1)


def _spread(rows: Float[Tensor, "b d"], gradient: Float[Tensor, "d d"]) -> Tensor:
    centered = rows - rows.mean(0)
    return centered.square().sum() - (centered @ gradient).square().sum()
