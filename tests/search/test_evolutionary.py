import pytest
import torch
from driver import drive, model, space_of

from scaling.sampling import Euler, Heun
from scaling.schedules import Flow
from scaling.search.evolutionary import Evolutionary


def generations(run, legs):
    """(first proposal, last answer) of each generation, given how many legs each generation's solve has."""
    out, k = [], 0
    for count in legs:
        out.append((run.proposals[k], run.answers[k + count - 1]))
        k += count
    return out


@pytest.mark.parametrize("seed", range(4))
def test_elites_survive(seed):
    run = drive(Evolutionary(population=6, elites=2), space_of(model(), seed=seed), stop_after=8)
    scores = torch.cat([a.scores for a in run.answers])
    population = run.answers[0].ids
    for proposal, answer in zip(run.proposals[1:], run.answers[1:], strict=True):
        assert len(proposal.x) == 4
        assert set(proposal.parents.tolist()) <= set(population.tolist())
        best = population[scores[population].argsort(descending=True)[:2]]
        following = torch.cat([best, answer.ids])
        assert scores[following].max() >= scores[population].max()
        population = following


def test_the_best_of_the_population_wins_a_tournament_of_all():
    run = drive(Evolutionary(population=5, elites=1, tournament=1.0), space_of(model()), stop_after=2)
    best = run.answers[0].ids[run.answers[0].scores.argmax()]
    assert run.proposals[1].parents.tolist() == [int(best)] * 4


def test_noises_mutate_with_their_variance_kept():
    space = space_of(model(), nfe=1)
    run = drive(Evolutionary(population=2000, elites=0, mutation=0.6, tournament=0.0001), space, stop_after=2)
    parents = run.proposals[0].x[run.proposals[1].parents]
    fresh = (run.proposals[1].x - 0.8 * parents) / 0.6
    torch.testing.assert_close(fresh, space.draw("mutation 1", range(2000)), atol=1e-5, rtol=0)
    assert abs(float(run.proposals[1].x.var()) - 1) < 0.15


@pytest.mark.parametrize("sampler", [Euler(), Heun()])
def test_cost_with_generations_on_the_way(sampler):
    space = space_of(model(), sampler=sampler, nfe=20)
    run = drive(Evolutionary(population=5, elites=2, schedule=(1.0, 0.6, 0.2)), space, stop_after=3 + 2 + 1 + 1)
    assert run.nfe == run.calls == 5 * 20 + 3 * (12 + 4 + 4)
    starts = [float(p.times[0]) for p in run.proposals]
    assert starts == pytest.approx([1, 0.6, 0.2, 0.6, 0.2, 0.2, 0.2])
    assert [p.score for p in run.proposals] == [False, False, True, False, True, True, True]


def test_the_legs_of_a_solve_are_one_solve():
    whole = drive(Evolutionary(population=4, elites=1), space_of(model()), stop_after=1)
    parts = drive(Evolutionary(population=4, elites=1, schedule=(1.0, 0.5)), space_of(model()), stop_after=2)
    assert torch.equal(whole.answers[0].x, parts.answers[1].x)


def test_states_on_the_way_mutate_by_an_ancestral_steps_noise():
    space = space_of(model(), nfe=10)
    run = drive(Evolutionary(population=6, elites=2, schedule=(1.0, 0.5)), space, stop_after=3)
    first, last = run.answers[0], run.answers[1]
    rows = [last.ids.tolist().index(i) for i in run.proposals[2].parents.tolist()]
    std = 0.5 / 0.6 * (0.6**2 - (0.4 / 0.5 * 0.5) ** 2) ** 0.5  # from t = 0.6 to s = 0.5 of a straight path
    expected = first.x[rows] + std * space.draw("mutation 1", range(4))
    torch.testing.assert_close(run.proposals[2].x, expected, atol=1e-5, rtol=0)
    assert isinstance(space.schedule, Flow)


@pytest.mark.parametrize(
    "wrong",
    [
        {"population": 1},
        {"elites": 10},
        {"mutation": 0.0},
        {"tournament": 2.0},
        {"schedule": (0.5,)},
        {"schedule": (1.0, 0.2, 0.6)},
    ],
)
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Evolutionary(**wrong)
