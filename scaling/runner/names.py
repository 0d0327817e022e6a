"""Names of judges and metrics: one name is one column of the tables, and the answers of one part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.identity import digest_of
from scaling.protocols import Features, Metric, PerSample, Verifier
from scaling.schema import COSTS, SEARCH, Winner, names

RESERVED = frozenset({*names(Winner), *COSTS})


def check_scorers(guide: str, verifier: Verifier, scorers: Mapping[str, Verifier]) -> None:
    """A ValueError where another judge than the guide has the guide's name, under which one of them would be lost."""
    if guide in scorers and not _same(verifier, scorers[guide]):
        raise ValueError(
            f"scorers.{guide} has the name of verifier={guide} and is another judge: it needs a name of its own, e.g. "
            f"scorers.{guide}_2"
        )


def check_metrics(
    scored: Mapping[str, Verifier],
    metrics: Mapping[str, Metric],
    per_sample: Mapping[str, PerSample],
    extractors: Mapping[str, Features],
) -> None:
    """A ValueError where a name is that of two parts, or that of a column that every table has.

    A judge that guides or scores and is asked of the winners as a metric, too, is one part.
    """
    for name in (*scored, *per_sample, *metrics):
        if name in RESERVED or name.startswith(SEARCH):
            part = _called(name, scored, per_sample)
            other = f"{name.removeprefix(SEARCH)}_score"
            raise ValueError(f"{part} has the name of a column of all tables: call it otherwise, e.g. {other}")
    for name in metrics:
        if name in scored or name in per_sample:
            raise ValueError(
                f"{_called(name, scored, per_sample)} and metrics.set.{name} have one name: {_advice(name)}"
            )
    for name, metric in per_sample.items():
        if name in scored and not _asks(metric, extractors, scored[name]):
            raise ValueError(f"the judge {name} and metrics.per_sample.{name} have one name: {_advice(name)}")


def _asks(metric: PerSample | None, extractors: Mapping[str, Features], judge: Verifier) -> bool:
    """Whether a metric is a judge's scores; taken to be so of a part that is known by its name alone."""
    extractor = None if metric is None else extractors.get(getattr(metric, "feature", "").partition(".")[0])
    if extractor is None:
        return True
    return any(_same(judge, held) for held in getattr(extractor, "__dict__", {}).values() if callable(held))


def _same(one: Any, other: Any) -> bool:
    """Whether two judges are one, or give the same answers."""
    try:
        return one is other or digest_of(one) == digest_of(other)
    except ValueError:  # without a stable name
        return False


def _called(name: str, scored: Mapping[str, Any], per_sample: Mapping[str, Any]) -> str:
    if name in scored:
        return f"the judge {name}"
    return f"metrics.{'per_sample' if name in per_sample else 'set'}.{name}"


def _advice(name: str) -> str:
    return f"rename one, e.g. to {name}_2"
