"""Search in the low frequencies."""

from __future__ import annotations

import pytest
import torch

from scaling.noise import NoiseSpace
from scaling.protocols import Scored
from scaling.sampling import Euler
from scaling.schedules import Flow
from scaling.search.ses import Ses, coefficients, spread


@pytest.mark.parametrize("side", [1, 2, 4])
def test_coefficients_of_unit_noise_are_unit_noise_and_come_back(side: int) -> None:
    noise = torch.randn(500, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    low = coefficients(noise, side)
    assert low.shape == (500, 2, 8 // side, 8 // side)
    assert abs(float(low.var()) - 1) < 5 * (2 / low.numel()) ** 0.5
    torch.testing.assert_close(coefficients(spread(low, side), side), low)
    details = noise - spread(low, side)
    torch.testing.assert_close(coefficients(details, side), torch.zeros_like(low), atol=1e-5, rtol=0)


def test_it_closes_in_on_the_best_and_leaves_details_alone() -> None:
    run = Ses(generation=8, elites=3, levels=2)(NoiseSpace(0, "k", (1, 8, 8), Flow(), Euler(), 1))
    proposal, means = next(run), []
    details = proposal.x[:1] - spread(coefficients(proposal.x[:1], 4), 4)
    for k in range(12):
        low = coefficients(proposal.x, 4)
        torch.testing.assert_close(proposal.x - spread(low, 4), details.expand(8, 1, 8, 8), atol=1e-5, rtol=0)
        scores = -(low - 1).square().flatten(1).sum(1)
        means.append(float(scores.mean()))
        proposal = run.send(Scored(proposal.x, proposal.x, scores, torch.arange(8 * k, 8 * k + 8)))
    assert means[-1] > means[0] / 4
    run.close()


@pytest.mark.parametrize("wrong", [{"generation": 1}, {"elites": 1}, {"elites": 11}, {"levels": -1}])
def test_mistakes_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Ses(**wrong)
