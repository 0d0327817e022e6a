"""Final samples of winners, each solved once and kept in the journal like any other answer, and what metrics read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from scaling.budget import Cost
from scaling.engine.block_run import BlockRun
from scaling.engine.ladder import begins_at_noise, solves_again
from scaling.engine.loop import write_answers
from scaling.engine.requests import Answers, Columns, GroupKey, Request
from scaling.journal.block import Keys


@dataclass(frozen=True)
class FinalSamples:
    """The samples of some winners, each array [n] or [n, ...] in the order of `keys`."""

    keys: Keys  # condition and candidate
    nfe: np.ndarray  # of a winner's second solve; 0 where the search's own sample is final
    draft_nfe: np.ndarray  # of these, by the search's network, up to the state that is gone on from
    scores: Columns  # by the scorer's name
    features: Columns  # by "<extractor>.<output>"
    latents_column: str  # where the journal keeps them: they may be many
    cost: Cost  # of what was not there before

    def slots(self, keys: Keys) -> np.ndarray:
        """Where some winners stand among these, int64 [len(keys)]."""
        slot_of = {(int(condition), int(candidate)): slot for slot, (condition, candidate) in enumerate(self.keys)}
        return np.array([slot_of[int(condition), int(candidate)] for condition, candidate in keys], np.int64)


def final_samples(run: BlockRun, keys: Keys, final_nfe: int) -> FinalSamples:
    """Computes what the journal lacks of some winners, and reads the rest."""
    reuses = run.second is None and not solves_again(run.traits, run.spaces[0].nfes_per_iter, final_nfe)
    own = "" if begins_at_noise(run.spaces[0]) else "-own"  # without it lie solves that began where drafts begin
    prefix = "" if reuses else f"final{final_nfe}{own}{run.final.name}/"
    cost = _solve_missing(run, keys, prefix, final_nfe)
    cost += _score_missing(run, keys, prefix)
    features, features_cost = _features(run, keys, prefix)
    scores = {name: run.table.get(prefix + column, keys) for name, column in run.final.batches.score_columns.items()}
    none = np.zeros(len(keys), np.int64)
    nfe = run.table.get(prefix + "nfe", keys) if prefix else none
    draft_nfe = run.table.get(prefix + "draft_nfe", keys) if run.final.start is not None else none
    return FinalSamples(keys, nfe, draft_nfe, scores, features, prefix + "latents", cost + features_cost)


def images(run: BlockRun, keys: Keys, column: str) -> Answers:
    """The samples of some candidates as images, the column `images`: [n, 3, h, w] in [0, 1]."""
    return run.final.batches.images(run.table.get(column, keys), keys, run.final.encoded)


def rung_costs(run: BlockRun, search: list[Cost], final_nfe: np.ndarray, draft_nfe: np.ndarray) -> list[Cost]:
    """What a rung costs alone, condition by condition: its search and its winner's final solve and decode.

    A winner that a judge of latents found is decoded once, whether or not it is solved again.
    """
    per_call = run.batches.denoiser.forwards_per_call
    undecoded = run.batches.traits[run.guide].images == 0
    final_per_call = run.final.batches.denoiser.forwards_per_call
    return [
        cost
        + Cost(nfe=nfe, forwards=(nfe - draft) * final_per_call + draft * per_call, decodes=int(nfe > 0 or undecoded))
        for cost, nfe, draft in zip(search, final_nfe.tolist(), draft_nfe.tolist(), strict=True)
    ]


def _solve_missing(run: BlockRun, keys: Keys, prefix: str, final_nfe: int) -> Cost:
    """Solves winners whose latents were not kept, and all winners again where the final solve differs."""
    cost, solver = Cost(), run.final
    replayed = run.replay(keys[~_solved(run, keys, prefix)])
    drafts = {(each.condition_index, each.candidate_id): 0 for each in replayed}  # NFE that lead to the first state
    if prefix:
        if solver.start is not None:
            states, cost = _drafted(run, replayed, solver.start)
            drafts = {(each.condition_index, each.candidate_id): nfe for each, nfe in states}
            replayed = [each for each, _ in states]
        replayed = [_final_request(run, request, final_nfe) for request in replayed]
    for requests in _in_groups(replayed, solver.batches.batch_size):
        answers = solver.batches.solve(requests, solver.encoded)
        _write(run, requests, answers, prefix, [drafts[each.condition_index, each.candidate_id] for each in requests])
        cost += answers.cost
    return cost


def _in_groups(requests: Iterable[Request], size: int) -> Iterator[list[Request]]:
    """Requests that may share a batch, at most `size` at a time."""
    groups: dict[GroupKey, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.group_key, []).append(request)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _drafted(run: BlockRun, requests: Sequence[Request], start: float) -> tuple[list[tuple[Request, int]], Cost]:
    """The rest of each draft from the state at the last of its times that is not under `start`, and the NFE up to it.

    The states are not kept while the search runs: they are solved again by its own network.
    """
    rest: list[tuple[Request, int]] = []
    begun, cost = [], Cost()
    for request in requests:
        place = int((request.times >= start).sum()) - 1
        if place < 1:  # it begins there, or under it
            rest.append((request, 0))
        else:
            begun.append(dataclasses.replace(request, times=request.times[: place + 1], score=False))
    ends = {(each.condition_index, each.candidate_id): each for each in requests}
    for group in _in_groups(begun, run.batches.batch_size):
        answers = run.batches.solve(group, run.encoded)
        cost += answers.cost
        for request, x in zip(group, answers["x"], strict=True):
            whole = ends[request.condition_index, request.candidate_id]
            times = whole.times[len(request.times) - 1 :]
            nfe = run.spaces[request.condition_index].nfe(request.times, score=False)
            rest.append((dataclasses.replace(whole, x=torch.from_numpy(x), times=times), nfe))
    return rest, cost


def _solved(run: BlockRun, keys: Keys, prefix: str) -> np.ndarray:
    """Which winners the journal has all of, [n] bool: for a scorer that looks at a probe also that, or its score."""
    table, batches = run.table, run.final.batches
    solved = table.has(prefix + "latents", keys)
    if prefix:
        solved &= table.has(prefix + "nfe", keys)
    for name, verifier in batches.scorers.items():
        if verifier.probe_sigma is not None:
            probed = table.has(prefix + batches.probe_column, keys)
            solved &= probed | table.has(prefix + batches.score_columns[name], keys)
    return solved


def _final_request(run: BlockRun, request: Request, final_nfe: int) -> Request:
    """A winner's second solve; a leg of the search gets its share of the final NFE.

    A whole solve is cut as the schedule cuts one, wherever it begins: its first time depends on its steps.
    """
    space = run.spaces[request.condition_index]
    whole = torch.equal(request.times, space.times)
    start, stop = (1.0, 0.0) if whole else (float(request.times[0]), float(request.times[-1]))
    share = space.nfe(request.times) / space.nfes_per_iter
    evaluations = space.sampler.nfe(torch.tensor([1.0, 0.0]))  # of one step that ends clean
    steps = max(round(final_nfe * share / evaluations), 1)
    times = run.final.batches.denoiser.schedule.grid(steps, start, stop)
    return Request(request.condition_index, request.candidate_id, request.x, times)


def _write(run: BlockRun, requests: list[Request], answers: Answers, prefix: str, drafts: Sequence[int]) -> None:
    """Journals final samples; `drafts` are the NFE that led to what they began with."""
    batches = run.final.batches
    keys = np.array([[request.condition_index, request.candidate_id] for request in requests])
    samples = {prefix + "latents": answers["x"]}
    if "probe" in answers and run.traits.open_loop:
        samples[prefix + batches.probe_column] = answers["probe"]
    write_answers(run, keys, samples, answers)
    if prefix:  # else the journal has the scores of the search, and its charges
        scores = {prefix + column: answers[column] for column in batches.score_columns.values()}
        nfe = [run.spaces[request.condition_index].nfe(request.times) for request in requests]
        spent = {prefix + "nfe": np.array(nfe, np.int64) + np.array(drafts, np.int64)}
        if run.final.start is not None:
            spent[prefix + "draft_nfe"] = np.array(drafts, np.int64)
        run.table.write(keys, {**scores, **spent})


def _score_missing(run: BlockRun, keys: Keys, prefix: str) -> Cost:
    table, batches, cost = run.table, run.final.batches, Cost()
    for name, column in batches.score_columns.items():
        missing = keys[~table.has(prefix + column, keys)]
        probed = batches.scorers[name].probe_sigma is not None
        for start in range(0, len(missing), batches.batch_size):
            part = missing[start : start + batches.batch_size]
            probes = table.get(prefix + batches.probe_column, part) if probed else None
            answers = batches.rescore(table.get(prefix + "latents", part), part, run.final.encoded, name, probes)
            write_answers(run, part, {prefix + column: answers[column]}, answers)
            cost += answers.cost
    return cost


def _features(run: BlockRun, keys: Keys, prefix: str) -> tuple[Columns, Cost]:
    """Every extractor's outputs, computed once each and named by the extractors' identities."""
    table, batches, cost = run.table, run.final.batches, Cost()
    if not batches.extractors:
        return {}, cost
    tag = prefix + batches.features_tag
    missing = keys[~table.has(tag, keys)]
    for start in range(0, len(missing), batches.batch_size):
        part = missing[start : start + batches.batch_size]
        answers = batches.features(table.get(prefix + "latents", part), part, run.final.encoded)
        columns = {tag + name: value for name, value in answers.columns.items()}
        write_answers(run, part, {**columns, tag: np.ones(len(part), np.uint8)}, answers)
        cost += answers.cost
    names = [name for name in table.columns if name.startswith(tag) and name != tag]
    return {name.removeprefix(tag): table.get(name, keys) for name in names}, cost
