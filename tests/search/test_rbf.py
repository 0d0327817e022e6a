from itertools import pairwise

import pytest
import torch
from driver import COARSE, drive, model, space_of

from scaling.noise import NoiseSpace
from scaling.protocols import Scored
from scaling.sampling import Euler
from scaling.schedules import Flow
from scaling.search.rbf import Rbf


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


def converted(steps):
    """The times of a variance-preserving path, beta 0.1 to 20, and what flow calls them and the scale between both."""
    r = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    alpha = torch.exp(-(r**2) * 19.9 / 4 - 0.05 * r)
    sigma = (1 - alpha**2).sqrt()
    return r, sigma / (alpha + sigma), alpha + sigma


def climb(search, space, answers):
    """What it proposes where every child beats the best so far: one child a step; `answers` are its x0 predictions."""
    run = search(space)
    proposals, score = [next(run)], 0.0
    while len(proposals[-1].times) == 1:
        x, score = proposals[-1].x, score + 1
        proposals.append(run.send(Scored(x, answers(x, proposals[-1].times), torch.tensor([score]), torch.tensor([0]))))
    run.close()
    return proposals


@pytest.mark.parametrize("schedule", [Flow(), Flow(shift=3.0), COARSE])
@pytest.mark.parametrize("convert", [True, False])
@pytest.mark.parametrize("steps", [4, 15])
def test_its_step_has_the_exact_marginals(schedule, convert, steps):
    """Unit Gaussian data in very many dimensions, each answer drawn from the exact law of x0 given x."""
    n, rng, told = 40000, torch.Generator().manual_seed(0), []
    space = NoiseSpace(0, "k", (n,), schedule, Euler(), steps)

    def posterior(x, times):
        a, s = float(schedule.alpha(times)), float(schedule.sigma(times))
        told.append((a * x + s * torch.randn(x.shape, generator=rng) * (a * a + s * s) ** 0.5) / (a * a + s * s))
        return told[-1]

    search = Rbf(budget=steps, initial=1, convert=convert)
    proposals = climb(search, space, posterior)
    assert len(proposals) == steps
    is_flow = isinstance(schedule, Flow)
    seen = converted(steps)[0] if convert and is_flow else space.times
    scale = converted(steps)[2] if convert and is_flow else torch.ones(steps + 1)
    for i, x0 in enumerate(told):
        (x, child), (t, s) = (proposals[i].x, proposals[i + 1].x), (proposals[i].times[0], proposals[i + 1].times[0])
        alpha, sigma = float(schedule.alpha(s)), float(schedule.sigma(s))
        assert abs(float((child * x0).mean()) - alpha) < 6 / n**0.5
        assert abs(float(child.var()) - (alpha**2 + sigma**2)) < 4 * (alpha**2 + sigma**2) * (2 / n) ** 0.5
        fresh = min(float(search.diffusion * seen[i] ** 2 * (seen[i] - seen[i + 1]).sqrt() / scale[i + 1]), sigma)
        eps = (x - float(schedule.alpha(t)) * x0) / float(schedule.sigma(t))
        assert abs(float((child * eps).mean()) - (sigma**2 - fresh**2) ** 0.5) < 6 / n**0.5, "the rest of sigma is kept"


def test_conversion_matches_signal_to_noise_of_the_variance_preserving_path():
    def times(schedule):
        space = NoiseSpace(0, "k", (1,), schedule, Euler(), 10)
        proposals = climb(Rbf(budget=10, initial=1), space, lambda x, times: x)
        return torch.cat([p.times for p in proposals]), space.times

    flow, _ = times(Flow())
    torch.testing.assert_close(flow[1:-1], converted(10)[1][1:-1])
    assert (float(flow[0]), float(flow[-1])) == (1, 0)
    coarse, own = times(COARSE)
    assert torch.equal(coarse, own), "it has nothing to convert"


def test_one_step_is_too_few():
    with pytest.raises(ValueError, match="at least 2 steps"):
        Rbf().cost(space_of(model(), nfe=1))


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"initial": 0}, {"diffusion": 0}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Rbf(**wrong)
