"""A search run on made-up answers, which are all worth the same: what it asks for, where that follows no scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import torch

from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, Scored, Search


def row_nfe(space: NoiseSpace, proposal: Proposal) -> int:
    """What one row of a proposal costs: twice its calls where a gradient computes them again."""
    return space.nfe(proposal.times, proposal.score) * (2 if proposal.gradient else 1)


class Asked(NamedTuple):
    """All that a search has asked for a condition, one proposal after the other."""

    nfe: int
    backwards: int
    scored: int
    clean: int  # rows that ended at time 0
    between: int  # rows that ended above it


def asked(search: Search, space: NoiseSpace) -> Iterator[Asked]:
    """The sums after every proposal; no model is asked."""
    with closing(search(space)) as run:
        total, rows = Asked(0, 0, 0, 0, 0), 0
        try:
            proposal = next(run)
            while True:
                count, nfe = len(proposal), row_nfe(space, proposal)
                clean = count * bool(proposal.times[-1] == 0)
                backwards = count * (nfe // 2) * proposal.gradient
                row = Asked(count * nfe, backwards, count * proposal.score, clean, count - clean)
                total = Asked(*(a + b for a, b in zip(total, row, strict=True)))
                yield total
                proposal, rows = run.send(_answer(proposal, rows)), rows + count
        except StopIteration:
            return


def _answer(proposal: Proposal, first: int) -> Scored:
    count = len(proposal)
    gradient = torch.zeros_like(proposal.x) if proposal.gradient else None
    return Scored(proposal.x, proposal.x, torch.zeros(count), torch.arange(first, first + count), gradient)
