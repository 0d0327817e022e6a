"""What every search in conf/search must do, whatever its method."""

import random
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from configs import built, options
from driver import COARSE, drive, model, price, space_of, target

from scaling.protocols import Condition, Proposal, Search
from scaling.sampling import Euler, Heun
from scaling.schedules import Flow
from scaling.traits import SearchTraits

SCHEDULES = [Flow(), COARSE]


@pytest.fixture(params=options("search"))
def search(request):
    """As configured; a sized one in a size that runs in no time."""
    found = built("search", request.param)
    if getattr(found, "width", 0) > 2:  # more paths than the tests' caps pay for
        found = replace(found, width=2)
    small = {"nfe": 20, "branches": 2, "rounds": 2, "budget": 50, "particles": 4, "children": 3, "candidates": 6}
    return replace(found, **{found.size_parameter: small[found.size_parameter]}) if sized(found) else found


def sized(search):
    return SearchTraits.of(search).size_parameter is not None


def samplers(search):
    return [Euler()] if "stochastic" in SearchTraits.of(search).requires else [Euler(), Heun()]


def same(one, other):
    """Whether two runs proposed the same and were told the same, scored or not."""
    return len(one.proposals) == len(other.proposals) and all(
        (p.score, p.gradient) == (q.score, q.gradient)
        and equal(p.parents, q.parents)
        and torch.equal(p.x, q.x)
        and torch.equal(p.times, q.times)
        and unchanged(a, b)
        for p, q, a, b in zip(one.proposals, other.proposals, one.answers, other.answers, strict=True)
    )


def unchanged(one, other):
    """Whether two answers are one, a score that was not asked for (NaN) too."""
    return all(equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))


def equal(one, other):
    return one is other or (one is not None and other is not None and torch.equal(told(one), told(other)))


def told(tensor):
    return tensor.nan_to_num(nan=-1e30) if tensor.is_floating_point() else tensor


def test_runs_that_differ_where_nothing_is_scored_are_not_the_same():
    space = space_of(model(), nfe=10)

    def stops(shift):
        def search(space):
            x = space.start(space.draw("candidate", 0))
            scored = yield Proposal(x + shift, space.times[:6], score=False)
            yield Proposal(torch.zeros_like(scored.x), space.times[5:])

        return search

    assert same(drive(stops(0.0), space), drive(stops(0.0), space))
    assert not same(drive(stops(0.0), space), drive(stops(0.1), space))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_proposals_are_well_formed(search, schedule):
    assert isinstance(search, Search)
    for sampler in samplers(search):
        run = drive(search, space_of(model(schedule), sampler=sampler, nfe=10), cap=200)
        assert run.proposals
        for proposal, first in zip(run.proposals, np.cumsum([0] + [len(p.x) for p in run.proposals]), strict=False):
            times = proposal.times
            assert times.dtype == torch.float64
            assert bool((times.diff() < 0).all())
            assert float(times[-1]) >= 0
            assert float(times[0]) <= 1
            assert proposal.x.dtype == torch.float32
            assert proposal.x.shape[1:] == (2,)
            assert bool(proposal.x.isfinite().all())
            assert proposal.x.device.type == "cpu"
            if proposal.parents is not None:
                assert proposal.parents.shape == (len(proposal.x),)
                assert 0 <= int(proposal.parents.min()) <= int(proposal.parents.max()) < first


def test_ends_with_a_scored_clean_candidate(search):
    run = drive(search, space_of(model(), nfe=10), cap=200)
    x, scores, _ = run.clean
    assert len(x) >= 1
    assert bool(scores.isfinite().all())


def test_the_same_run_twice_is_bit_equal(search):
    assert same(*(drive(search, space_of(model(), nfe=10), cap=200) for _ in range(2)))


def test_draws_are_keyed_by_seed_and_condition(search):
    space, first = space_of(model(), nfe=10), drive(search, space_of(model(), nfe=10), stop_after=1).proposals[0]
    for other in (replace(space, seed=1), replace(space, condition_key=Condition(class_label=3).key)):
        assert not torch.equal(drive(search, other, stop_after=1).proposals[0].x, first.x)


def test_the_first_noise_is_candidate_0(search):
    space = space_of(model(), nfe=10)
    first = drive(search, space, stop_after=1).proposals[0]
    assert float(first.times[0]) == 1
    assert torch.equal(first.x[0], space.start(space.draw("candidate", 0))[0])


def test_runs_side_by_side_do_not_disturb_each_other(search):
    alone = [drive(search, space_of(model(), nfe=10, seed=s), cap=200) for s in range(2)]
    generators = [search(space_of(model(), nfe=10, seed=s)) for s in range(2)]
    proposals = [next(g) for g in generators]
    for turn in range(max(len(run.proposals) for run in alone)):
        for s, generator in enumerate(generators):
            if turn < len(alone[s].proposals):
                assert torch.equal(proposals[s].x, alone[s].proposals[turn].x)
                proposals[s] = next(iter_send(generator, alone[s].answers[turn]), None)
    for generator in generators:
        generator.close()


def iter_send(generator, answer):
    try:
        yield generator.send(answer)
    except StopIteration:
        return


def test_the_global_random_states_are_untouched(search):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    drive(search, space_of(model(), nfe=10), cap=200)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_answers_are_not_written_to(search):
    assert untouched(drive(search, space_of(model(), nfe=10), cap=200))


def untouched(run):
    return all(unchanged(*pair) for pair in zip(run.answers, run.handed, strict=True))


@pytest.mark.parametrize("name", ["x", "x0", "scores", "ids"])
def test_a_write_to_an_answer_is_seen(name):
    def writes(space):
        scored = yield Proposal(space.start(space.draw("candidate", 0)), space.times)
        getattr(scored, name).add_(1)

    assert not untouched(drive(writes, space_of(model(), nfe=10)))


def test_closes_cleanly_at_any_ordinal(search):
    whole = drive(search, space_of(model(), nfe=10), cap=120)
    for ordinal in range(len(whole.proposals) + 1):
        generator = search(space_of(model(), nfe=10))
        proposal = next(generator) if ordinal else None
        for k in range(ordinal):
            assert torch.equal(proposal.x, whole.proposals[k].x)
            if k < ordinal - 1:
                proposal = generator.send(whole.answers[k])
        generator.close()


@pytest.mark.parametrize("cap", [1, 20, 47, 200])
def test_never_overspends_under_a_cap(search, cap):
    for sampler in samplers(search):
        run = drive(search, space_of(model(), nfe=10, sampler=sampler), cap=cap)
        assert run.calls == run.nfe <= cap
        assert run.nfe == sum(price(space_of(model(), nfe=10, sampler=sampler), p) * len(p.x) for p in run.proposals)


@pytest.mark.parametrize("nfe", [6, 10])
def test_the_predicted_cost_of_a_sized_search_is_what_is_counted(search, nfe):
    if not sized(search):
        assert not hasattr(search, "cost")
        return
    for sampler in samplers(search):
        space, costs = space_of(model(), sampler=sampler, nfe=nfe), []
        for size in (1, 2, 3, 7):
            tried = replace(search, **{search.size_parameter: size})
            run = drive(tried, space)
            assert run.ended
            assert tried.cost(space) == run.nfe == run.calls
            costs.append(run.nfe)
        assert costs == sorted(costs)


def test_reads_no_more_than_it_says(search):
    reads = SearchTraits.of(search).reads
    whole = drive(search, space_of(model(), nfe=10), cap=300)
    generator = search(space_of(model(), nfe=10))
    proposal = next(generator)
    for expected, answer in zip(whole.proposals, whole.answers, strict=True):
        assert torch.equal(proposal.x, expected.x)
        hidden = {name: None for name in ("x", "x0", "gradient") if name not in reads}
        try:
            told = replace(answer)
            for name, nothing in hidden.items():  # behind the shape checks, so that reading it fails
                object.__setattr__(told, name, nothing)
            proposal = generator.send(told)
        except StopIteration:
            break
    generator.close()


@pytest.mark.parametrize("name", ["random", "steps"])
def test_an_open_loop_search_needs_no_answers(name):
    search = built("search", name)
    assert search.open_loop
    told, untold = drive(search, space_of(model(), nfe=10), stop_after=5), search(space_of(model(), nfe=10))
    for proposal in told.proposals:
        assert torch.equal(next(untold).x, proposal.x)


def test_is_in_the_documentations_table(search):
    text = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
    name, kind = type(search).__module__.rpartition(".")[2], "sized" if sized(search) else "anytime"
    row = next(line.split("|") for line in text.splitlines() if line.startswith(f"| {name} |"))
    assert kind in row[4]
    assert ("open-loop" in row[4]) == SearchTraits.of(search).open_loop
    assert all(need in row[5] for need in SearchTraits.of(search).requires)
    assert f"`{SearchTraits.of(search).size_parameter}`" in row[6] or not sized(search)


def test_it_asks_for_gradients_exactly_where_it_requires_them(search):
    run = drive(search, space_of(model(), nfe=10), cap=200)
    assert any(p.gradient for p in run.proposals) == ("gradient" in SearchTraits.of(search).requires)


def test_it_steps_by_itself_exactly_where_it_requires_the_stochastic_sampler(search):
    run = drive(search, space_of(model(), nfe=10), cap=200)
    single = any(len(p.times) == 1 and float(p.times[0]) > 0 for p in run.proposals)
    assert single == ("stochastic" in SearchTraits.of(search).requires)


def test_only_their_order_matters_exactly_where_calibrated_scores_are_not_required(search):
    requires = SearchTraits.of(search).requires
    if "gradient" in requires:
        return
    runs = [drive(search, space_of(model(), nfe=10), score=score, cap=400) for score in (target, increasing)]
    proposed = [[proposal.x for proposal in run.proposals] for run in runs]
    alike = len(proposed[0]) == len(proposed[1]) and all(map(torch.equal, *proposed))
    assert alike == ("calibrated" not in requires)


def increasing(x0):
    """Another scale of the same order."""
    return target(x0) / 64  # a power of two: no two scores become one by rounding
