"""What decides the results of a study, by part: it names streams of answers, and tells whose results a folder holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scaling.engine.ladder import FittedSearch, begins_at_noise, rungs_of, solves_again
from scaling.identity import digest_of, identity_of, judge_identity
from scaling.protocols import Search
from scaling.runner.study import Study
from scaling.sampling import Sampler
from scaling.schedules import VariancePreserving
from scaling.source import is_ours
from scaling.traits import SearchTraits

UNMEASURED = 0  # stands for a batch size that is not measured yet, which is one for all runs of a model


def stream_identity(study: Study, search: Search, batch_size: int) -> dict[str, Any]:
    """All that decides the answers of a search process; the budget is not in it."""
    schedule = study.searcher.schedule
    guides = {} if SearchTraits.of(search).open_loop else {"verifier": judge_identity(study.verifier, study.metadata)}
    return {
        "denoiser": identity_of(study.searcher),
        "sampler": _by_class(study.sampler),
        "schedule": repr(schedule)[:2000] if is_ours(type(schedule)) else identity_of(schedule),
        **_beyond(schedule),
        "nfes_per_iter": study.budget.nfes_per_iter,
        "search": identity_of(search),
        "conditions": identity_of(study.conditions),
        "seed": study.seed,
        "batch_size": batch_size,
        "block_size": study.block_size,
        **guides,
    }


def run_identities(
    study: Study, streams: Iterable[tuple[FittedSearch, Mapping[str, Any]]], judges: bool = True
) -> dict[str, Any]:
    """All that decides the results of a run whose searches have these identities; without `judges`, its samples."""
    selector, streams = study.selector, list(streams)
    bought = [rung.nfe for rung in rungs_of([fitted for fitted, _ in streams])]  # of a ladder in GFLOPs or seconds
    identities = {
        "streams": {str(fitted.nfe): identity for fitted, identity in streams},
        "verifiers": {name: judge_identity(verifier, study.metadata) for name, verifier in study.scored.items()},
        "extractors": {n: judge_identity(extractor, study.metadata) for n, extractor in study.extractors.items()},
        "selector": repr(selector).replace(" feature=", " reads=") if _speaks(selector) else identity_of(selector),
        "metrics": sorted([*study.metrics, *study.per_sample]),
        "rungs": list(study.budget.rungs) if study.budget.unit in ("nfe", "candidates") else bought,
        "final_nfe": study.budget.final,
        "conditions": len(study.conditions),
        **_own_start(study),
        **second_solve(study),
    }
    return {**identities, "judges": _judges(study)} if judges else identities


def second_solve(study: Study) -> dict[str, Any]:
    """What decides the final samples where they are not the search's network's from their noises; else nothing."""
    said: dict[str, Any] = {}
    if study.draft is not None:
        said["final_denoiser"] = identity_of(study.denoiser)
    if study.budget.final_from is not None:
        said["final_from"] = study.budget.final_from
    return said


def _own_start(study: Study) -> dict[str, Any]:
    """Said where final solves begin at another time than the search's; they began at its time once."""
    if not solves_again(SearchTraits.of(study.search), study.budget.nfes_per_iter, study.budget.final):
        return {}
    space = study.space(next(iter(study.conditions)))
    return {} if begins_at_noise(space) else {"final_grid": "own"}


def _judges(study: Study) -> dict[str, Any]:
    """What decides what metrics and selector make of the samples."""
    judges: dict[str, Any] = {**study.metrics, **study.per_sample}
    if study.selector is not None:
        judges["selector"] = study.selector
    return {name: identity_of(judge) for name, judge in judges.items()}


def _speaks(selector: Any) -> bool:
    """Whether a selector's repr says what it is, not where it lies in memory."""
    return selector is None or (is_ours(type(selector)) and type(selector).__repr__ is not object.__repr__)


def _by_class(sampler: Sampler) -> Any:
    """One of ours without parameters by its class alone, as streams have always been called."""
    identity = identity_of(sampler)
    return type(sampler).__name__ if is_ours(type(sampler)) and set(identity) == {"name"} else identity


def _beyond(schedule: Any) -> dict[str, str]:
    """What a cut description of a schedule leaves out, where that is not DDPM's own."""
    cut = is_ours(type(schedule)) and len(repr(schedule)) > 2000 and schedule != VariancePreserving.linear_betas()
    return {"whole_schedule": digest_of(schedule)} if cut else {}
