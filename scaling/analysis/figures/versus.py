"""Methods against random search at equal budgets: a dot and a paired interval for each, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scaling.analysis.figures.curve_plot import finish, new_figure, short_number
from scaling.analysis.figures.differences import draw_differences, signed
from scaling.analysis.figures.specs import Figure
from scaling.analysis.figures.style import look, lower_is_better, pretty
from scaling.analysis.runs.costs import cost
from scaling.analysis.runs.folder import Run, shared_conditions
from scaling.statistics import Interval, paired_mean_difference, paired_set_difference

BASE = "random"


def draw(figure: Figure, runs: Sequence[Run]) -> Any:
    """A panel per metric, a row per method (the best at the largest budget of the first metric on top)."""
    base, others = sorted_runs(figure, runs)
    caps = ladder(base)
    picture, axes = new_figure([len(figure.metrics)])
    picture.set_size_inches(3.2 * len(figure.metrics) + 0.8, 0.42 * len(others) + 1.6)
    for panel, metric in zip(axes, figure.metrics, strict=True):
        rows = [{cap: difference(run, base, metric, cap) for cap in caps} for run in others]
        draw_differences(panel, rows, caps)
        panel.locator_params(axis="x", nbins=5)
        arrow = "lower is better" if lower_is_better(metric) else "higher is better"
        panel.set_title(f"{pretty(metric)} ({arrow})", fontsize=10)
        panel.set_yticks(
            range(len(others)), [pretty(run.identity.search) for run in others] if panel is axes[0] else []
        )
        for tick, run in zip(panel.get_yticklabels(), others, strict=False):
            tick.set_color(look("search", run.identity.search).color)
        panel.set_xlabel(f"difference to {pretty(BASE)} search")
    finish(picture, axes, figure.title)
    return picture


def markdown(figure: Figure, runs: Sequence[Run]) -> str:
    """Random search's values, then every method's differences to it; bold where the interval leaves 0 out.

    Last the seconds that a condition took at the largest budget.
    """
    base, others = sorted_runs(figure, runs)
    columns = [(metric, cap) for metric in figure.metrics for cap in ladder(base)]
    names = [f"{pretty(metric)}, {short_number(cap)}" for metric, cap in columns]
    largest = ladder(base)[-1]
    lines = [f"| search | {' | '.join(names)} | seconds a condition, {short_number(largest)} |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    cells = [f"{base.series(metric)[ladder(base).index(cap)].value:.3f}" for metric, cap in columns]
    lines.append(f"| {pretty(BASE)} | {' | '.join([*cells, _seconds(base, largest)])} |")
    for run in others:
        cells = [signed(difference(run, base, metric, cap)) for metric, cap in columns]
        cells.append(_seconds(run, largest))
        lines.append(f"| {pretty(run.identity.search)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sorted_runs(figure: Figure, runs: Sequence[Run]) -> tuple[Run, list[Run]]:
    """Random search, and the others, best first; a ValueError where they cannot be compared."""
    bases = [run for run in runs if run.identity.search == BASE and _is_ours(run)]
    if len(bases) != 1:
        raise ValueError(f"a comparison needs one run of {BASE} search, not {len(bases)}")
    (base,), metric = bases, figure.metrics[0]
    others = [run for run in runs if run is not base and metric in run.metrics and set(ladder(run)) & set(ladder(base))]
    if not others or not shared_conditions([base, *others]):
        raise ValueError(f"no run has the conditions and budgets of {base.path}")
    sign = 1 if lower_is_better(metric) else -1
    return base, sorted(others, key=lambda run: (-len(ladder(run)), sign * run.series(metric)[-1].value))


def _is_ours(run: Run) -> bool:
    """Whether the search is scaling's own, not a class of a user's under the option's name."""
    return str((run.config.get("search") or {}).get("_target_", "scaling.")).startswith("scaling.")


def ladder(run: Run) -> tuple[int, ...]:
    """The search NFE that each of a run's rungs may spend."""
    return tuple(point.budget_nfe for point in run.series(run.identity.metric))


def difference(run: Run, base: Run, metric: str, cap: int) -> Interval:
    """A metric of one run minus that of the other at a budget, paired by conditions or by the jackknife's groups.

    NaN where the run has no such rung.
    """
    if cap not in ladder(run):
        return Interval(float("nan"), float("nan"), float("nan"))
    mine, its = ladder(run).index(cap), ladder(base).index(cap)
    value, other = run.series(metric)[mine].value, base.series(metric)[its].value
    if metric in run.set_metrics and metric in base.set_metrics:
        return paired_set_difference(value, run.replicates(metric)[mine], other, base.replicates(metric)[its])
    ours, theirs = run.per_sample(metric), base.per_sample(metric)
    if ours.shape[1] != theirs.shape[1]:  # it does not apply to the same samples
        return Interval(value - other, float("nan"), float("nan"))
    return paired_mean_difference(ours[mine], theirs[its])


def _seconds(run: Run, cap: int) -> str:
    """Empty where the run has no such rung, or replayed what others had paid for."""
    if cap not in ladder(run):
        return ""
    try:
        return f"{cost(run, run.series(run.identity.metric)[ladder(run).index(cap)], 'seconds'):.2f}"
    except ValueError:
        return ""
