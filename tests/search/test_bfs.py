import pytest
import torch
from driver import COARSE, drive, model, space_of

from scaling.search import particles
from scaling.search.bfs import Bfs


@pytest.mark.parametrize("size", [1, 5])
def test_costs_exactly_particles_times_steps(size):
    space = space_of(model(), nfe=10)
    run = drive(Bfs(particles=size), space)
    assert Bfs(particles=size).cost(space) == run.nfe == run.calls == 10 * size


@pytest.mark.parametrize("schedule", ["constant", "increase"])
def test_descendants_are_in_proportion_to_the_softmax_of_the_scores(schedule):
    search, space = Bfs(particles=8, tau=0.7, schedule=schedule), space_of(model(COARSE), nfe=10)
    run = drive(search, space)
    alpha = space.schedule.alpha(space.times)
    ratio = (alpha[:-1] / alpha[1:]) ** 2 if schedule == "increase" else torch.ones(10)
    taus = 0.7 * ratio / ratio.mean()
    selections = [i for i, p in enumerate(run.proposals) if p.score][:-1]
    assert selections == [2, 4, 6, 8]
    for i in selections:
        weights = (taus[i] * run.answers[i].scores.double()).softmax(0)
        kept = run.answers[i].ids[particles.descendants(weights)]
        assert torch.equal(run.proposals[i + 1].parents, kept)


def test_two_copies_of_one_particle_diverge():
    run = drive(Bfs(particles=6, tau=5.0), space_of(model()))
    assert any(p.parents is not None and len(p.parents.unique()) < 6 for p in run.proposals)
    assert all(len(p.x.unique(dim=0)) == 6 for p in run.proposals)


@pytest.mark.parametrize("wrong", [{"particles": 0}, {"tau": 0}, {"schedule": "up"}, {"start": 2}, {"eta": 0}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Bfs(**wrong)
