"""All that the page shows of a study, as plain json."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from scaling.analysis.figures.style import lower_is_better, pretty
from scaling.analysis.questions.advise import advise, traces
from scaling.analysis.questions.alarms import alarms
from scaling.analysis.questions.extrapolate import extrapolate
from scaling.analysis.runs.costs import AXES, cost
from scaling.analysis.runs.folder import Run, Study
from scaling.analysis.runs.ladders import joined
from scaling.analysis.runs.lines import bought, grouped, intervals
from scaling.analysis.runs.names import NO_SEARCH, Key, Names, key_of, order
from scaling.budget import UNITS

FEW = 2000  # conditions under which FID says more about the count than about the samples
BUDGETS = 6  # rows of advice


def study_data(study: Study) -> dict[str, Any]:
    """Lines, tables, advice, alarms and warnings of a study; images are attached later."""
    begun = sorted((run for run in study.runs if run.curve), key=lambda run: (order(key_of(run)), run.curve[-1].nfe))
    if not begun:
        raise ValueError(f"{study.path} holds no finished rung yet")
    runs = joined(begun)
    names = Names(runs)
    groups = [
        (key, group)
        for (key, _), group in sorted(grouped(runs, names=names).items(), key=lambda item: order(item[0][0]))
    ]
    lines = [_line(group, names, key) for key, group in groups]
    metrics = _ordered(runs)
    axes = [axis for axis in AXES if any(axis in line["costs"] for line in lines)]
    return {
        "name": study.name,
        "lines": lines,
        "metrics": [{"id": m, "name": pretty(m), "lower": lower_is_better(m)} for m in metrics],
        "axes": [{"id": axis, "name": pretty(axis)} for axis in axes],
        "winners": [{"name": run.name, "label": _label(run, names), "images": []} for run in runs],
        "runs": [_run(run, names) for run in begun],
        "alarms": [f"{names.labels[names.key(run)]} {alarm.words}" for run in runs for alarm in alarms(run)],
        "warnings": [*(f"A run is left out: {fault}" for fault in study.faults), *_warnings(runs, names)],
        "advice": {metric: _advice(runs, metric) for metric in metrics},
        "outlook": {metric: _outlook(groups, names, metric) for metric in metrics},
    }


def _ordered(runs: Sequence[Run]) -> list[str]:
    """All metrics, first those that every run has and that guided no search: what the page opens on."""
    guides = {run.identity.verifier for run in runs}
    known = dict.fromkeys(metric for run in runs for metric in run.metrics)
    return sorted(known, key=lambda m: (sum(m not in run.metrics for run in runs), m in guides))


def _line(runs: Sequence[Run], names: Names, key: Key) -> dict[str, Any]:
    run = runs[0]
    look = names.looks[key]
    rungs = bought(runs)
    known = {metric: intervals(runs, metric) for metric in run.metrics}
    values = {metric: [list(held[rung]) for rung in rungs] for metric, held in known.items()}
    return {
        "label": names.labels[key],
        "color": look.color,
        "marker": look.marker,
        "dash": {"-": "solid", "--": "dash", ":": "dot"}[look.dash],
        "search": key.search,
        "verifier": key.verifier or run.identity.verifier,
        "model": key.model,
        "baseline": key.search in NO_SEARCH,
        "costs": {axis: costs for axis in AXES if (costs := _costs(run, axis, rungs))},
        "values": values,
        "seeds": len(runs),
    }


def _costs(run: Run, axis: str, rungs: Sequence[int]) -> list[float]:
    """The run's costs on an axis, nothing where it has none there (backwards of a search without gradients)."""
    try:
        points = run.series(run.identity.metric)
        costs = [cost(run, points[rung], axis) for rung in rungs]
    except ValueError:
        return []
    return costs if any(costs) else []


def _run(run: Run, names: Names) -> dict[str, Any]:
    point = run.identity
    return {
        "name": run.name,
        "label": _label(run, names),
        "command": command(run),
        "config": yaml.safe_dump(run.config, sort_keys=False),
        "environment": yaml.safe_dump(run.environment, sort_keys=False) if run.environment else "",
        "seconds": run.cost.get("seconds"),
        "conditions": point.conditions,
        "nfe": run.curve[-1].nfe,
        "done": run.done,
    }


def _label(run: Run, names: Names) -> str:
    several = len({each.identity.seed for each in names.runs}) > 1
    key = names.key(run)
    return names.labels[key] + (f", seed {run.identity.seed}" if several and not key.part else "")


def command(run: Run) -> str:
    """The command line that makes a run: its own overrides where they were kept, else what it chose."""
    if overrides := run.config.get("overrides"):
        return shlex.join(["scaling", *overrides])
    chosen = {group: option for group, option in run.choices.items() if isinstance(option, str)}
    parts = [f"{group.split('@')[0]}={option}" for group, option in chosen.items() if "@" not in group]
    budget = run.config.get("budget") or {}
    ladder = [f"budget.{name}={budget[name]}".replace(" ", "") for name in UNITS if budget.get(name)]
    return shlex.join(["scaling", *parts, f"study={run.study}", f"seed={run.identity.seed}", *ladder])


def _warnings(runs: Sequence[Run], names: Names) -> list[str]:
    """What a reader should know, each once with the lines that it holds for."""
    found: dict[str, list[str]] = {}
    everything = _ordered(runs)
    for run in runs:
        label, point = names.labels[names.key(run)], run.identity
        said = []
        if not run.done:
            said.append("not finished, so it may still change")
        if "fid" in run.metrics and point.conditions < FEW:
            said.append(f"FID of {point.conditions:,} conditions is far above that of many; compare it at equal counts")
        if point.verifier in run.metrics and point.verifier != "control" and point.search not in NO_SEARCH:
            said.append(f"{pretty(point.verifier)} guided the search, so its mean is no independent judge")
        said += [f"{pretty(m)} was not recorded, so it is not drawn there" for m in everything if m not in run.metrics]
        for text in said:
            found.setdefault(text, []).append(label)
    return [f"{text} ({'; '.join(dict.fromkeys(labels))})" for text, labels in found.items()]


def _advice(runs: Sequence[Run], metric: str) -> list[dict[str, Any]]:
    """What to use at budgets over the measured range."""
    found = traces(runs, metric)
    if not found:
        return []
    low, high = min(trace.cost[0] for trace in found), max(trace.cost[-1] for trace in found)
    rows = []
    for budget in np.geomspace(low, high, BUDGETS):
        best = advise(runs, float(budget) * (1 + 1e-9), metric, found=found)
        rows.append(
            {
                "budget": round(float(budget)),
                "use": best.label + (f" (no difference to {', '.join(best.alike)})" if best.alike else ""),
                "candidates": best.candidates,
                "nfes_per_iter": best.nfes_per_iter,
                "final_nfe": best.final_nfe,
                "expected": best.expected.value,
                "interval": list(best.expected[1:]),
                "command": best.command,
            }
        )
    return rows


def _outlook(groups: Sequence[tuple[Key, list[Run]]], names: Names, metric: str) -> list[dict[str, Any]]:
    """How each line goes on, or why no law says so."""
    rows: list[dict[str, Any]] = []
    for key, group in groups:
        if metric not in group[0].metrics:
            continue
        try:
            found = extrapolate(group, metric)
        except ValueError as error:
            rows.append({"label": names.labels[key], "words": str(error), "x": [], "y": []})
            continue
        bands = [list(each) for each in found.predicted]
        rows.append({"label": names.labels[key], "words": found.words, "x": list(found.nfe), "y": bands})
    return rows
