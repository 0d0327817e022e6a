import math

import pytest
import torch
from driver import drive, model, space_of

from scaling.search.modal import Modal
from scaling.search.smc import Smc


@pytest.mark.parametrize("candidates", [1, 2, 7, 10])
@pytest.mark.parametrize("nfe", [1, 2, 3, 4, 20])
def test_rows_cost_the_steps_they_make_and_one_is_finished(candidates, nfe):
    search, space = Modal(candidates=candidates), space_of(model(), nfe=nfe)
    run = drive(search, space)
    assert run.ended
    assert search.cost(space) == run.nfe == run.calls
    assert len(run.clean[0]) == (1 if nfe > 1 else candidates)
    if nfe == 20:
        kept = math.ceil(0.2 * candidates)
        assert [i for i, p in enumerate(run.proposals) if p.score] == [9, 18, 19]
        assert [len(p.x) for p in run.proposals] == [candidates] * 10 + [kept] * 9 + [1]


def test_ten_candidates_cost_six_solves():
    assert Modal(candidates=10).cost(space_of(model(), nfe=20)) == 119


def test_one_candidate_is_the_stochastic_sampler():
    alone, smc = drive(Modal(candidates=1), space_of(model())), drive(Smc(particles=1), space_of(model()))
    assert torch.equal(alone.clean[0], smc.clean[0])


def chosen(*scores, **settings):
    """Places of the candidates that go on from the middle, best first."""
    candidates, values = len(scores), iter([torch.tensor(scores)])
    search = Modal(candidates=candidates, look=0.5, **settings)
    run = drive(search, space_of(model()), score=lambda x0: next(values, torch.zeros(len(x0))))
    middle = next(k for k, p in enumerate(run.proposals) if p.score)
    first = run.answers[middle].ids[0]
    return (run.proposals[middle + 1].parents - first).tolist()


@pytest.mark.parametrize(("ahead", "winner"), [(0.99, 0), (1.01, 5)])
def test_five_that_agree_outweigh_one_that_is_higher_by_less_than_log_5_over_lambda(ahead, winner):
    high = ahead * math.log(5) / 2
    assert chosen(0.0, 0.0, 0.0, 0.0, 0.0, high, width=0.01, keep=0.1) == [winner]


def test_a_wide_kernel_takes_the_best_scores_and_so_does_a_large_lambda():
    scores = (0.1, 0.7, 0.3, 0.31, 0.29, 0.5, -1.0, -1.0, -1.0, -1.0)
    assert chosen(*scores, width=1e4) == chosen(*scores, lambda_=1e4) == [1, 5]
    assert chosen(*scores, lambda_=0.0) == [6, 7]  # the density alone, and the first of equals


def test_the_density_at_the_end_is_that_of_all_in_the_middle():
    """Of three that go on two change to a score that none had: what few finished ones agree on is no mode."""
    middle = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    values = iter([middle, torch.tensor([1.0, 1.0, 0.0])])
    search = Modal(candidates=6, keep=0.5, width=0.1)
    run = drive(search, space_of(model()), score=lambda x0: next(values, torch.zeros(len(x0))))
    looks = [k for k, p in enumerate(run.proposals) if p.score]
    assert run.proposals[looks[-1]].parents.tolist() == [int(run.answers[looks[-2]].ids[2])]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_score_that_is_no_number_is_an_error(bad):
    with pytest.raises(ValueError, match="the mode of these scores cannot be found"):
        drive(Modal(), space_of(model()), score=lambda x0: torch.full((len(x0),), -bad))


@pytest.mark.parametrize(
    "wrong", [{"candidates": 0}, {"width": 0.0}, {"lambda_": -1.0}, {"keep": 0.0}, {"look": 1.5}, {"eta": 2.0}]
)
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Modal(**wrong)
