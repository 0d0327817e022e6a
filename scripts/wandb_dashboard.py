"""Makes a saved view and a report of a study in Weights & Biases, once its runs are published there.

python scripts/wandb_dashboard.py outputs/quickstart --entity me            (needs a key and wandb-workspaces)
python scripts/wandb_dashboard.py outputs/quickstart --entity me --dry-run  (prints what it would save)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scaling.analysis.figures.style import lower_is_better, pretty
from scaling.analysis.questions.alarms import alarms
from scaling.analysis.runs.folder import Study, open_study
from scaling.analysis.runs.names import Names, key_of

GROUPINGS = {"search": "identity.search", "verifier": "identity.verifier", "model": "identity.model"}


def curves(metrics: Sequence[str], groupby: str | None) -> list[Any]:
    """A panel per metric: quality against NFE on a log axis, lines grouped by a part of the config."""
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.LinePlot(
            title=f"{pretty(metric)} ({'lower' if lower_is_better(metric) else 'higher'} is better)",
            x="nfe",
            y=[metric],
            log_x=True,
            title_x="NFE",
            title_y=pretty(metric),
            groupby=wr.Config(groupby) if groupby else None,
            groupby_aggfunc="mean" if groupby else None,
            groupby_rangefunc="minmax" if groupby else None,
            max_runs_to_show=100,
            smoothing_type="none",
            point_visualization_method="sampling",
        )
        for metric in metrics
    ]


def comparison(metrics: Sequence[str]) -> list[Any]:
    """The table of budgets, the winners by budget and parallel coordinates from settings to results."""
    import wandb_workspaces.reports.v2 as wr

    axes = [wr.ParallelCoordinatesPlotColumn(wr.Config(name), display_name=key) for key, name in GROUPINGS.items()]
    axes.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("nfe"), display_name="NFE", log=True))
    axes += [
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(m), display_name=pretty(m), inverted=lower_is_better(m))
        for m in metrics
    ]
    return [
        wr.WeavePanelSummaryTable(table_name="budgets"),
        wr.MediaBrowser(
            title="winners by budget", media_keys=["winners"], mode="grid", grid_x_axis="step", grid_y_axis="run"
        ),
        wr.ParallelCoordinatesPlot(title="settings and results", columns=axes),
    ]


def workspace(study: Study, entity: str, project: str) -> Any:
    """The saved view: scaling curves by search, by verifier and by model, then the comparisons."""
    import wandb_workspaces.workspaces as ws

    metrics = _metrics(study)
    sections = [ws.Section(name="Scaling curves", panels=curves(metrics, None), is_open=True)]
    sections += [
        ws.Section(name=f"By {name}", panels=curves(metrics, key), is_open=True) for name, key in GROUPINGS.items()
    ]
    sections.append(ws.Section(name="Comparisons", panels=comparison(metrics), is_open=True))
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"scaling: {study.name}",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis="nfe", max_runs=100),
        runset_settings=ws.RunsetSettings(query=study.name),
    )


def report(study: Study, entity: str, project: str) -> Any:
    """The report: the study in words, its alarms, its curves."""
    import wandb_workspaces.reports.v2 as wr

    metrics, names = _metrics(study), Names(study.runs)
    conditions = sorted({run.identity.conditions for run in study.runs})
    said = [f"{names.labels[key_of(run)]} {alarm.words}" for run in study.runs for alarm in alarms(run)]
    runset = wr.Runset(entity=entity, project=project, query=study.name)
    blocks = [
        wr.P(f"{len(study.runs)} runs over {', '.join(f'{count:,}' for count in conditions)} conditions: "
             f"{'; '.join(dict.fromkeys(names.labels.values()))}. Cost is in NFE, denoiser calls per sample."),
        *([wr.H2("Alarms"), wr.UnorderedList(said)] if said else []),
        wr.H2("Quality against cost"),
        wr.PanelGrid(runsets=[runset], panels=curves(metrics, None)),
        wr.H2("Comparisons"),
        wr.PanelGrid(runsets=[runset], panels=comparison(metrics)),
    ]  # fmt: skip
    return wr.Report(entity=entity, project=project, title=f"Scaling study: {study.name}", blocks=blocks)


def _metrics(study: Study) -> list[str]:
    return list(dict.fromkeys(metric for run in study.runs for metric in run.metrics))


def main(arguments: Sequence[str] | None = None) -> int:
    """Saves both, or prints them; 1 and one line where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's folder; its runs are published by scaling-study sync")
    parser.add_argument("--entity", required=True)
    parser.add_argument("--project", default="scaling")
    parser.add_argument("--dry-run", action="store_true", help="print the specifications and save nothing")
    options = parser.parse_args(arguments)
    try:
        study = open_study(options.study)
        view, text = (build(study, options.entity, options.project) for build in (workspace, report))
        if options.dry_run:
            print(view, *text.blocks, sep="\n")
        else:
            print(view.save().url, text.save().url, sep="\n")
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is missing: pip install 'scaling[dashboard]'", file=sys.stderr)
        return 1
    except Exception as error:  # the library raises whatever its server answers
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
