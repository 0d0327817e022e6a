import math

import pytest
import torch

from scaling.search import geometry


def draws(n, *shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("cosine", [-0.3, 0.0, 0.5, 0.95, 0.995, 1.0])
@pytest.mark.parametrize("shape", [(2,), (4, 8, 8)])
def test_neighbors_have_the_cosine_and_the_norm(cosine, shape):
    pivot = draws(1, *shape)
    near = geometry.neighbors(pivot, draws(5, *shape, seed=1), cosine)
    torch.testing.assert_close(geometry.cosine(near, pivot), torch.full((5,), cosine).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(near.flatten(1).norm(dim=1), pivot.norm().expand(5), atol=0, rtol=1e-6)


def test_neighbors_point_everywhere_around_the_pivot():
    pivot = draws(1, 3)
    near = geometry.neighbors(pivot, draws(4000, 3, seed=1), 0.5)
    assert (near.mean(0) - 0.5 * pivot[0]).abs().max() < 4 * pivot.norm() / math.sqrt(4000)


def test_typical_norm():
    noise = geometry.to_typical_norm(7 * draws(3, 4, 5))
    torch.testing.assert_close(noise.flatten(1).norm(dim=1), torch.full((3,), math.sqrt(20)))
