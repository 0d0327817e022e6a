import pytest
import torch
from driver import COARSE, drive, model, space_of

from scaling.noise import NoiseSpace
from scaling.sampling import Euler, Heun
from scaling.schedules import Flow
from scaling.search.paths import Paths

SCHEDULES = [Flow(), Flow(shift=3.0), COARSE]


def test_the_papers_times():
    run = drive(Paths(width=1, branches=1), space_of(model(), nfe=50))
    spans = [(float(p.times[0]), float(p.times[-1])) for p in run.proposals]
    expected = [(1, 0.11), (0.89, 0.08), (0.86, 0.05), (0.83, 0.02), (0.80, 0)]
    assert [pytest.approx(e) for e in expected] == spans
    assert [p.score for p in run.proposals] == [False, True, True, True, True]


@pytest.mark.parametrize("sampler", [Euler(), Heun()])
@pytest.mark.parametrize(("width", "branches"), [(1, 1), (2, 3), (4, 2)])
@pytest.mark.parametrize("selection", ["overall", "per_path"])
def test_cost_and_width(sampler, width, branches, selection):
    space = space_of(model(), sampler=sampler, nfe=50)
    search = Paths(width=width, branches=branches, selection=selection)
    run = drive(search, space)
    assert run.ended
    assert search.cost(space) == run.nfe == run.calls
    assert [len(p.x) for p in run.proposals] == [width] + [width * branches] * 4
    for proposal in run.proposals[1:]:
        assert len(proposal.parents.unique()) == width


def test_costs_of_the_papers_setting_written_out():
    space = space_of(model(), sampler=Heun(), nfe=50)
    first, down, last = 2 * 22, 2 * 20, 2 * 20
    assert Paths(width=2, branches=3).cost(space) == 2 * (first + 3 * (3 * (down + 1) + last))


def test_legs_can_be_given_their_own_nfe():
    run = drive(Paths(backward_nfe=8), space_of(model(), nfe=50))
    assert [len(p.times) - 1 for p in run.proposals] == [44, 8, 8, 8, 8]


def test_overall_keeps_the_best_of_all():
    run = drive(Paths(width=2, branches=4), space_of(model()))
    for before, after in zip(run.answers[1:], run.proposals[2:], strict=False):
        best = before.ids[before.scores.argsort(descending=True)[:2]]
        assert torch.equal(after.parents, best.repeat_interleave(4))


def test_per_path_keeps_one_of_each():
    run = drive(Paths(width=3, branches=4, selection="per_path"), space_of(model()))
    for before, after in zip(run.answers[1:], run.proposals[2:], strict=False):
        groups = before.scores.view(3, 4)
        best = before.ids.view(3, 4).gather(1, groups.argmax(1, keepdim=True)).flatten()
        assert torch.equal(after.parents, best.repeat_interleave(4))


def test_more_branches_keep_the_draws_of_fewer():
    few = drive(Paths(branches=2), space_of(model()), stop_after=2).proposals[1].x.view(2, 2, 2)
    many = drive(Paths(branches=5), space_of(model()), stop_after=2).proposals[1].x.view(2, 5, 2)
    assert torch.equal(many[:, :2], few)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("t", "s"), [(0.0, 0.5), (0.11, 0.89), (0.5, 0.51), (0.3, 1.0), (0.4, 0.4)])
def test_renoise_has_the_exact_marginal(schedule, t, s):
    mean, std, n = 0.7, 0.5, 40000
    rng = torch.Generator().manual_seed(0)
    space = NoiseSpace(0, "k", (1,), schedule, Euler(), 10)
    time = torch.tensor([t, s], dtype=torch.float64)
    alpha, sigma = schedule.alpha(time), schedule.sigma(time)
    x0 = mean + std * torch.randn(n, generator=rng)
    x = space.renoise(alpha[0] * x0 + sigma[0] * torch.randn(n, generator=rng), t, s, torch.randn(n, generator=rng))
    variance = float((alpha[1] * std) ** 2 + sigma[1] ** 2)
    assert abs(x.mean() - alpha[1] * mean) < 4 * (variance / n) ** 0.5
    assert abs(x.var() - variance) < 4 * variance * (2 / n) ** 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"branches": 1.5}, {"rounds": 0}, {"forward": 0.95}, {"backward": 0.5}, {"selection": "top"}],
)
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Paths(**wrong)
