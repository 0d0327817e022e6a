"""svdd, code and beam: three ways to branch one stochastic sampler."""

import itertools

import numpy as np
import pytest
import torch
from driver import COARSE, drive, model, space_of

from scaling.schedules import Flow
from scaling.search.beam import Beam
from scaling.search.code import Code
from scaling.search.smc import Smc
from scaling.search.svdd import Svdd


def plain_sampler(denoiser, space, eta):
    x, encoded = space.start(space.draw("candidate", 0)), {"log_weights": denoiser.weights.log()[None]}
    times = [float(t) for t in space.times]
    for i, (t, s) in enumerate(itertools.pairwise(times)):
        x0 = denoiser(x, torch.tensor([t]), encoded).x0
        x = space.step(x, x0, t, s, space.draw(f"step {i}", 0), eta)
    return x


@pytest.mark.parametrize("schedule", [Flow(), Flow(shift=3.0), COARSE])
@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_with_one_child_all_equal_the_plain_stochastic_sampler(schedule, eta):
    denoiser = model(schedule)
    space = space_of(denoiser)
    expected = plain_sampler(denoiser, space, eta)
    for search in (Svdd(children=1, eta=eta), Code(children=1, eta=eta), Beam(width=1, children=1, eta=eta)):
        torch.testing.assert_close(drive(search, space, denoiser).clean[0], expected, atol=1e-5, rtol=0)
    ours = drive(Svdd(children=1, eta=eta), space, denoiser).clean[0]
    assert torch.equal(ours, drive(Smc(particles=1, eta=eta), space, denoiser).clean[0])


@pytest.mark.parametrize("nfe", [1, 2, 20])
@pytest.mark.parametrize(
    ("search", "rows"),
    [
        (Svdd(children=5), 5),
        (Svdd(children=3, temperature=0.1), 3),
        (Code(children=3, block=4), 3),
        (Beam(width=3, children=2), 6),
    ],
)
def test_costs_exactly_rows_times_steps(search, rows, nfe):
    space = space_of(model(), nfe=nfe)
    run = drive(search, space)
    assert run.ended
    assert search.cost(space) == run.nfe == run.calls == rows * nfe


def test_svdd_goes_on_with_the_best_child():
    run = drive(Svdd(children=4), space_of(model()))
    for answer, after in zip(run.answers, run.proposals[1:], strict=False):
        assert after.parents.tolist() == [int(answer.ids[answer.scores.argmax()])] * 4
        assert len(after.x.unique(dim=0)) == 4


def test_svdds_temperature_draws_the_child_by_its_score():
    greedy, cold, warm = (drive(Svdd(children=4, temperature=t), space_of(model(), nfe=100)) for t in (0.0, 1e-6, 1e6))
    assert all(torch.equal(a.x, b.x) for a, b in zip(greedy.proposals, cold.proposals, strict=True))
    firsts = [int(p.parents[0]) % 4 for p in warm.proposals[1:]]
    assert np.bincount(firsts, minlength=4).min() > 10


def test_code_chooses_every_block():
    run = drive(Code(children=3, block=4), space_of(model(), nfe=10))
    assert [i for i, p in enumerate(run.proposals) if p.score] == [0, 4, 8, 9]
    assert [len(p.parents.unique()) for p in run.proposals[1:]] == [1, 3, 3, 3, 1, 3, 3, 3, 1]


def test_code_in_blocks_of_one_is_svdd():
    a, b = (drive(s, space_of(model())) for s in (Code(children=3, block=1), Svdd(children=3)))
    assert all(torch.equal(p.x, q.x) for p, q in zip(a.proposals, b.proposals, strict=True))


def test_beam_keeps_the_best_of_all_children():
    run = drive(Beam(width=2, children=3), space_of(model()))
    for answer, after in zip(run.answers, run.proposals[1:], strict=False):
        best = answer.ids[answer.scores.argsort(descending=True)[:2]]
        assert torch.equal(after.parents, best.repeat_interleave(3))


@pytest.mark.parametrize(
    ("search", "wrong"),
    [
        (Svdd, {"children": 0}),
        (Svdd, {"temperature": -1.0}),
        (Svdd, {"eta": 0.0}),
        (Code, {"block": 0}),
        (Code, {"children": True}),
        (Beam, {"width": 0}),
        (Beam, {"eta": 2.0}),
    ],
)
def test_mistakes_are_named(search, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        search(**wrong)
