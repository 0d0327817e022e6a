"""Final samples of winners, each solved once and kept in the journal like any other answer, and what metrics read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from scaling.budget import Cost
from scaling.engine.block_run import BlockRun
from scaling.engine.ladder import solves_again
from scaling.engine.loop import write_answers
from scaling.engine.requests import Answers, Columns, GroupKey, Request
from scaling.journal.block import Keys


@dataclass(frozen=True)
class FinalSamples:
    """The samples of some winners, each array [n] or [n, ...] in the order of `keys`."""

    keys: Keys  # condition and candidate
    nfe: np.ndarray  # of a winner's second solve; 0 where the search's own sample is final
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
    reuses = not solves_again(run.traits, run.spaces[0].nfes_per_iter, final_nfe)
    prefix = "" if reuses else f"final{final_nfe}/"
    cost = _solve_missing(run, keys, prefix, final_nfe)
    cost += _score_missing(run, keys, prefix)
    features, features_cost = _features(run, keys, prefix)
    scores = {name: run.table.get(prefix + column, keys) for name, column in run.batches.score_columns.items()}
    nfe = run.table.get(prefix + "nfe", keys) if prefix else np.zeros(len(keys), np.int64)
    return FinalSamples(keys, nfe, scores, features, prefix + "latents", cost + features_cost)


def images(run: BlockRun, keys: Keys, column: str) -> Answers:
    """The samples of some candidates as images, the column `images`: [n, 3, h, w] in [0, 1]."""
    return run.batches.images(run.table.get(column, keys), keys, run.encoded)


def rung_costs(search: list[Cost], final_nfe: np.ndarray, forwards_per_call: int) -> list[Cost]:
    """What a rung costs alone, condition by condition: its search and its winner's final solve and decode."""
    return [
        cost + Cost(nfe=int(nfe), forwards=int(nfe) * forwards_per_call, decodes=int(nfe > 0))
        for cost, nfe in zip(search, final_nfe, strict=True)
    ]


def _solve_missing(run: BlockRun, keys: Keys, prefix: str, final_nfe: int) -> Cost:
    """Solves winners whose latents were not kept, and all winners again where the final solve differs."""
    cost, size = Cost(), run.batches.batch_size
    groups: dict[GroupKey, list[Request]] = {}
    for request in run.replay(keys[~_solved(run, keys, prefix)]):
        final = _final_request(run, request, final_nfe) if prefix else request
        groups.setdefault(final.group_key, []).append(final)
    for group in groups.values():
        for start in range(0, len(group), size):
            requests = group[start : start + size]
            answers = run.batches.solve(requests, run.encoded)
            _write(run, requests, answers, prefix)
            cost += answers.cost
    return cost


def _solved(run: BlockRun, keys: Keys, prefix: str) -> np.ndarray:
    """Which winners the journal has all of, [n] bool: for a scorer that looks at a probe also that, or its score."""
    table, batches = run.table, run.batches
    solved = table.has(prefix + "latents", keys)
    if prefix:
        solved &= table.has(prefix + "nfe", keys)
    for name, verifier in batches.scorers.items():
        if verifier.probe_sigma is not None:
            probed = table.has(prefix + batches.probe_column, keys)
            solved &= probed | table.has(prefix + batches.score_columns[name], keys)
    return solved


def _final_request(run: BlockRun, request: Request, final_nfe: int) -> Request:
    """A winner's second solve; a leg of the search gets its share of the final NFE."""
    space = run.spaces[request.condition_index]
    start, stop = float(request.times[0]), float(request.times[-1])
    share = space.nfe(request.times) / space.nfes_per_iter
    evaluations = space.sampler.nfe(torch.zeros(2))  # of one step that ends clean
    steps = max(round(final_nfe * share / evaluations), 1)
    times = space.schedule.grid(steps, start, stop)
    return Request(request.condition_index, request.candidate_id, request.x, times)


def _write(run: BlockRun, requests: list[Request], answers: Answers, prefix: str) -> None:
    batches = run.batches
    keys = np.array([[request.condition_index, request.candidate_id] for request in requests])
    samples = {prefix + "latents": answers["x"]}
    if "probe" in answers and run.traits.open_loop:
        samples[prefix + batches.probe_column] = answers["probe"]
    write_answers(run, keys, samples, answers)
    if prefix:  # else the journal has the scores of the search, and its charges
        scores = {prefix + column: answers[column] for column in batches.score_columns.values()}
        nfe = [run.spaces[request.condition_index].nfe(request.times) for request in requests]
        run.table.write(keys, {**scores, prefix + "nfe": np.array(nfe, np.int64)})


def _score_missing(run: BlockRun, keys: Keys, prefix: str) -> Cost:
    table, batches, cost = run.table, run.batches, Cost()
    for name, column in batches.score_columns.items():
        missing = keys[~table.has(prefix + column, keys)]
        probed = batches.scorers[name].probe_sigma is not None
        for start in range(0, len(missing), batches.batch_size):
            part = missing[start : start + batches.batch_size]
            probes = table.get(prefix + batches.probe_column, part) if probed else None
            answers = batches.rescore(table.get(prefix + "latents", part), part, run.encoded, [name], probes)
            write_answers(run, part, {prefix + column: answers[column]}, answers)
            cost += answers.cost
    return cost


def _features(run: BlockRun, keys: Keys, prefix: str) -> tuple[Columns, Cost]:
    """Every extractor's outputs, computed once each and named by the extractors' identities."""
    table, batches, cost = run.table, run.batches, Cost()
    if not batches.extractors:
        return {}, cost
    tag = prefix + batches.features_tag
    missing = keys[~table.has(tag, keys)]
    for start in range(0, len(missing), batches.batch_size):
        part = missing[start : start + batches.batch_size]
        answers = batches.features(table.get(prefix + "latents", part), part, run.encoded)
        columns = {tag + name: value for name, value in answers.columns.items()}
        write_answers(run, part, {**columns, tag: np.ones(len(part), np.uint8)}, answers)
        cost += answers.cost
    names = [name for name in table.columns if name.startswith(tag) and name != tag]
    return {name.removeprefix(tag): table.get(name, keys) for name in names}, cost
