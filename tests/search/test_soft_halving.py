from itertools import pairwise

import pytest
import torch
from driver import drive, model, space_of

from scaling.search.halving import Halving
from scaling.search.random import Random
from scaling.search.soft_halving import SoftHalving


@pytest.mark.parametrize(
    ("candidates", "rungs", "rows"),
    [(8, (0.7, 0.5, 0.3, 0.1), [8, 4, 2, 1, 1]), (5, (0.5,), [5, 1]), (9, (0.75, 0.7, 0.01), [9, 5, 1])],
)
def test_one_is_finished_and_rows_cost_the_steps_they_make(candidates, rungs, rows):
    search, space = SoftHalving(candidates=candidates, rungs=rungs, keep=0.5), space_of(model())
    run = drive(search, space)
    judged = [len(p.x) for p in run.proposals if p.score]
    assert run.ended
    assert judged == [*rows[: len(judged) - 1], 1]
    assert search.cost(space) == run.nfe == run.calls


def test_one_candidate_is_random_searchs():
    space = space_of(model())
    run = drive(SoftHalving(candidates=1), space)
    torch.testing.assert_close(run.clean[0], drive(Random(), space, stop_after=1).clean[0], atol=1e-6, rtol=0)


def test_at_temperature_0_those_go_on_whose_worst_score_is_best():
    run = drive(SoftHalving(candidates=8, rungs=(0.6, 0.4, 0.2), temperature=0.0), space_of(model()))
    worst = {}
    judged = [(p, a) for p, a in zip(run.proposals, run.answers, strict=True) if p.score]
    lines = {int(k): int(k) for k in judged[0][1].ids}  # an id's first noise
    for number, (proposal, answer) in enumerate(zip(run.proposals, run.answers, strict=True)):
        if number and proposal.parents is not None:
            lines |= {int(k): lines[int(p)] for k, p in zip(answer.ids, proposal.parents, strict=True)}
        elif number == 0:
            lines = {int(k): int(k) for k in answer.ids}
    for (_, answer), (_, after) in pairwise(judged):
        for k, score in zip(answer.ids.tolist(), answer.scores.tolist(), strict=True):
            worst[lines[k]] = min(score, worst.get(lines[k], float("inf")))
        alive = [lines[k] for k in answer.ids.tolist()]
        best = sorted(alive, key=lambda line: -worst[line])[: len(after.ids)]
        assert sorted(lines[k] for k in after.ids.tolist()) == sorted(best)


def test_a_high_temperature_prunes_by_chance_and_the_last_rung_by_score():
    """Hot rungs keep each of two candidates half of the time; the last rung takes the better one always."""
    kept = []
    for seed in range(200):
        run = drive(
            SoftHalving(candidates=2, rungs=(0.5, 0.4), keep=0.5, temperature=1e6), space_of(model(), seed=seed)
        )
        first = next(a for p, a in zip(run.proposals, run.answers, strict=True) if p.score)
        after = run.proposals[2].parents
        kept.append(int(after[0]) == int(first.ids[first.scores.argmax()]))
    assert 70 < sum(kept) < 130


def test_without_pressure_it_is_halving_that_reuses():
    """One rung and no temperature: the best there is finished, as halving does."""
    space = space_of(model())
    ours = drive(SoftHalving(candidates=6, rungs=(0.5,), temperature=0.0), space)
    theirs = drive(Halving(candidates=6, rungs=(0.5,), keep=0.1, reuse=True), space)
    assert torch.equal(ours.clean[0], theirs.clean[0])


@pytest.mark.parametrize("wrong", [{"candidates": 0}, {"keep": 0.0}, {"rungs": ()}, {"temperature": -1.0}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        SoftHalving(**wrong)
