import pytest
import torch
from driver import COARSE, drive, model, space_of

from scaling.protocols import Scored
from scaling.sampling import Euler, Heun
from scaling.schedules import Flow
from scaling.search.halving import Halving
from scaling.search.random import Random


@pytest.mark.parametrize("schedule", [Flow(), Flow(shift=3.0), COARSE])
@pytest.mark.parametrize("sampler", [Euler(), Heun()])
def test_keeping_all_equals_random_search(schedule, sampler):
    space = space_of(model(schedule), sampler=sampler)
    kept = drive(Halving(candidates=5, keep=1.0, rungs=(0.8, 0.5, 0.25)), space)
    random = drive(Random(), space, stop_after=5)
    for ours, theirs in zip(kept.clean[0], random.clean[0], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    one = drive(Halving(candidates=1, keep=1.0, rungs=(0.8, 0.5, 0.25)), space)
    assert torch.equal(one.clean[0], random.clean[0][:1])  # the same batches: bit for bit


@pytest.mark.parametrize("rungs", [(), (0.8, 0.5, 0.25), (0.5, 0.45), (0.95, 0.1, 0.05)])
def test_reuse_takes_random_searchs_steps_and_no_more(rungs):
    space = space_of(model())
    kept = drive(Halving(candidates=5, keep=1.0, rungs=rungs, reuse=True), space)
    torch.testing.assert_close(kept.clean[0], drive(Random(), space, stop_after=5).clean[0], atol=1e-6, rtol=0)
    assert kept.nfe == kept.calls == 5 * 20


@pytest.mark.parametrize("rungs", [(), (0.8, 0.5, 0.25), (0.5, 0.45), (0.95, 0.1, 0.05)])
def test_with_reuse_a_row_costs_the_steps_that_it_makes(rungs):
    search, space = Halving(candidates=9, keep=0.4, rungs=rungs, reuse=True), space_of(model())
    run = drive(search, space)
    assert search.cost(space) == run.nfe == run.calls


def test_by_the_gap_the_largest_sum_goes_on_without_a_judge():
    search, space = Halving(candidates=6, by="guidance_gap", rungs=(0.5, 0.25)), space_of(model(), nfe=8)
    gaps = {4: torch.tensor([1.0, 5.0, 2.0, 4.0, 3.0, 0.0]), 2: torch.tensor([0.0, 9.0, 0.0])}
    generator = search(space)
    proposal, expected, spent = next(generator), [[1, 3, 4], [3, 1]], 0
    for kept in expected:
        assert not proposal.score
        gap = gaps[len(proposal.times) - 1]
        spent += len(proposal.x) * space.nfe(proposal.times, proposal.score)
        ids = torch.arange(len(proposal.x)) + (0 if len(proposal.x) == 6 else 6)
        scored = Scored(proposal.x, proposal.x, torch.full((len(ids),), torch.nan), ids, gap=gap)
        proposal = generator.send(scored)
        assert len(proposal.parents) == len(kept)
    assert proposal.score
    assert proposal.parents.tolist() == [6, 7]  # 5 + 0 and 4 + 9 are above 3 + 0
    spent += len(proposal.x) * space.nfe(proposal.times)
    assert spent == search.cost(space) == 6 * 4 + 3 * 2 + 2 * 2


@pytest.mark.parametrize("sampler", [Euler(), Heun()])
@pytest.mark.parametrize(
    ("candidates", "keep", "rows"), [(8, 0.5, [8, 4, 2]), (5, 0.5, [5, 3, 2]), (1, 0.1, [1, 1, 1])]
)
def test_cost_and_survivors(sampler, candidates, keep, rows):
    search, space = Halving(candidates=candidates, keep=keep), space_of(model(), sampler=sampler)
    run = drive(search, space)
    assert run.ended
    assert [len(p.x) for p in run.proposals] == rows
    expected = rows[0] * (20 * 0.2 + 1) + rows[1] * (20 * 0.3 + 1) + rows[2] * 20 * 0.5
    if isinstance(sampler, Euler):
        expected = rows[0] * (5 + 1) + rows[1] * (5 + 1) + rows[2] * 10
    assert search.cost(space) == run.nfe == run.calls == expected


def test_the_best_go_on():
    run = drive(Halving(candidates=8), space_of(model()))
    for answer, after in zip(run.answers, run.proposals[1:], strict=False):
        best = answer.ids[answer.scores.argsort(descending=True)[: len(after.x)]]
        assert after.parents.tolist() == sorted(best.tolist())


def test_rungs_that_meet_on_the_grid_or_lie_at_its_ends_are_one_or_none():
    run = drive(Halving(candidates=4, rungs=(0.99, 0.51, 0.49, 0.01)), space_of(model(), nfe=4))
    assert [len(p.x) for p in run.proposals] == [4, 2]


@pytest.mark.parametrize("seed", range(3))
def test_finds_more_than_random_search_at_equal_nfe(seed):
    """x0 predictions at half time tell the components apart, so halving sees more of them for its money."""
    search, space = Halving(candidates=24, rungs=(0.5,), keep=0.1), space_of(model(), seed=seed, nfe=10)
    halved = drive(search, space)
    random = drive(Random(), space, cap=halved.nfe)
    assert halved.clean[1].max() >= random.clean[1].max() - 0.02


@pytest.mark.parametrize(
    "wrong", [{"candidates": 0}, {"keep": 0.0}, {"keep": 1.5}, {"rungs": (0.2, 0.5)}, {"by": "age"}]
)
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Halving(**wrong)


def test_a_rung_out_of_time_is_named():
    with pytest.raises(ValueError, match=r"rungs\[0\]=1.5"):
        Halving(rungs=(1.5,))
