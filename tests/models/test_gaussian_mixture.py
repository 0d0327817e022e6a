import pytest
import torch

from scaling.models.gaussian_mixture import GaussianMixture
from scaling.protocols import Condition
from scaling.sampling import Euler, Heun
from scaling.schedules import Flow, VariancePreserving

MEANS = [[-2.0, 0.5], [1.0, 1.5], [1.5, -1.0]]
SCHEDULES = [Flow(), Flow(shift=3.0), VariancePreserving.linear_betas()]


def mixture(**options):
    return GaussianMixture(MEANS, 0.4, weights=[0.5, 0.3, 0.2], **options)


def posterior_by_grid(model, x, t):
    """x0 and eps by brute force: the mixture's density times the noise's, summed over a fine grid of x0."""
    axis = torch.linspace(-5, 5, 601, dtype=torch.float64)
    x0 = torch.cartesian_prod(axis, axis)
    alpha, sigma = float(model.schedule.alpha(torch.tensor(t))), float(model.schedule.sigma(torch.tensor(t)))
    apart = (x0[:, None] - model.means.double()).square().sum(-1)
    prior = (model.weights.double() * torch.exp(-apart / (2 * model.std**2))).sum(1)
    eps = (x - alpha * x0) / sigma
    weight = prior * torch.exp(-eps.square().sum(1) / 2)
    weight = (weight / weight.sum())[:, None]
    return (weight * x0).sum(0), (weight * eps).sum(0)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", [0.3, 0.7])
def test_predictions_are_the_posterior_means(schedule, t):
    model = mixture(schedule=schedule)
    x = torch.tensor([[0.4, 0.2]])
    got = model(x, torch.tensor([t]), model.encode([Condition()]))
    x0, eps = posterior_by_grid(model, x[0].double(), t)
    torch.testing.assert_close(got.x0[0].double(), x0, atol=1e-4, rtol=0)
    torch.testing.assert_close(got.eps[0].double(), eps, atol=1e-4, rtol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_x_is_alpha_x0_plus_sigma_eps(schedule):
    model = mixture(schedule=schedule)
    x, t = torch.randn(7, 2, generator=torch.Generator().manual_seed(0)), torch.linspace(0, 1, 7)
    got = model(x, t, model.encode([Condition()] * 7))
    back = schedule.alpha(t)[:, None] * got.x0 + schedule.sigma(t)[:, None] * got.eps
    torch.testing.assert_close(back, x, atol=2e-6, rtol=1e-5)


def test_the_ends_of_time():
    model = mixture()
    x = torch.tensor([[0.7, -0.3]] * 2)
    got = model(x, torch.tensor([0.0, 1.0]), model.encode([Condition()] * 2))
    torch.testing.assert_close(got.x0[0], x[0])
    torch.testing.assert_close(got.x0[1], model.weights @ model.means)
    torch.testing.assert_close(got.eps[1], x[1])


@pytest.mark.parametrize("sampler", [Euler(), Heun()])
@pytest.mark.parametrize("schedule", [Flow(), VariancePreserving.linear_betas()])
def test_the_ode_ends_in_the_mixture(sampler, schedule):
    model, n = mixture(schedule=schedule), 4000
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(1)) * schedule.sigma(torch.ones(()))
    encoded = model.encode([Condition()] * n)
    times = schedule.grid(100).expand(n, -1)
    x = sampler.advance(lambda x, t: model(x, t, encoded), schedule, noise, times, True).x
    nearest = torch.cdist(x, model.means).argmin(1)
    for j, weight in enumerate(model.weights.tolist()):
        own = x[nearest == j]
        assert abs(len(own) / n - weight) < 4 * (weight * (1 - weight) / n) ** 0.5 + 0.01
        assert (own.mean(0) - model.means[j]).abs().max() < 4 * model.std / len(own) ** 0.5 + 0.01
        assert abs(own.var(0).mean().sqrt() - model.std) < 0.02


def test_a_class_label_picks_its_components():
    model = mixture(labels=[4, 7, 7])
    four, seven, both = (model.encode([c])["log_weights"][0].exp() for c in map(Condition, (4, 7, None)))
    assert four.tolist() == pytest.approx([0.5, 0, 0])
    assert seven.tolist() == pytest.approx([0, 0.3, 0.2])
    assert both.tolist() == pytest.approx([0.5, 0.3, 0.2])
    x, t = torch.zeros(1, 2), torch.ones(1)
    torch.testing.assert_close(model(x, t, model.encode([Condition(4)])).x0[0], model.means[0])
    with pytest.raises(ValueError, match="nearest label is 7"):
        model.encode([Condition(9)])


def test_rows_do_not_depend_on_their_batch():
    model = mixture()
    x, t = torch.randn(64, 2, generator=torch.Generator().manual_seed(2)), torch.linspace(0, 1, 64)
    encoded = model.encode([Condition(i % 3) for i in range(64)])
    together = model(x, t, encoded)
    for i in (0, 13, 63):
        alone = model(x[i : i + 1], t[i : i + 1], {"log_weights": encoded["log_weights"][i : i + 1]})
        assert torch.equal(alone.x0[0], together.x0[i])
        assert torch.equal(alone.eps[0], together.eps[i])


@pytest.mark.parametrize(
    ("shape", "image"), [((4,), (3, 1, 4)), ((2, 2), (3, 2, 2)), ((1, 2, 2), (3, 2, 2)), ((4, 1, 1), (3, 1, 1))]
)
def test_decode_gives_images_of_any_latent_shape(shape, image):
    model = GaussianMixture([[1.0, 0.0, -1.0, 0.0]], 0.5, latent_shape=shape)
    x0 = torch.tensor([[2.5, 0.0, -2.5, 99.0]]).view(1, *shape)
    images = model.decode(x0)
    assert images.shape == (1, *image)
    expected = torch.tensor([1.0, 0.5, 0.0, 1.0])
    got = images[0, :, 0, 0] if shape == (4, 1, 1) else images[0, 0].flatten()
    torch.testing.assert_close(got, expected[: len(got)])


def test_decode_has_a_gradient_inside_its_range():
    model = mixture()
    x0 = torch.zeros(1, 2, requires_grad=True)
    model.decode(x0).sum().backward()
    assert (x0.grad > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"std": 0.0}, "std=0"),
        ({"weights": [1.0]}, "weights"),
        ({"weights": [1.0, 0.0]}, "weights"),
        ({"labels": [1]}, "labels"),
        ({"latent_shape": (3,)}, "latent_shape"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**{"means": [[0.0, 1.0], [1.0, 0.0]], "std": 1.0} | options)


def test_identity_tells_mixtures_apart():
    same, other = mixture().identity(), mixture(schedule=Flow(shift=3.0)).identity()
    assert same == mixture().identity()
    assert same != other
