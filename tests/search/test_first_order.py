import math

import pytest
import torch
from driver import COARSE, drive, model, space_of, target

from scaling.sampling import Euler, Heun
from scaling.schedules import Flow
from scaling.search import geometry, reno
from scaling.search.first_order import FirstOrder
from scaling.search.random import Random
from scaling.search.reno import Reno

SCHEDULES = [Flow(), COARSE]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", [Euler(), Heun()])
def test_the_gradient_is_the_finite_difference_of_the_score(schedule, sampler):
    space = space_of(model(schedule), sampler=sampler, nfe=10)
    run = drive(FirstOrder(), space, stop_after=1)
    x, gradient = run.proposals[0].x, run.answers[0].gradient[0]

    def score_at(x):
        return drive(lambda space: iter_once(run.proposals[0], x), space).answers[0].scores[0]

    for axis in range(2):
        nudge = torch.zeros(1, 2)
        nudge[0, axis] = 1e-2
        difference = (score_at(x + nudge) - score_at(x - nudge)) / 2e-2
        assert gradient[axis] == pytest.approx(float(difference), rel=0.03, abs=0.03)


def iter_once(proposal, x):
    yield type(proposal)(x, proposal.times)


@pytest.mark.parametrize("search", [FirstOrder(), FirstOrder(normalized=True, step=0.05), Reno()])
def test_begins_with_draw_0_and_costs_two_solves_an_iteration(search):
    space = space_of(model(), nfe=10)
    run = drive(search, space, cap=85)
    assert torch.equal(run.proposals[0].x, drive(Random(), space, stop_after=1).proposals[0].x)
    assert run.nfe == run.calls == 80
    assert [int(p.parents[0]) for p in run.proposals[1:]] == [0, 1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_climbs(seed):
    run = drive(FirstOrder(step=0.02, normalized=True), space_of(model(), seed=seed), stop_after=30)
    scores = run.clean[1]
    assert scores[-5:].mean() > scores[0] or scores[0] > -0.05


def test_noises_have_the_typical_norm():
    run = drive(FirstOrder(step=0.3), space_of(model()), stop_after=5)
    for proposal in run.proposals[1:]:
        assert float(proposal.x.norm()) == pytest.approx(math.sqrt(2), rel=1e-5)


def test_a_plain_step_is_the_gradient_times_its_length():
    space = space_of(model(COARSE))
    run = drive(FirstOrder(step=0.1), space, stop_after=2)
    scale = float(space.start(torch.ones(1)))
    noise, gradient = run.proposals[0].x / scale, run.answers[0].gradient * scale
    moved = geometry.to_typical_norm(noise + 0.1 * gradient)
    torch.testing.assert_close(run.proposals[1].x, space.start(moved))


def test_a_normalized_step_bounds_the_cosine_moved():
    run = drive(FirstOrder(step=0.1, normalized=True), space_of(model()), stop_after=10)
    for before, after in zip(run.proposals, run.proposals[1:], strict=False):
        assert float(geometry.cosine(before.x, after.x)) >= math.sqrt(1 - 0.1**2) - 1e-6


def test_a_gradient_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="not finite"):
        drive(FirstOrder(), space_of(model()), score=lambda x: target(x) * torch.nan, stop_after=2)


def test_renos_regularizer_is_the_gradient_of_the_chi_density():
    noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    norm = noise.flatten(1).norm(dim=1)
    density = torch.distributions.Chi2(torch.tensor(12.0, dtype=torch.float64)).log_prob(norm**2) + torch.log(2 * norm)
    expected = torch.autograd.grad(density.sum(), noise)[0]
    torch.testing.assert_close(reno.norm_gradient(noise.detach()), expected)


def test_reno_without_a_slope_goes_to_the_typical_norm():
    flat = Reno(regularization=1.0, step=0.5, momentum=0.0)
    run = drive(flat, space_of(model(), seed=3, nfe=1), score=lambda x: 0 * x.sum(1), stop_after=100)
    assert float(run.proposals[-1].x.norm()) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("search", "wrong"),
    [
        (FirstOrder, {"step": 0}),
        (Reno, {"step": 0}),
        (Reno, {"clip": -1}),
        (Reno, {"momentum": 2}),
        (Reno, {"regularization": -1}),
    ],
)
def test_mistakes_are_named(search, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        search(**wrong)
