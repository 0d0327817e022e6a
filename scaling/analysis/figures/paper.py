"""The paper's own curves and tables; see scaling/analysis/paper/README.md for source and precision."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from scaling.analysis.figures.style import Look, family, look, pretty, shade
from scaling.analysis.runs.lines import Line

NAN = float("nan")


@dataclass(frozen=True)
class Curve:
    """One curve of one figure; compute is the paper's own count."""

    model: str
    guidance_scale: float
    search: str
    verifier: str
    metric: str
    unit: str
    compute: tuple[float, ...]
    value: tuple[float, ...]
    approximate: bool


@cache
def curves(number: int) -> tuple[Curve, ...]:
    """A figure's curves, in the order of the file; none where the figure is not digitised."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in _rows("figures.csv"):
        if int(row["figure"]) == number:
            key = tuple(row[name] for name in ("model", "guidance", "search", "verifier", "metric", "compute_unit"))
            groups.setdefault(key, []).append(row)
    return tuple(_curve(key, rows) for key, rows in groups.items())


@cache
def table(number: int) -> tuple[dict[str, str], ...]:
    """A table's cells: model, search, verifier, search_nfe, benchmark, metric, value (all as text)."""
    return tuple(row for row in _rows("tables.csv") if int(row["table"]) == number)


def lines(chosen: Sequence[Curve], context: Sequence[Curve], varying: Sequence[str] = ()) -> tuple[Line, ...]:
    """Curves as lines, in our colors but dotted and hollow.

    They are labeled by what differs in their context (all curves of the figure) or among the runs beside them.
    """
    varying = [
        name
        for name in ("search", "verifier", "model")
        if name in varying or len({getattr(c, name) for c in context if c.search != "none"}) > 1
    ]
    guided = len({curve.guidance_scale for curve in context if curve.search != "none"}) > 1
    chosen = sorted(chosen, key=_order)
    looks = [_look(curve, varying) for curve in chosen]
    drawn = []
    for place, curve in enumerate(chosen):
        alike = [other for other, each in enumerate(looks) if each == looks[place]]
        parts = [pretty(getattr(curve, name)) for name in varying] + [f"guidance {curve.guidance_scale:g}"] * guided
        appearance = shade(looks[place], alike.index(place), len(alike))._replace(dash=":")
        label = ", ".join(part for part in parts if part) or f"{pretty(curve.search)} search"
        label = pretty("steps") if curve.search == "none" else label
        blank = tuple(NAN for _ in curve.value)
        drawn.append(Line(f"paper: {label}", appearance, curve.compute, curve.value, blank, blank))
    return tuple(drawn)


def _order(curve: Curve) -> tuple:
    numbers = [int(part) for part in curve.search.split("_") if part.isdigit()]
    return curve.search == "none", family("search", curve.search), numbers, curve.verifier, curve.guidance_scale


def _look(curve: Curve, varying: list[str]) -> Look:
    if curve.search == "none":
        return look("search", "none")
    kind = next((name for name in ("search", "verifier", "model") if name in varying), "search")
    return look(kind, getattr(curve, kind))


def _curve(key: tuple[str, ...], rows: list[dict[str, str]]) -> Curve:
    model, guidance, search, verifier, metric, unit = key
    points = sorted((float(row["compute"]), float(row["value"])) for row in rows)
    compute, value = zip(*points, strict=True)
    approximate = any(row["precision"] == "approximate" for row in rows)
    return Curve(model, float(guidance), search, verifier, metric, unit, compute, value, approximate)


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    text = (files("scaling.analysis") / "paper" / name).read_text()
    return tuple(csv.DictReader(text.splitlines()))
