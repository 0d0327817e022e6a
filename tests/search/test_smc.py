import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from driver import COARSE, drive, model, space_of

from scaling.models.gaussian_mixture import GaussianMixture
from scaling.noise import NoiseSpace
from scaling.protocols import Condition
from scaling.sampling import Euler
from scaling.schedules import Flow
from scaling.search import particles
from scaling.search.smc import Smc

SCHEDULES = [Flow(), Flow(shift=3.0), COARSE]
SLOPE = 0.8


def slope(x0):
    return SLOPE * x0.flatten(1).sum(1)


def law_of_the_chain(denoiser, space):
    """Mean and variance at time 0 of the plain stochastic sampler on one Gaussian: an affine map and a noise a step."""
    times = [float(t) for t in space.times]
    mean, variance = 0.0, float(space.start(torch.ones(1))) ** 2
    encoded = {"log_weights": torch.zeros(1, 1)}
    for t, s in pairwise(times):

        def move(x, noise, t=t, s=s):
            x = torch.tensor([[x]])
            x0 = denoiser(x, torch.tensor([t]), encoded).x0
            return float(space.step(x, x0, t, s, torch.tensor([[noise]])))

        still, gain, fresh = move(0.0, 0.0), move(1.0, 0.0) - move(0.0, 0.0), move(0.0, 1.0) - move(0.0, 0.0)
        mean, variance = still + gain * mean, gain**2 * variance + fresh**2
    return mean, variance


@pytest.mark.parametrize(
    "search",
    [
        Smc(particles=4, lambda_=1.0),
        Smc(particles=4, lambda_=1.0, potential="max", start=0.4, ess=None),
        Smc(particles=4, lambda_=1.0, potential="sum", every=0.4),
        Smc(particles=5, lambda_=1.0, resampling="systematic", ess=0.9, every=0.15),
        Smc(particles=8, lambda_=1.0, funnel=0.25),
        Smc(particles=4, lambda_=1.0, tempering=0.3, every=0.15),
        Smc(particles=6, lambda_=1.0, tempering=0.2, potential="max", funnel=0.5),
    ],
    ids=lambda search: f"{search.potential}-{search.resampling}-{search.ess}-{search.tempering}-{search.funnel}",
)
def test_the_normalizer_is_unbiased_and_the_weighted_mean_is_the_tilted_posteriors(search):
    denoiser = GaussianMixture([[0.4]], 0.7)
    mean, variance = law_of_the_chain(denoiser, space_of(denoiser, nfe=6))
    normalizer = math.exp(SLOPE * mean + SLOPE**2 * variance / 2)
    estimates = []
    for seed in range(120):
        population = drive(search.run, space_of(denoiser, nfe=6, seed=seed), denoiser, slope).value
        z = math.exp(population.log_normalizer)
        estimates.append((z, z * float(population.log_weights.softmax(0) @ population.scored.x.flatten().double())))
    z, weighted = np.array(estimates).T
    error = 4 / math.sqrt(len(z))
    assert abs(z.mean() - normalizer) < error * z.std(ddof=1)
    assert abs(weighted.mean() - normalizer * (mean + SLOPE * variance)) < error * weighted.std(ddof=1)


@pytest.mark.parametrize("particles", [1, 3, 8])
@pytest.mark.parametrize("nfe", [1, 2, 20])
@pytest.mark.parametrize("compat", [None, "fk_repo"])
def test_costs_exactly_particles_times_steps(particles, nfe, compat):
    search, space = Smc(particles=particles, compat=compat), space_of(model(), nfe=nfe)
    run = drive(search, space)
    assert run.ended
    assert search.cost(space) == run.nfe == run.calls == particles * nfe


@pytest.mark.parametrize(("particles", "funnel", "rows"), [(16, 0.25, [16, 12, 8, 6, 4]), (3, 0.1, [3, 2, 1, 1, 1])])
def test_a_funnel_drops_particles_where_they_are_weighed(particles, funnel, rows):
    search, space = Smc(particles=particles, funnel=funnel), space_of(model())
    run = drive(search, space)
    assert [len(p.x) for p in run.proposals] == [rows[0]] * 5 + [n for n in rows[1:] for _ in range(4)][:15]
    assert search.cost(space) == run.nfe == run.calls


def test_tempered_weights_end_at_the_whole_lambda():
    search = Smc(particles=4, lambda_=0.1, ess=0.0, tempering=0.05)  # never low enough to resample
    population = drive(search.run, space_of(model())).value
    torch.testing.assert_close(population.log_weights, 0.1 * population.scored.scores.double())


def test_the_public_code_knows_no_funnel():
    with pytest.raises(ValueError, match="compat=fk_repo"):
        Smc(compat="fk_repo", funnel=0.5)


def test_weighs_at_the_public_codes_steps():
    assert sorted(particles.weighing_steps(100, 0.2, 0.2)) == [20, 40, 60, 80]
    run = drive(Smc(), space_of(model(), nfe=20))
    assert [i for i, p in enumerate(run.proposals) if p.score] == [4, 8, 12, 16, 19]


@pytest.mark.parametrize("compat", [None, "fk_repo"])
def test_two_copies_of_one_particle_diverge(compat):
    run = drive(Smc(particles=8, ess=None, compat=compat), space_of(model(), nfe=20))
    copied = [p for p in run.proposals if p.parents is not None and len(p.parents.unique()) < 8]
    assert copied
    if compat is None:
        assert all(len(p.x.unique(dim=0)) == 8 for p in run.proposals)
    else:  # the public code's copies share the noise of the step that they are made in
        assert any(len(p.x.unique(dim=0)) < 8 for p in run.proposals)
    assert len(run.answers[-1].x.unique(dim=0)) == 8


def test_one_particle_never_resamples_and_weighs_by_its_final_score():
    for potential in ("difference", "max", "sum"):
        population = drive(Smc(particles=1, lambda_=2.0, potential=potential).run, space_of(model())).value
        assert population.log_normalizer == pytest.approx(2 * float(population.scored.scores[0]), abs=1e-5)


def test_the_public_code_drops_the_weights_of_a_wait():
    options = {"particles": 4, "lambda_": 0.1, "ess": 0.1}  # never low enough to resample
    ours, theirs = (drive(Smc(**options, compat=c).run, space_of(model())) for c in (None, "fk_repo"))
    scores = ours.answers[-1].scores.double()
    assert torch.equal(ours.answers[-1].x, theirs.answers[-1].x)
    torch.testing.assert_close(ours.value.log_weights, 0.1 * scores)
    before = [a.scores for a in theirs.answers if not a.scores.isnan().any()][-2].double()
    torch.testing.assert_close(theirs.value.log_weights, 0.1 * (scores - before))


def test_more_particles_find_higher_scores():
    few, many = (
        np.mean([float(drive(Smc(particles=k), space_of(model(), seed=s)).clean[1].max()) for s in range(20)])
        for k in (1, 8)
    )
    assert many > few


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_score_that_is_no_number_is_an_error(bad):
    with pytest.raises(ValueError, match="cannot weigh"):
        drive(Smc(), space_of(model()), score=lambda x: x.sum(1) * 0 + bad)


@pytest.mark.parametrize("method", ["multinomial", "systematic"])
def test_resampling_gives_each_its_share_on_average(method):
    weights = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    draws = [particles.resample(weights, method, np.random.default_rng(i)) for i in range(2000)]
    counts = torch.stack([d.bincount(minlength=4) for d in draws]).double()
    error = 4 * counts.std(0) / math.sqrt(len(draws))
    assert ((counts.mean(0) - 4 * weights).abs() <= error + 1e-9).all()
    if method == "systematic":
        assert ((counts - 4 * weights).abs() < 1).all()


def test_effective_sample_size():
    assert particles.effective(particles.shares(torch.zeros(7))) == pytest.approx(7)
    assert particles.effective(particles.shares(torch.tensor([0.0, -1e9]))) == pytest.approx(1)


def test_descendants_are_in_proportion():
    weights = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    assert particles.descendants(weights).tolist() == [0, 0, 1]
    spread = torch.tensor([0.4, 0.12, 0.12, 0.12, 0.12, 0.12], dtype=torch.float64)
    assert particles.descendants(spread).tolist() == [0, 0, 1, 2, 3, 4]
    short = torch.tensor([0.52, 0.12, 0.12, 0.12, 0.12], dtype=torch.float64)  # rounds to 3 + 4 x 1, cut to 5
    assert particles.descendants(short).tolist() == [0, 0, 0, 1, 2]
    scarce = torch.tensor([0.35, 0.35, 0.1, 0.1, 0.1], dtype=torch.float64)  # rounds to 2 + 2, repeated to 5
    assert particles.descendants(scarce).tolist() == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [2, 5, 20])
@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_the_stochastic_step_has_the_exact_marginals(schedule, steps, eta):
    """With clean samples of the posterior in place of its mean, each step of each grid keeps the marginal law."""
    mean, std, n = 0.7, 0.5, 40000
    rng = torch.Generator().manual_seed(0)
    space = NoiseSpace(0, "k", (1,), schedule, Euler(), steps)
    times = space.times
    x0 = mean + std * torch.randn(n, generator=rng)
    x = schedule.alpha(times[0]) * x0 + schedule.sigma(times[0]) * torch.randn(n, generator=rng)
    for t, s in pairwise(times):
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        gain = alpha * std**2 / ((alpha * std) ** 2 + sigma**2)
        spread = (std**2 * (1 - gain * alpha)).clamp(min=0).sqrt()
        clean = mean + gain * (x - alpha * mean) + spread * torch.randn(n, generator=rng)
        x = space.step(x, clean, float(t), float(s), torch.randn(n, generator=rng), eta)
        variance = float((schedule.alpha(s) * std) ** 2 + schedule.sigma(s) ** 2)
        assert abs(x.mean() - schedule.alpha(s) * mean) < 4 * (variance / n) ** 0.5
        assert abs(x.var() - variance) < 4 * variance * (2 / n) ** 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_stochastic_sampler_ends_in_the_mixture(schedule):
    """A flow model as an SDE: with enough steps its samples are the mixture's, components and spread alike."""
    denoiser, n, rng = model(schedule), 3000, torch.Generator().manual_seed(0)
    space, encoded = space_of(denoiser, nfe=150), denoiser.encode([Condition()] * n)
    x = space.start(torch.randn(n, 2, generator=rng))
    for t, s in pairwise(space.times):
        x0 = denoiser(x, t.float().expand(n), encoded).x0
        x = space.step(x, x0, float(t), float(s), torch.randn(n, 2, generator=rng))
    nearest = torch.cdist(x, denoiser.means).argmin(1)
    for j, weight in enumerate(denoiser.weights.tolist()):
        own = x[nearest == j]
        assert abs(len(own) / n - weight) < 4 * (weight * (1 - weight) / n) ** 0.5 + 0.01
        assert (own.mean(0) - denoiser.means[j]).abs().max() < 4 * denoiser.std / len(own) ** 0.5 + 0.01
        assert abs(own.var(0).mean().sqrt() - denoiser.std) < 0.03


@pytest.mark.parametrize(
    "wrong",
    [
        {"particles": 0},
        {"potential": "min"},
        {"resampling": "residual"},
        {"start": 1.5},
        {"every": 0.0},
        {"ess": 2.0},
        {"eta": 0.0},
        {"compat": "other"},
    ],
)
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Smc(**wrong)
