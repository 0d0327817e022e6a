from itertools import pairwise

import pytest
import torch
from driver import COARSE, drive, model, space_of

from scaling.noise import NoiseSpace
from scaling.sampling import Euler
from scaling.schedules import Flow
from scaling.search.rbf import Rbf, _State


def rounds(run):
    """Per step: the scores of the children that were tried, in order."""
    tried = {}
    for proposal, answer in zip(run.proposals[1:], run.answers[1:], strict=True):
        tried.setdefault(float(proposal.times[0]), []).append(float(answer.scores[0]))
    return list(tried.values())


@pytest.mark.parametrize("budget", [1, 9, 10, 11, 40, 137])
@pytest.mark.parametrize("convert", [True, False])
def test_spends_its_budget_exactly(budget, convert):
    search, space = Rbf(budget=budget, convert=convert), space_of(model(), nfe=10)
    run = drive(search, space)
    assert run.ended
    assert search.cost(space) == run.nfe == run.calls == max(budget, 10)


@pytest.mark.parametrize("seed", range(5))
def test_rolls_over_what_a_step_leaves_and_nothing_else(seed):
    run = drive(Rbf(budget=100, initial=10), space_of(model(), nfe=10, seed=seed))
    record, quota, over, left = float(run.answers[0].scores.max()), 90 // 9, 0, 90
    steps = rounds(run)
    assert len(steps) == 9
    for i, scores in enumerate(steps):
        allowed = left if i == 8 else quota + over
        beats = [k for k, score in enumerate(scores) if score > record]
        if i < 8 and beats:
            assert beats == [len(scores) - 1]
            over, record = allowed - len(scores), scores[-1]
        else:
            assert len(scores) == allowed
            over = 0
        left -= len(scores)
    assert left == 0


def test_goes_on_from_the_steps_best_child():
    run = drive(Rbf(budget=60, initial=5), space_of(model(), nfe=6))
    scores = torch.cat([a.scores for a in run.answers])
    by_time = {}
    for k, p in enumerate(run.proposals):
        by_time.setdefault(float(p.times[0]), []).append(k)
    first = run.answers[0].ids[run.answers[0].scores.argmax()]
    levels = list(by_time.values())
    assert {int(run.proposals[k].parents[0]) for k in levels[1]} == {int(first)}
    for before, after in pairwise(levels[1:]):
        ids = torch.cat([run.answers[k].ids for k in before])
        best = int(ids[scores[ids].argmax()])
        assert {int(run.proposals[k].parents[0]) for k in after} == {best}


def test_small_budgets_shrink_the_first_choice():
    run = drive(Rbf(budget=20, initial=25), space_of(model(), nfe=10))
    assert len(run.proposals[0].x) == 20 - 9


@pytest.mark.parametrize("schedule", [Flow(), Flow(shift=3.0), COARSE])
@pytest.mark.parametrize("convert", [True, False])
@pytest.mark.parametrize("steps", [4, 15])
def test_its_step_has_the_exact_marginals(schedule, convert, steps):
    mean, std, n = 0.7, 0.5, 40000
    rng, search = torch.Generator().manual_seed(0), Rbf(convert=convert)
    space = NoiseSpace(0, "k", (1,), schedule, Euler(), steps)
    times, scales = search._grid(space)
    assert bool((times.diff() < 0).all())
    assert (float(times[0]), float(times[-1])) == (1, 0)
    for i in range(steps - 1):
        t, s = times[i], times[i + 1]
        state = object.__new__(_State)
        state.x0 = mean + std * torch.randn(n, generator=rng)
        state.x = schedule.alpha(t) * state.x0 + schedule.sigma(t) * torch.randn(n, generator=rng)
        noise = torch.randn(n, generator=rng)
        child = search._child(space, state, times[i : i + 2], scales[i : i + 2], noise)
        variance = float((schedule.alpha(s) * std) ** 2 + schedule.sigma(s) ** 2)
        assert abs(child.mean() - schedule.alpha(s) * mean) < 4 * (variance / n) ** 0.5
        assert abs(child.var() - variance) < 4 * variance * (2 / n) ** 0.5
        fresh = search.diffusion * scales[i, 0] ** 2 * (scales[i, 0] - scales[i + 1, 0]).sqrt() / scales[i + 1, 1]
        added = (child - space.step(state.x, state.x0, float(t), float(s), eta=0.0)).var()
        if fresh < 0.5 * schedule.sigma(s):
            assert added > 0.9 * fresh**2


def test_conversion_matches_signal_to_noise_of_the_variance_preserving_path():
    space = space_of(model(), nfe=10)
    times, scales = Rbf()._grid(space)
    r = scales[1:-1, 0]
    alpha = torch.exp(-(r**2) * 19.9 / 4 - 0.05 * r)
    torch.testing.assert_close((1 - times[1:-1]) / times[1:-1], alpha / (1 - alpha**2).sqrt())
    torch.testing.assert_close(scales[1:-1, 1] * times[1:-1], (1 - alpha**2).sqrt())
    assert torch.equal(Rbf()._grid(space_of(model(COARSE), nfe=10))[0], space_of(model(COARSE), nfe=10).times)


def test_one_step_is_too_few():
    with pytest.raises(ValueError, match="at least 2 steps"):
        Rbf().cost(space_of(model(), nfe=1))


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"initial": 0}, {"diffusion": 0}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Rbf(**wrong)
