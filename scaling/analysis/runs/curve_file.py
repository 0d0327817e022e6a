"""curve.csv as it is read: its points, of folders of all versions, with intervals within what a metric can be."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

from scaling.schema import Point, columns
from scaling.statistics import Interval, in_range


def read_curve(path: Path, text: str, former_budgets: Callable[[], list[int]]) -> tuple[Point, ...]:
    """The points of a curve; `former_budgets` are asked for where it does not say those of its rungs."""
    hints = get_type_hints(Point)
    reader = csv.DictReader(text.splitlines())
    later = {"rung", "budget_nfe"} - set(reader.fieldnames or ())  # not in folders of the first form
    since = {column.name for column in columns(Point) if column.about.later}
    missing = sorted(set(hints) - set(reader.fieldnames or ()) - since - (later if len(later) == 2 else set()))
    if missing:
        raise ValueError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    seen: dict[str, int] = {}
    budgets = former_budgets() if later else []
    points = []
    for row in reader:
        if later:
            rung = seen[row["metric"]] = seen.get(row["metric"], -1) + 1
            row |= {"rung": str(rung), "budget_nfe": str(budgets[rung])}
        try:
            point = Point(**{name: _parse(row.get(name) or "", hint) for name, hint in hints.items()})
            _, low, high = in_range(point.metric, Interval(point.value, point.ci_low, point.ci_high))  # as of before
            points.append(replace(point, ci_low=low, ci_high=high))
        except ValueError as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    return tuple(sorted(points, key=lambda point: point.rung))


def _parse(text: str, kind: type) -> Any:
    if kind is float:
        return float(text) if text else float("nan")
    return int(float(text)) if kind is int else text
