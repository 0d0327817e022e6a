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


def test_candidates_are_near_the_pivot_or_fresh():
    space, pivot = space_of(model()), torch.tensor([[0.5, -2.0]])
    reach = 0.15 * math.sqrt(2 * 2)
    names = [f"n{i}" for i in range(300)]
    near = torch.cat([EpsGreedy(eps=0.0, neighbors=5)._candidates(space, name, pivot) for name in names])
    distance = (near - pivot).norm(dim=1)
    assert float(distance.max()) <= reach + 1e-6
    assert float(distance.mean()) == pytest.approx(reach / 2, rel=0.1)
    assert (near - pivot).mean(0).norm() < 4 * reach / math.sqrt(len(near))
    fresh = EpsGreedy(eps=1.0, neighbors=5)._candidates(space, "n0", pivot)
    assert torch.equal(fresh, space.draw("n0", range(5)))
    mixed = torch.cat([EpsGreedy(neighbors=5)._candidates(space, name, pivot) for name in names])
    draws = torch.cat([space.draw(name, range(5)) for name in names])
    share = float((mixed == draws).all(1).float().mean())
    assert abs(share - 0.4) < 4 * math.sqrt(0.24 / len(mixed))


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
