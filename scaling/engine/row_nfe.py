"""What one row of a proposal costs, of whatever search and wherever it is reckoned."""

from __future__ import annotations

from scaling.noise import NoiseSpace
from scaling.protocols import Proposal


def row_nfe(space: NoiseSpace, proposal: Proposal) -> int:
    """What one row of a proposal costs: twice its calls where a gradient computes them again."""
    return space.nfe(proposal.times, proposal.score) * (2 if proposal.gradient else 1)
