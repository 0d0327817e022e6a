import pytest
import torch
from driver import drive, model, space_of

from scaling.search import geometry
from scaling.search.zero_order import ZeroOrder


def pivots(run):
    """The noise that each round searched around: the parent of its rows."""
    noises = torch.cat([p.x for p in run.proposals])
    return [noises[int(p.parents[0])] for p in run.proposals if p.parents is not None]


@pytest.mark.parametrize("pivot", ["keep", "move", "restart"])
@pytest.mark.parametrize("cosine", [0.95, 0.995])
def test_neighbors_keep_the_cosine_and_the_norm_of_their_pivot(pivot, cosine):
    run = drive(ZeroOrder(neighbors=3, cosine=cosine, pivot=pivot), space_of(model()), stop_after=20)
    rounds = [p for p in run.proposals if p.parents is not None]
    for proposal, around in zip(rounds, pivots(run), strict=True):
        around = around.expand_as(proposal.x)
        cosines = geometry.cosine(proposal.x, around)
        torch.testing.assert_close(cosines, torch.full((3,), cosine).double(), atol=1e-6, rtol=0)
        torch.testing.assert_close(proposal.x.norm(dim=1), around.norm(dim=1), atol=0, rtol=1e-5)


def parent_scores(run):
    scores = torch.cat([a.scores for a in run.answers])
    return [float(scores[int(p.parents[0])]) for p in run.proposals if p.parents is not None]


@pytest.mark.parametrize("seed", range(5))
def test_under_keep_the_pivots_score_never_falls(seed):
    run = drive(ZeroOrder(neighbors=2), space_of(model(), seed=seed), stop_after=25)
    scores = parent_scores(run)
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


def test_under_move_the_pivot_is_the_last_rounds_best():
    run = drive(ZeroOrder(neighbors=2, pivot="move"), space_of(model()), stop_after=25)
    rounds = [float(a.scores.max()) for a in run.answers]
    assert parent_scores(run)[1:] == rounds[1:-1]
    assert parent_scores(run) != sorted(parent_scores(run))


def test_under_restart_a_round_without_gain_leads_to_a_fresh_noise():
    space = space_of(model())
    run = drive(ZeroOrder(neighbors=2, pivot="restart"), space, stop_after=30)
    fresh = [i for i, p in enumerate(run.proposals) if p.parents is None]
    assert len(fresh) > 2
    for k, i in enumerate(fresh):
        assert torch.equal(run.proposals[i].x, space.start(space.draw("candidate", k)))
        if i:
            before = run.proposals[i - 1]
            parent = torch.cat([a.scores for a in run.answers])[int(before.parents[0])]
            assert run.answers[i - 1].scores.max() <= parent


@pytest.mark.parametrize("pivot", ["keep", "move"])
def test_cost_is_one_solve_and_neighbors_a_round(pivot):
    run = drive(ZeroOrder(neighbors=4, pivot=pivot), space_of(model(), nfe=10), cap=10 * (1 + 4 * 3))
    assert run.nfe == run.calls == 10 * (1 + 4 * 3)
    assert len(run.proposals) == 1 + 3


@pytest.mark.parametrize("wrong", [{"neighbors": 0}, {"cosine": 1.5}, {"pivot": "drop"}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        ZeroOrder(**wrong)
