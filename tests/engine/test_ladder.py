"""From a ladder to the searches that climb it."""

from __future__ import annotations

import pytest
from studies import mixture

from scaling.budget import Budget
from scaling.engine.ladder import fit, rungs_of
from scaling.noise import NoiseSpace
from scaling.protocols import Search
from scaling.sampling import Euler
from scaling.search.first_order import FirstOrder
from scaling.search.paths import Paths
from scaling.search.random import Random
from scaling.search.svdd import Svdd

LADDER = Budget(nfes_per_iter=10, candidates=[1, 2, 4, 8])


def space() -> NoiseSpace:
    denoiser = mixture()
    return NoiseSpace(0, "k", denoiser.latent_shape, denoiser.schedule, Euler(), LADDER.nfes_per_iter)


@pytest.mark.parametrize(
    ("search", "caps"), [(Random(), [10, 20, 40, 80]), (FirstOrder(), [20, 40, 80]), (Paths(width=1), [80])]
)
def test_rungs_that_are_too_low_have_no_point(search: Search, caps: list[int]) -> None:
    assert [rung.nfe for rung in rungs_of(fit(search, LADDER, space()))] == caps


def test_a_sized_search_is_as_large_as_fits_each_rung() -> None:
    assert [each.search.children for each in fit(Svdd(), LADDER, space())] == [1, 2, 4, 8]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("search", "least"), [(FirstOrder(), 20), (Paths(width=4), 176)])
def test_a_ladder_that_ends_too_low_is_refused_with_the_least(search: Search, least: int) -> None:
    with pytest.raises(ValueError, match=f"at least {least} NFE"):
        fit(search, Budget(nfes_per_iter=10, candidates=[1]), space())
