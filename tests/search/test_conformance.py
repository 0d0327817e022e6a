"""What every search in conf/search must do, whatever its method."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from configs import built, options
from driver import COARSE, drive, model, price, space_of

from scaling.protocols import Condition, Search, SearchTraits
from scaling.sampling import Euler, Heun
from scaling.schedules import Flow

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
    return len(one.proposals) == len(other.proposals) and all(
        torch.equal(p.x, q.x) and torch.equal(p.times, q.times) and torch.equal(a.scores, b.scores) if p.score else True
        for p, q, a, b in zip(one.proposals, other.proposals, one.answers, other.answers, strict=True)
    )


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
    run = drive(search, space_of(model(), nfe=10), cap=200)
    again = drive(search, space_of(model(), nfe=10), cap=200)
    for a, b in zip(run.answers, again.answers, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.x0, b.x0)
        assert torch.equal(a.ids, b.ids)


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
            proposal = generator.send(replace(answer, **hidden))
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
