"""The paper's tables from run folders: as Markdown, LaTeX and csv, beside the paper's own numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import StringIO

import numpy as np

from scaling.analysis.figures import paper
from scaling.analysis.figures.curve_plot import with_error
from scaling.analysis.figures.specs import Table, shown
from scaling.analysis.figures.style import grid, lower_is_better, pretty, rank
from scaling.analysis.runs.costs import COUNTED, cost
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.lines import grouped, intervals
from scaling.analysis.runs.made import words_of
from scaling.analysis.runs.names import NO_SEARCH, key_of, method_of, order

Row = tuple[str, str, str, str]  # model, search, verifier, search NFE
ENSEMBLES = ("mean_rank", "ensemble", "ensemble_pickscore")  # what the paper calls one: afterwards, and as it goes


@dataclass(frozen=True)
class Cell:
    """One number of a table; `difference` is ours minus the paper's, `within`: our interval holds the paper's."""

    model: str
    search: str
    verifier: str
    search_nfe: str
    metric: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
    paper: float | None = None
    difference: float | None = None
    within: bool | None = None

    @property
    def row(self) -> Row:
        """Its place in the table: model, search, verifier and search NFE."""
        return self.model, self.search, self.verifier, self.search_nfe


def cells(table: Table, number: int | None, runs: Sequence[Run]) -> tuple[Cell, ...]:
    """Every number of a table from runs that differ in more than their seed; seeds are combined."""
    printed = paper.table(number or 0)
    scales: dict[str, set[float]] = {}
    for run in runs:
        scales.setdefault(run.identity.model, set()).add(run.identity.guidance_scale)
    metrics = shown(table, runs)
    found = []
    lines = sorted(grouped(sorted(runs, key=_order)).items(), key=lambda line: line[0][0].part == "")
    for (key, _), group in lines:  # whole lines last, whose cells are kept
        model, guidance = group[0].identity.model, group[0].identity.guidance_scale
        name = f"{model}, guidance {guidance:g}" if len(scales[model]) > 1 else model
        name = ", ".join([name, *(f"{part} {digest}" for part, digest in words_of(key.made).items())])
        found += [_compared(cell, model, printed) for cell in _cells(table, metrics, group, name)]
    return tuple({(cell.row, cell.metric): cell for cell in found}.values())


def markdown(table: Table, number: int | None, made: Sequence[Cell]) -> str:
    """A Markdown table; where the paper has the same row, its number and whether our interval holds it."""
    metrics = list(dict.fromkeys(cell.metric for cell in made))
    head = ["model", "search", "verifier", "search NFE", *(f"{pretty(m)} {_arrow(m)}".strip() for m in metrics)]
    rows = [[*map(_show, row), *(_text(by[m]) if m in by else "" for m in metrics)] for row, by in _by_row(made)]
    text = f"**{table.title}**\n\n{grid(head, rows, words=3)}"
    unmatched = number is not None and paper.table(number) and not any(cell.paper is not None for cell in made)
    return text + (f"\n\nThe paper's own rows, on its models:\n\n{_printed(number or 0)}" if unmatched else "") + "\n"


def latex(table: Table, made: Sequence[Cell]) -> str:
    """A booktabs table."""
    metrics = list(dict.fromkeys(cell.metric for cell in made))
    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "": ""}
    head = ["model", "search", "verifier", "search NFE", *(f"{pretty(m)} {arrows[_arrow(m)]}" for m in metrics)]
    lines = [" & ".join(map(_escape, head))]
    for row, by in _by_row(made):
        numbers = [_text(by[m]).replace("±", r"$\pm$") if m in by else "" for m in metrics]
        lines.append(" & ".join([*(_escape(_show(part)) for part in row), *numbers]))
    body = " \\\\\n".join([lines[0] + r" \\ \midrule" + "\n" + lines[1], *lines[2:]])
    columns = "lllr" + "c" * len(metrics)
    return f"% {table.title}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n{body} \\\\\n\\bottomrule\n\\end{{tabular}}\n"


def as_csv(made: Sequence[Cell]) -> str:
    """One row per number, with its interval, the paper's number, the difference and whether it is within."""
    out = StringIO()
    writer = csv.DictWriter(out, list(asdict(made[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(cell) for cell in made)
    return out.getvalue()


def _order(run: Run) -> tuple:
    """A model's rows together, its searches as the style lists them."""
    point = run.identity
    return rank("model", point.model), point.guidance_scale, order(key_of(run))


def _cells(table: Table, metrics: Sequence[str], runs: Sequence[Run], model: str) -> list[Cell]:
    run = runs[0]
    point = run.identity
    made = []
    for metric in [name for name in (*table.costs, *metrics) if name in (*table.costs, *run.metrics)]:
        series = run.series(point.metric if metric in table.costs else metric)
        values = [(cost(run, each, metric),) for each in series] if metric in table.costs else intervals(runs, metric)
        places = range(len(series)) if table.every_rung else dict.fromkeys((0, len(series) - 1))
        for place in places:
            plain = point.search in NO_SEARCH or series[place].candidates <= 1
            search, verifier = ("none", "") if plain else (method_of(run), point.verifier)
            nfe = "0" if plain and series[place].candidates <= 1 else f"{series[place].search_nfe:g}"
            made.append(Cell(model, search, verifier, nfe, metric, *values[place]))
    return made


def _compared(cell: Cell, model: str, printed: Sequence[dict[str, str]]) -> Cell:
    """The cell with the paper's number of the same row, at a search NFE within a tenth of ours, where it has one."""
    verifier = "ensemble" if cell.verifier in ENSEMBLES else cell.verifier
    for row in printed:
        its_verifier = "ensemble" if row["verifier"] in ENSEMBLES else row["verifier"]
        same = (row["model"], row["search"], its_verifier, row["metric"]) == (model, cell.search, verifier, cell.metric)
        nfe = float(row["search_nfe"] or "nan")
        if same and abs(float(cell.search_nfe) - nfe) <= 0.1 * nfe:
            number = float(row["value"])
            within = bool(cell.low <= number <= cell.high) if np.isfinite(cell.low) else None
            return replace(cell, paper=number, difference=cell.value - number, within=within)
    return cell


def _by_row(made: Sequence[Cell]) -> list[tuple[Row, dict[str, Cell]]]:
    rows: dict[Row, dict[str, Cell]] = {}
    for cell in made:
        rows.setdefault(cell.row, {})[cell.metric] = cell
    return list(rows.items())


def _text(cell: Cell) -> str:
    text = with_error(cell.value, cell.low, cell.high)
    if cell.paper is None:
        return text
    inside = {True: ", within", False: ", outside", None: ""}[cell.within]
    return f"{text} (paper {cell.paper:g}, {cell.difference:+.2g}{inside})"


def _printed(number: int) -> str:
    rows: dict[Row, dict[str, str]] = {}
    for each in paper.table(number):
        row = each["model"], each["search"], each["verifier"], each["search_nfe"]
        rows.setdefault(row, {})[each["metric"]] = each["value"]
    metrics = list(dict.fromkeys(each["metric"] for each in paper.table(number)))
    head = ["model", "search", "verifier", "search NFE", *map(pretty, metrics)]
    return grid(head, [[*map(_show, row), *(by.get(m, "") for m in metrics)] for row, by in rows.items()], words=3)


def _show(name: str) -> str:
    return "no search" if name == "none" else pretty(name)


def _arrow(metric: str) -> str:
    """Which way is better; a cost has none."""
    return "" if metric in COUNTED else "↓" if lower_is_better(metric) else "↑"


def _escape(text: str) -> str:
    return text.replace("&", r"\&").replace("%", r"\%").replace("_", r"\_").replace("Σ", r"$\Sigma$")
