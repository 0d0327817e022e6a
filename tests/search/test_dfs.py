import pytest
import torch
from driver import drive, model, space_of

from scaling.search.dfs import Dfs


def descents(run):
    """The steps of each descent, as indices of a grid of ten."""
    walks, walk = [], []
    for proposal in run.proposals:
        walk.append(round(10 * (1 - float(proposal.times[0]))))
        if float(proposal.times[-1]) == 0:
            walks.append(walk)
            walk = []
    return walks


def test_without_backtracks_it_is_one_stochastic_sample_after_the_other():
    space = space_of(model(), nfe=10)
    run = drive(Dfs(backtracks=0, threshold=1.0), space, cap=30)
    assert descents(run) == [list(range(10))] * 3
    for k, proposal in enumerate(run.proposals[::10]):
        assert torch.equal(proposal.x, space.start(space.draw("candidate", k)))


def test_goes_back_while_backtracks_are_left():
    run = drive(Dfs(backtracks=2, threshold=1.0, depth=0.3, start=0.4, every=0.2), space_of(model(), nfe=10), cap=18)
    assert descents(run) == [[0, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    assert run.nfe == run.calls == 10 + 2 * 4


def test_a_backtrack_to_the_top_starts_a_fresh_noise():
    run = drive(Dfs(backtracks=1, threshold=1.0, depth=1.0), space_of(model(), nfe=10), cap=15)
    assert descents(run) == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    assert not torch.equal(run.proposals[0].x, run.proposals[5].x)


def test_when_backtracks_run_out_it_goes_on_from_the_best_seen_there():
    run = drive(Dfs(backtracks=3, threshold=1.0, start=0.4, every=0.5), space_of(model(), nfe=10), cap=40)
    looks = [i for i, p in enumerate(run.proposals) if float(p.times[0]) == pytest.approx(0.6) and p.score][:4]
    best = max(looks, key=lambda i: float(run.answers[i].scores[0]))
    assert run.proposals[looks[-1] + 1].parents.tolist() == run.answers[best].ids.tolist()


def test_a_prediction_over_the_threshold_is_never_taken_back():
    run = drive(Dfs(backtracks=3, threshold=-1e9), space_of(model(), nfe=10), cap=30)
    assert descents(run) == [list(range(10))] * 3


def test_without_a_threshold_it_asks_for_the_median_of_what_it_saw():
    run = drive(Dfs(backtracks=1, start=0.4, every=0.5), space_of(model(), nfe=10), cap=200)
    walks, seen, looks = descents(run), [], iter(a for p, a in zip(run.proposals, run.answers, strict=True) if p.score)
    for walk in walks:
        score = float(next(looks).scores[0])
        falls_short = bool(seen) and score < float(torch.tensor(seen).median())
        seen.append(score)
        assert (len(walk) > 10) == falls_short
        if falls_short:
            seen.append(float(next(looks).scores[0]))
        for _ in range(sum(step == 9 for step in walk)):
            next(looks)
    assert {len(walk) > 10 for walk in walks} == {True, False}


@pytest.mark.parametrize("wrong", [{"backtracks": -1}, {"depth": 0}, {"every": 0}, {"start": 3}, {"eta": 2}])
def test_mistakes_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Dfs(**wrong)
