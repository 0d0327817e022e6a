"""The files of a run's folder, and every column of its tables with type, unit and meaning.

Writers, readers, the publisher and docs/run_folder.md take the names from here: `python -m scaling.schema` prints that
page. A name means one thing in every table: `<metric>` is what a final sample is worth, `search/<verifier>` a score
that was given during the search.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

SEARCH = "search/"  # before the name of a score that was given during the search


class About(NamedTuple):
    """What a column holds; `role` is "label" for what names a run and "cost" for what a rung costs."""

    unit: str
    meaning: str
    role: str = ""
    former: str = ""  # the column's name in folders that were written before it had this one
    later: bool = False  # whether folders were written before there was such a column: it is NaN there


@dataclass(frozen=True)
class Point:
    """A metric at a rung. Costs are means per condition, of what this rung would cost alone."""

    model: Annotated[str, About("", "what the configuration chose, or the class that it named instead", "label")]
    verifier: Annotated[str, About("", "what guided the search, or picked the winners afterwards", "label")]
    search: Annotated[str, About("", "the search method", "label")]
    guidance_scale: Annotated[float, About("", "of classifier-free guidance; 1 is none", "label")]
    seed: Annotated[int, About("", "of all noises", "label")]
    rung: Annotated[int, About("", "place in the ladder of budgets, 0 the smallest that the search can use")]
    budget_nfe: Annotated[int, About("NFE", "what the search may spend on a condition at this rung")]
    candidates: Annotated[float, About("samples", "finished, scored candidates of a condition", "cost")]
    search_nfe: Annotated[float, About("NFE", "denoiser evaluations of the search; guidance counts once", "cost")]
    final_nfe: Annotated[float, About("NFE", "of the winner's second solve; 0 where there is none", "cost")]
    nfe: Annotated[float, About("NFE", "search_nfe and final_nfe together", "cost")]
    forwards: Annotated[float, About("passes", "forward passes of the network; guidance takes two each", "cost")]
    backwards: Annotated[float, About("passes", "backward passes of the network", "cost")]
    decodes: Annotated[float, About("images", "latents decoded to be scored or shown", "cost")]
    verifier_calls: Annotated[float, About("images", "images that the guiding verifier scored", "cost")]
    gflops: Annotated[float, About("GFLOPs", "of the forward passes; a multiply-add counts 2", "cost")]
    decode_gflops: Annotated[float, About("GFLOPs", "of decoding", "cost", later=True)]
    verify_gflops: Annotated[float, About("GFLOPs", "of the guiding verifier's networks", "cost", later=True)]
    encode_gflops: Annotated[float, About("GFLOPs", "of encoding the condition, once", "cost", later=True)]
    total_gflops: Annotated[float, About("GFLOPs", "of all that; a backward pass counts as 2", "cost", later=True)]
    metric: Annotated[str, About("", "what was measured of the winners' final samples")]
    value: Annotated[float, About("the metric's", "the metric over the conditions")]
    ci_low: Annotated[float, About("the metric's", "lower end of its 95 % interval, within its range; or empty")]
    ci_high: Annotated[float, About("the metric's", "upper end of its 95 % interval, within its range; or empty")]
    conditions: Annotated[int, About("conditions", "to which the metric applies")]


@dataclass(frozen=True)
class Winner:
    """The winner of a condition at a rung."""

    rung: Annotated[int, About("", "place in the ladder of budgets, 0 the smallest that the search can use")]
    budget_nfe: Annotated[int, About("NFE", "what the search may spend on a condition at this rung", former="nfe")]
    condition: Annotated[int, About("", "place of the condition in the study")]
    class_label: Annotated[int | None, About("", "the condition's class; empty for prompts")]
    prompt: Annotated[str | None, About("", "the condition's prompt; empty for classes")]
    copy: Annotated[int, About("", "which repetition of that class or prompt it is")]
    candidate: Annotated[int, About("", "number of the candidate in its search")]


@dataclass(frozen=True)
class Candidate:
    """A candidate of a condition, within the run's largest budget."""

    condition: Annotated[int, About("", "place of the condition in the study")]
    candidate: Annotated[int, About("", "number of the candidate in its search")]
    parent: Annotated[int, About("", "number of the candidate whose noise or state it was made from; -1 for none")]
    round: Annotated[int, About("", "round of the search that proposed it")]
    spent_nfe: Annotated[int, About("NFE", "what the search had spent on the condition after its round", former="nfe")]
    t: Annotated[float, About("", "time at which it was scored; 0 is a finished sample, 1 is noise")]
    cosine: Annotated[float, About("", "of its starting noise to its parent's; NaN where they are independent")]


@dataclass(frozen=True)
class Replicate:
    """A set metric without one group of conditions, for the jackknife and for paired differences."""

    rung: Annotated[int, About("", "place in the ladder of budgets, 0 the smallest that the search can use")]
    metric: Annotated[str, About("", "what was measured of the winners' final samples")]
    group: Annotated[int, About("", "conditions left out: those whose place leaves this remainder divided by 20")]
    value: Annotated[float, About("the metric's", "the metric over the conditions")]


@dataclass(frozen=True)
class Account:
    """What the run really paid, all workers together; less than its costs where the journal had answers."""

    done: Annotated[bool, About("", "whether every rung is there")]
    rungs: Annotated[int, About("rungs", "how many the curve has")]
    seconds: Annotated[float, About("s", "wall time, of all workers together")]
    paid: Annotated[dict[str, int], About("", "NFE, passes, decodes, scored images and rows, padding included")]
    seconds_by_part: Annotated[
        dict[str, float], About("s", "of `seconds`: solve, decode, verify, encode; the rest is in no part")
    ]
    peak_memory_mb: Annotated[float, About("MB", "the most memory that a process of it took on the host")]
    peak_device_memory_mb: Annotated[float, About("MB", "the most memory that a process of it took on its GPUs")]
    draft: Annotated[
        dict[str, float] | None,
        About("", "of winners solved again: rank correlation of draft and final scores; null without a second solve"),
    ]
    conditions: Annotated[int, About("conditions", "how many the study has")]
    bitwise: Annotated[bool, About("", "bit-equal to any other run of this batch size; else within rounding")]


SCORES = {"<metric>": About("the metric's", "of the final sample; NaN where it does not apply")}
SEARCH_SCORES = {f"{SEARCH}<verifier>": About("the verifier's", "given to the candidate during the search")}


@dataclass(frozen=True)
class File:
    """A file of a run's folder; `row` are its columns (of json: its keys), `families` those of any number of names."""

    path: str
    meaning: str
    row: type | None = None
    families: Mapping[str, About] = field(default_factory=dict)


FILES = (
    File("curve.csv", "Quality against cost: a row for each rung and metric", Point),
    File("winners.parquet", "A row for each rung and condition", Winner, {**SEARCH_SCORES, **SCORES}),
    File("candidates/part-*.parquet", "A row for each candidate that was scored", Candidate, SEARCH_SCORES),
    File("replicates.parquet", "A row for each rung, set metric and group of conditions", Replicate),
    File("cost.json", "What was paid", Account),
    File("config.yaml", "The whole configuration, and under `overrides` what was typed"),
    File("environment.json", "Versions, device, commit, and under `identities` what decides the results"),
    File("error.txt", "Why the run failed, where it did"),
    File("notices.json", "What its end said, as cut prompts: each with digests of what it was said of"),
    File("curve.png", "The curve as a picture"),
    File("samples/<budget_nfe>/<condition>.png", "Winners, the same conditions at every rung"),
    File("samples/rung-<budget_nfe>.png", "A rung's winners side by side"),
    File("wandb.json", "What was published, under which id and where"),
    File("publish.log", "What the publisher said"),
    File("wandb/", "The published run where it was kept offline"),
    File("exports/", "Winners for others' evaluators"),
    File("blocks/", "The results of each block of conditions, from which the tables are made; internal"),
    File("features/", "Features that a selector over the whole set reads; internal"),
)


class Column(NamedTuple):
    """One column of a table."""

    name: str
    kind: str  # text | whole number | number | yes or no | mapping
    about: About


KINDS = {str: "text", int: "whole number", float: "number", bool: "yes or no", dict: "mapping"}


def _about(hint: Any) -> About:
    return next(each for each in get_args(hint) if isinstance(each, About))


def _kind(hint: Any) -> str:
    kind = get_args(hint)[0]
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return KINDS[get_origin(kind) or kind]


@cache
def columns(row: type) -> tuple[Column, ...]:
    """The columns that a row's class declares, in the order of the file."""
    hints = get_type_hints(row, include_extras=True)
    return tuple(Column(each.name, _kind(hints[each.name]), _about(hints[each.name])) for each in fields(row))


def names(row: type, role: str | None = None) -> tuple[str, ...]:
    """Their names: of all, or of those of one role."""
    return tuple(column.name for column in columns(row) if role in (None, column.about.role))


LABELS, COSTS = names(Point, "label"), names(Point, "cost")


def current_names(row: type, found: Sequence[str], guide: str) -> list[str]:
    """The present names of a table's columns, whenever it was written.

    Folders of the first form had the search's scores under the bare name of their verifier in `candidates/`, and that
    of the guide as `score` in `winners.parquet`.
    """
    former = {column.about.former: column.name for column in columns(row) if column.about.former}
    if not set(former) & set(found):
        return list(found)
    if row is Winner:
        former["score"] = SEARCH + guide
    if row is Candidate:
        former |= {name: SEARCH + name for name in found if name not in (*names(row), *former)}
    return [former.get(name, name) for name in found]


def recorded(found: Sequence[str], verifier: str) -> str:
    """Which of a candidate table's columns holds a verifier's scores; in the first form it has the bare name."""
    return SEARCH + verifier if SEARCH + verifier in found else verifier


def markdown() -> str:
    """The page docs/run_folder.md."""
    head = "# A run's folder\n\nWritten by `python -m scaling.schema`; a run lies in `outputs/<study>/<run>/`.\n"
    notes = (
        "A name means one thing in every table: `<metric>` is what a final sample is worth, `search/<verifier>` a "
        "score that was given during the search. Tables of earlier versions are still read.\n"
    )
    listed = "\n".join(f"| `{each.path}` | {each.meaning} |" for each in FILES)
    parts = [head, notes, f"| file | |\n|---|---|\n{listed}\n"]
    return "\n".join([*parts, *(_section(each) for each in FILES if each.row)])


def _section(file: File) -> str:
    assert file.row is not None
    known = [*columns(file.row), *(Column(name, "number", about) for name, about in file.families.items())]
    rows = [f"| `{c.name}` | {c.kind} | {c.about.unit} | {c.about.meaning} |" for c in known]
    kind = "key" if file.path.endswith(".json") else "column"
    head = f"## {file.path}\n\n{file.row.__doc__}\n\n| {kind} | type | unit | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
