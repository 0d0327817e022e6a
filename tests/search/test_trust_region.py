"""Boxes around the best noises."""

from __future__ import annotations

import pytest
import torch

from scaling.noise import NoiseSpace
from scaling.protocols import Scored
from scaling.sampling import Euler
from scaling.schedules import Flow
from scaling.search.trust_region import TrustRegion


def lengths(improves: bool, batches: int) -> list[float]:
    """The largest move of each batch from the center, where all candidates improve or none does."""
    search = TrustRegion(warmup=1, regions=1, batch=8)
    run = search(NoiseSpace(0, "k", (400,), Flow(), Euler(), 1))
    proposal, best, first, moves = next(run), 0.0, 0, []
    known: dict[int, torch.Tensor] = {}
    for _ in range(batches + 1):
        n = len(proposal.x)
        if proposal.parents is not None:
            moves.append(float((proposal.x - known[int(proposal.parents[0])]).abs().max()))
        known |= {first + k: proposal.x[k] for k in range(n)}
        best += 1 if improves else -1
        proposal = run.send(Scored(proposal.x, proposal.x, torch.full((n,), best), torch.arange(first, first + n)))
        first += n
    run.close()
    return moves


@pytest.mark.parametrize(("improves", "factor"), [(True, 1.5), (False, 1 / 1.5)])
def test_boxes_grow_with_success_and_shrink_without(improves: bool, factor: float) -> None:
    moves = lengths(improves, 6)
    for k, move in enumerate(moves):
        half = 0.8 * factor ** (k // 3) / 2
        assert 0.95 * half < move <= half + 1e-6


def test_a_box_at_its_floor_starts_again_and_one_at_its_ceiling_stays() -> None:
    shrunk = lengths(False, 25)
    assert shrunk[20] < 0.05
    assert shrunk[21] == pytest.approx(0.4, rel=0.05)
    assert max(lengths(True, 15)) <= 1.2 + 1e-6


@pytest.mark.parametrize("wrong", [{"warmup": 1, "regions": 2}, {"regions": 0}, {"batch": 0}])
def test_mistakes_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        TrustRegion(**wrong)
