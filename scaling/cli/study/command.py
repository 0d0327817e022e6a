"""The `scaling-study` command: what is done with studies once they have run."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.cli.quiet import quiet_libraries
from scaling.cli.study.exports import add_commands as add_exports
from scaling.cli.study.options import add_commands as add_options
from scaling.cli.study.runs import add_commands as add_runs
from scaling.cli.study.scores import add_commands as add_scores
from scaling.cli.version import version
from scaling.config.own import import_from_here
from scaling.notices import print_notices

if TYPE_CHECKING:
    from scaling.analysis.runs.folder import Run

OUTPUTS = Path("outputs")


def _lines_of(study: Path) -> tuple[Run, ...]:
    """The runs of a study, those of a sweep over budgets as one."""
    from scaling.analysis.runs.folder import open_study
    from scaling.analysis.runs.ladders import joined

    return joined(open_study(study).runs)


def show(options: argparse.Namespace) -> int:
    """Prints a study's tables and alarms, and draws all its runs in one picture."""
    from scaling.analysis.figures.curve_plot import chosen_metrics, draw_curves, print_table
    from scaling.analysis.questions.alarms import alarms

    runs = _lines_of(options.study)
    metrics = chosen_metrics(runs, options.metrics)
    for run in runs:
        print_table(run, metrics=metrics)
        for alarm in alarms(run):
            print(alarm.words)
    drawn = draw_curves(runs, options.study / "curve.png", options.metrics, options.axis)
    print(f"the study's curves: {drawn}")
    return 0


def figure(options: argparse.Namespace) -> int:
    """Draws figures and tables of the paper, or the curves of any study."""
    from scaling.analysis.figures.make import make
    from scaling.analysis.figures.specs import FIGURES, TABLES
    from scaling.analysis.runs.folder import find_runs

    names = options.names
    if options.all:
        known = (*FIGURES, *TABLES)
        names = [name for name in known if (options.outputs / name).is_dir() and find_runs(options.outputs / name)]
        if not names:
            raise ValueError(
                f"{options.outputs} holds none of {', '.join(known)}; make one: scaling -m experiment=fig06"
            )
    for name in names:
        for path in make(name, options.outputs, options.out, options.axis, not options.no_paper):
            print(path)
    return 0


def report(options: argparse.Namespace) -> int:
    """Writes a study's HTML page, or the best-of-n statistics of a pool of scores."""
    if options.pool:
        return _pool_report(options)
    from scaling.analysis.report import write_report
    from scaling.analysis.runs.folder import open_study

    if options.study is None:
        raise ValueError("name a study's folder, e.g. scaling-study report outputs/quickstart, or give --pool FILE")
    print(write_report(open_study(options.study), options.out or options.study / "report.html"))
    return 0


def advise(options: argparse.Namespace) -> int:
    """Says what to use for a budget, and how well such advice did at budgets left out."""
    from scaling.analysis.questions.advise import advise as best
    from scaling.analysis.questions.advise import regret

    runs = _lines_of(options.study)
    print(best(runs, options.budget, options.metric, options.axis).words)
    if judged := regret(runs, options.metric, options.axis):
        worst = max(lost for _, lost in judged)
        budgets = f"{len(judged)} budget{'s' * (len(judged) > 1)}"
        print(f"such advice lost at most {worst:.1%} of the best gain at {budgets} that it had not seen")
    return 0


def rungs(options: argparse.Namespace) -> int:
    """Says how early scores tell final ones, and which rungs of `search=halving` that suggests for a budget."""
    from scaling.analysis.questions.early import early_pool, early_scores, words
    from scaling.analysis.runs.folder import open_study

    if options.pool:
        if not options.guide:
            raise ValueError(f"name the score that guides, e.g. scaling-study rungs --pool {options.pool} --guide clip")
        print("\n".join(words(early_pool(options.pool, options.guide), options.budget)))
        return 0
    if options.study is None:
        raise ValueError("name a study's folder, e.g. scaling-study rungs outputs/rungs, or give --pool FILE")
    runs = open_study(options.study).runs
    for run in runs:
        try:
            print("\n".join(words(early_scores(run), options.budget)))
        except ValueError as error:
            if len(runs) == 1:
                raise
            print(f"{run.name}: {error}")
    return 0


def leaderboard(options: argparse.Namespace) -> int:
    """Prints the rows of docs/leaderboard.md for the searches of a study that ran experiment=contest."""
    from scaling.analysis.figures.contest import leaderboard as rows

    print(rows(_lines_of(options.study)), end="")
    return 0


def sync(options: argparse.Namespace) -> int:
    """Publishes runs to Weights & Biases; rungs already there are not sent again."""
    from scaling.analysis.publish import main as publish
    from scaling.analysis.runs.folder import find_runs

    folders = [str(run.path) for path in options.folders for run in find_runs(path)]
    if not folders:
        raise ValueError(f"{', '.join(map(str, options.folders))} holds no run with a curve.csv")
    given = {"--project": options.project, "--entity": options.entity}
    extra = [each for pair in given.items() if pair[1] for each in pair]
    asked = [flag for flag, wanted in (("--force", options.force), ("--new-id", options.new_id)) if wanted]
    return publish([*folders, *extra, *asked])


def _pool_report(options: argparse.Namespace) -> int:
    from scaling.analysis.questions.pool import best_of_n_rows, pool_of, read_pool, read_reference
    from scaling.analysis.questions.pool_report import print_rows, write_rows
    from scaling.analysis.runs.folder import open_run

    pool = pool_of(open_run(options.pool)) if options.pool.is_dir() else read_pool(options.pool)
    reference = read_reference(options.reference) if options.reference else None
    rows = best_of_n_rows(pool, options.guide, options.value, options.n, reference)
    print_rows(pool, rows)
    if options.out:
        print(write_rows(rows, options.out))
    return 0


def arguments_of() -> argparse.ArgumentParser:
    """What the command takes, by sub-command."""
    parser = argparse.ArgumentParser(prog="scaling-study", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        return command

    command = add("show", show)
    command.add_argument("study", type=Path, help="a study's folder, e.g. outputs/quickstart")
    command.add_argument("--metrics", nargs="+", help="what the tables and the picture show (default: all)")
    command.add_argument("--axis", default="nfe", help="the cost that the picture shows: nfe, gflops, ...")
    _figure_options(add("figure", figure))
    _report_options(add("report", report))
    command = add("advise", advise)
    command.add_argument("study", type=Path, help="a study's folder")
    command.add_argument("--budget", type=float, required=True, help="total cost per condition")
    command.add_argument("--metric", default="fid")
    command.add_argument("--axis", default="nfe", help="what the budget counts: nfe, forwards, gflops, seconds, ...")
    command = add("rungs", rungs)
    followed = "runs that followed every candidate: scaling -m experiment=rungs"
    command.add_argument("study", type=Path, nargs="?", help=followed)
    command.add_argument("--pool", type=Path, help="a parquet file: condition, candidate, step, a column per score")
    command.add_argument("--guide", help="the score of the pool that guides")
    command.add_argument("--budget", type=int, nargs="+", default=[480], help="search NFE per condition (default: 480)")
    command = add("leaderboard", leaderboard)
    command.add_argument("study", type=Path, help="a study's folder, e.g. outputs/contest")
    command = add("sync", sync)
    command.add_argument("folders", type=Path, nargs="+", help="run folders, or folders of runs")
    command.add_argument("--project", help="default: WANDB_PROJECT, or scaling")
    command.add_argument("--entity")
    command.add_argument("--force", action="store_true", help="publish again what was published before")
    command.add_argument("--new-id", action="store_true", help="publish as new runs, beside those published before")
    add_runs(add)
    add_exports(add)
    add_scores(add)
    add_options(add)
    return parser


def _figure_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", help="fig06, tab02, or the name of a study")
    command.add_argument("--all", action="store_true", help="every figure and table whose runs are there")
    command.add_argument("--outputs", type=Path, default=OUTPUTS, help="where the studies are (default: outputs)")
    command.add_argument("--out", type=Path, help="where the files go (default: OUTPUTS/figures)")
    command.add_argument("--axis", help="nfe, search_nfe, forwards, gflops, seconds, paper_nfe, paper_gflops, ...")
    command.add_argument("--no-paper", action="store_true", help="without the paper's own curves")


def _report_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", type=Path, nargs="?", help="a study's folder")
    command.add_argument("--out", type=Path, help="the file to write (default: STUDY/report.html)")
    pool = command.add_argument_group("best of n from a pool")
    pool.add_argument("--pool", type=Path, help="a parquet file (condition, scores, ...) or an open-loop run's folder")
    pool.add_argument("--guide", nargs="+", help="the scores that pick (default: each, and their rank ensemble)")
    pool.add_argument("--value", nargs="+", help="the scores that are reported (default: each)")
    pool.add_argument("--n", type=int, nargs="+", help="how many candidates (default: 1, 2, 4, ...)")
    pool.add_argument("--reference", type=Path, help="npz with mu and sigma: FID of the pool's feature columns")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 1 and one line where something is wrong."""
    parser = arguments_of()
    parser.add_argument("--version", action="version", version=f"scaling-study {version()}")
    options = parser.parse_args(arguments)
    quiet_libraries()
    import_from_here()  # where one's own search or verifier lies
    if options.run is figure and not options.names and not options.all:
        parser.error("name a figure, e.g. scaling-study figure fig06, or give --all")
    try:
        return options.run(options)
    except (ValueError, OSError, csv.Error) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    finally:
        print_notices()


if __name__ == "__main__":
    sys.exit(main())
