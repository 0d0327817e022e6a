import pytest
import torch
from driver import drive, model, space_of

from scaling.sampling import RK4, Euler, Heun
from scaling.search.random import Random
from scaling.search.steps import Steps


@pytest.mark.parametrize(
    ("sampler", "asked", "spent"), [(Euler(), 7, 7), (Heun(), 7, 6), (Heun(), 1, 2), (RK4(), 15, 12)]
)
def test_spends_the_most_that_the_sampler_can(sampler, asked, spent):
    space = space_of(model(), sampler=sampler)
    run = drive(Steps(nfe=asked), space)
    assert Steps(nfe=asked).cost(space) == run.nfe == run.calls == spent
    assert run.ended


def test_is_random_searchs_first_candidate_at_the_usual_nfe():
    space = space_of(model(), nfe=20)
    steps, first = drive(Steps(nfe=20), space), drive(Random(), space, stop_after=1)
    assert torch.equal(steps.clean[0], first.clean[0])


def test_nfe_must_be_a_whole_number():
    with pytest.raises(ValueError, match="nfe=0"):
        Steps(nfe=0)
