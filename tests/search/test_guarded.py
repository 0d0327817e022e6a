import math

import numpy as np
import pytest
import torch
from driver import drive, model, space_of

from scaling.search.guarded import Guarded
from scaling.search.smc import Smc


@pytest.mark.parametrize("particles", [1, 2, 7])
@pytest.mark.parametrize("nfe", [1, 2, 4, 20])
def test_rows_cost_the_steps_they_make_and_one_is_finished(particles, nfe):
    search, space = Guarded(particles=particles), space_of(model(), nfe=nfe)
    run = drive(search, space)
    assert run.ended
    assert search.cost(space) == run.nfe == run.calls
    if nfe == 20:
        assert [i for i, p in enumerate(run.proposals) if p.score] == [4, 8, 12, 16, 19]
        assert [len(p.x) for p in run.proposals] == [particles] * 17 + [1] * 3


def test_one_particle_is_the_stochastic_sampler():
    alone, smc = (drive(search(particles=1), space_of(model())) for search in (Guarded, Smc))
    assert torch.equal(alone.clean[0], smc.clean[0])


def test_what_goes_on_has_the_best_worst_score():
    """So hot that each particle has one descendant, till the best of them is taken."""
    run = drive(Guarded(particles=6, temperature=1e6), space_of(model()))
    answers = [a for p, a in zip(run.proposals, run.answers, strict=True) if p.score]
    *weighed, final = answers
    worst = torch.stack([a.scores for a in weighed]).min(dim=0).values
    parents = run.proposals[17].parents
    assert parents.tolist() == [int(weighed[-1].ids[worst.argmax()])]
    assert len(final.ids) == 1


def test_the_law_that_it_resamples_by_is_tilted_by_the_worst_score():
    """Two weighings: the share of a particle's copies is exp(its worst score / temperature), whatever came last."""
    drawn = []
    for seed in range(150):
        run = drive(
            Guarded(particles=2, start=0.4, every=0.3, temperature=1.0), space_of(model(), seed=seed), stop_after=10
        )
        first = next(a for p, a in zip(run.proposals, run.answers, strict=True) if p.score)
        after = run.proposals[9].parents  # the step after the first weighing, of step 8
        better = int(first.ids[first.scores.argmax()])
        gap = float(first.scores.max() - first.scores.min())
        drawn.append(((after == better).float().mean().item(), 1 / (1 + math.exp(-gap))))
    copies, expected = np.array(drawn).T
    assert abs((copies - expected).mean()) < 4 * (copies - expected).std() / math.sqrt(len(copies))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_score_that_is_no_number_is_an_error(bad):
    with pytest.raises(ValueError, match="cannot be weighed"):
        drive(Guarded(), space_of(model()), score=lambda x0: torch.full((len(x0),), -bad))


@pytest.mark.parametrize("wrong", [{"particles": 0}, {"temperature": 0.0}, {"eta": 0.0}, {"every": 0.0}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Guarded(**wrong)
