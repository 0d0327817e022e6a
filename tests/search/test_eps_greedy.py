import math

import pytest
import torch
from driver import drive, model, space_of

from scaling.search.eps_greedy import EpsGreedy


@pytest.mark.parametrize(("rounds", "neighbors", "nfe"), [(1, 1, 2), (3, 4, 6), (2, 5, 10)])
def test_cost(rounds, neighbors, nfe):
    search, space = EpsGreedy(rounds=rounds, neighbors=neighbors), space_of(model(), nfe=nfe)
    run = drive(search, space)
    assert run.ended
    assert search.cost(space) == run.nfe == run.calls == 1 + rounds * neighbors * (nfe - 1)


def noises(space, run, which):
    """The noises behind the children of one round of the first step, from what was proposed."""
    (x0, parent), child = (run.answers[0].x0, run.proposals[0].x), run.proposals[which]
    t, s = float(run.proposals[0].times[0]), float(child.times[0])
    nothing = torch.zeros(1, 2)
    std = space.step(nothing, nothing, t, s, torch.ones(1, 2))
    return (child.x - space.step(parent, x0, t, s, nothing)) / std


def second_rounds(eps):
    """Over many runs: the pivot that the first round of a step left, and the noises of its second round."""
    pivots, tried = [], []
    for seed in range(200):
        space = space_of(model(), nfe=2, seed=seed)
        run = drive(EpsGreedy(eps=eps, neighbors=5, rounds=2), space, stop_after=3)
        best = int(run.answers[1].scores.argmax())
        pivots.append(noises(space, run, 1)[best].expand(5, 2))
        tried.append(noises(space, run, 2))
    return torch.cat(pivots), torch.cat(tried)


REACH = 0.15 * math.sqrt(2 * 2)


def test_candidates_are_near_the_pivot():
    pivots, near = second_rounds(eps=0.0)
    distance = (near - pivots).norm(dim=1)
    assert float(distance.max()) <= REACH + 1e-4
    assert float(distance.mean()) == pytest.approx(REACH / 2, rel=0.1)
    assert (near - pivots).mean(0).norm() < 4 * REACH / math.sqrt(len(near))


def test_candidates_are_fresh_with_probability_eps():
    pivots, fresh = second_rounds(eps=1.0)
    assert float(fresh.mean().abs()) < 4 / math.sqrt(fresh.numel())
    assert float(fresh.var()) == pytest.approx(1, abs=4 * math.sqrt(2 / fresh.numel()))
    by_chance = float(((fresh - pivots).norm(dim=1) <= REACH).float().mean())  # fresh ones that happen to be near
    pivots, mixed = second_rounds(eps=0.4)
    far = float(((mixed - pivots).norm(dim=1) > REACH + 1e-4).float().mean())
    assert abs(far - 0.4 * (1 - by_chance)) < 4 * math.sqrt(0.24 / len(mixed))


@pytest.mark.parametrize("pivot", ["move", "keep"])
def test_the_next_step_begins_at_the_chosen_child(pivot):
    run = drive(EpsGreedy(rounds=3, neighbors=4, pivot=pivot), space_of(model(), nfe=5))
    steps = [run.answers[1 + 3 * i : 4 + 3 * i] for i in range(4)]
    for i, answers in enumerate(steps[:-1]):
        judged = answers[-1:] if pivot == "move" else answers
        scores, ids = torch.cat([a.scores for a in judged]), torch.cat([a.ids for a in judged])
        following = run.proposals[1 + 3 * (i + 1)]
        assert following.parents.tolist() == [int(ids[scores.argmax()])] * 4


def test_one_step_is_too_few():
    with pytest.raises(ValueError, match="at least 2 steps"):
        drive(EpsGreedy(), space_of(model(), nfe=1))


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"neighbors": 0}, {"eps": 1.4}, {"reach": 0}, {"pivot": "restart"}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        EpsGreedy(**wrong)
