"""The chain over noises."""

from __future__ import annotations

import pytest
import torch

from scaling.noise import NoiseSpace
from scaling.protocols import Scored
from scaling.sampling import Euler
from scaling.schedules import Flow
from scaling.search.pcn import Pcn


def chain(search: Pcn, moves: int, score) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """Where the chains stand after each move, with a model that leaves noises as they are."""
    run = search(NoiseSpace(0, "k", (1,), Flow(), Euler(), 1))
    proposal, stood = next(run), []
    here, best = proposal.x, score(proposal.x)
    for k in range(moves):
        ids = torch.arange(k * len(here), (k + 1) * len(here))
        proposal = run.send(Scored(proposal.x, proposal.x, score(proposal.x), ids))
        stood.append(proposal.parents)
    run.close()
    assert best.shape == (len(here),)
    return torch.stack(stood)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_its_law_is_the_tilted_gaussian(rho: float) -> None:
    """exp(b x) times a unit Gaussian is the unit Gaussian around b."""
    chains, moves, b = 400, 60, 0.8
    search = Pcn(chains=chains, rho=rho, temperature=0.5)
    run = search(NoiseSpace(0, "k", (1,), Flow(), Euler(), 1))
    proposal, tried = next(run), []
    for k in range(moves):
        tried.append(proposal.x[:, 0])
        ids = torch.arange(k * chains, (k + 1) * chains)
        proposal = run.send(Scored(proposal.x, proposal.x, 0.5 * b * proposal.x[:, 0], ids))
    assert proposal.parents is not None
    stands = torch.cat(tried)[proposal.parents]
    assert abs(float(stands.mean()) - b) < 4 / chains**0.5
    assert abs(float(stands.var()) - 1) < 4 * (2 / chains) ** 0.5
    run.close()


def test_at_temperature_0_it_never_gets_worse() -> None:
    stood = chain(Pcn(temperature=0.0), 50, lambda x: x[:, 0])
    assert bool((stood.diff(dim=0) >= 0).all())
    assert 1 < len(stood.unique()) < 50


@pytest.mark.parametrize("wrong", [{"chains": 0}, {"rho": 1}, {"rho": -0.1}, {"temperature": -1}])
def test_mistakes_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Pcn(**wrong)  # type: ignore[arg-type]
