"""Tree search: shared beginnings are paid once, values are backed up."""

from __future__ import annotations

import pytest
import torch
from driver import drive, model, space_of

from scaling.search.dts import Dts
from scaling.search.random import Random


@pytest.mark.parametrize("select", ["softmax", "ucb"])
def test_a_rollout_pays_only_for_what_it_does_not_share(select: str) -> None:
    run = drive(Dts(select=select), space_of(model(), nfe=6), cap=200)
    depth = {-1: 0}  # how many states lie above each
    for proposal, answer in zip(run.proposals, run.answers, strict=True):
        parent = -1 if proposal.parents is None else int(proposal.parents[0])
        depth[int(answer.ids[0])] = depth[parent] + 1
        assert float(proposal.times[0]) == float(space_of(model(), nfe=6).times[depth[parent]])
    ends = [int(a.ids[0]) for p, a in zip(run.proposals, run.answers, strict=True) if float(p.times[-1]) == 0]
    assert {depth[end] for end in ends} == {6}
    assert run.nfe == run.calls == len(run.proposals) < 6 * len(ends)


def test_the_first_rollout_is_the_stochastic_sampler_and_the_second_a_fresh_noise() -> None:
    space = space_of(model(), nfe=5)
    run = drive(Dts(), space, stop_after=6)
    starts = [p.x for p in run.proposals if float(p.times[0]) == 1]
    assert torch.equal(torch.cat(starts), space.start(space.draw("candidate", range(2))))
    x, x0 = run.proposals[0].x, run.answers[0].x0
    t, s = (float(time) for time in space.times[:2])
    assert torch.equal(run.proposals[1].x, space.step(x, x0, t, s, space.draw("rollout 0", 1)))


@pytest.mark.parametrize("select", ["softmax", "ucb"])
def test_rollouts_are_better_than_independent_ones(select: str) -> None:
    means = []
    for search in (Dts(select=select, lambda_=1.0), Random()):
        runs = [drive(search, space_of(model(), nfe=6, seed=seed), cap=300) for seed in range(8)]
        means.append(float(torch.cat([run.clean[1] for run in runs]).mean()))
    assert means[0] > 0.8 * means[1], "scores are negative: a fifth of the distance is gained at least"


@pytest.mark.parametrize("wrong", [{"select": "max"}, {"lambda_": 0}, {"width": 0}, {"growth": 0}, {"explore": -1}])
def test_mistakes_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Dts(**wrong)  # type: ignore[arg-type]
