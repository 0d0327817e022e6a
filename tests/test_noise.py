"""A draw is its key's alone."""

from __future__ import annotations

import pytest
import torch

from scaling.noise import NoiseSpace, keyed_generator
from scaling.sampling import Euler
from scaling.schedules import Flow


def space_of(shape: tuple[int, ...] = (3, 5), condition_key: str = "k", seed: int = 0) -> NoiseSpace:
    return NoiseSpace(seed, condition_key, shape, Flow(), Euler(), 4)


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 8, 8)])
def test_a_draw_is_that_of_its_own_generator_whatever_was_drawn_before(shape: tuple[int, ...]) -> None:
    space = space_of(shape)
    for name, k in (("candidate", 3), ("candidate", 0), ("walk 1", 0), ("candidate", 3)):
        alone = torch.from_numpy(space.generator(name, k).standard_normal(shape, dtype="float32"))
        assert torch.equal(space.draw(name, k)[0], alone)


def test_draws_at_once_are_those_one_by_one_in_any_order() -> None:
    space = space_of()
    together = space.draw("candidate", [4, 0, 2])
    assert torch.equal(together, torch.cat([space_of().draw("candidate", k) for k in (4, 0, 2)]))
    assert space.draw("candidate", []).shape == (0, 3, 5)


def test_seed_condition_name_and_number_each_make_another_draw() -> None:
    spaces = (space_of(), space_of(seed=1), space_of(condition_key="l"))
    draws = [space.draw("candidate", 0) for space in spaces]
    draws += [space_of().draw("other", 0), space_of().draw("candidate", 1)]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == len(draws)


def test_draws_are_the_same_on_every_machine() -> None:
    drawn = space_of((4,)).draw("candidate", 0)[0]
    expected = torch.tensor([-1.0204263925552368, 0.05981093645095825, -0.37318485975265503, 0.331322580575943])
    assert torch.equal(drawn, expected)
    assert keyed_generator(0, "k", "candidate", 0).integers(2**32) == 4141276475


def test_the_start_of_a_flow_is_the_noise_itself() -> None:
    space = space_of()
    noise = space.draw("candidate", 0)
    assert torch.equal(space.start(noise), noise)
