"""One job of the command: build, run, draw, publish; errors are kept beside the results."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scaling.cli.ahead import already_said
from scaling.cli.errors import one_line, report_failure
from scaling.cli.terminal import inline_image
from scaling.cli.workers import run_workers
from scaling.config.build import study_of, writable
from scaling.config.inputs import changes, inputs_of, record, recorded, revised
from scaling.config.outline import outline_of
from scaling.config.run_name import run_name
from scaling.config.settings import check_settings
from scaling.files import Damaged, read_json
from scaling.notices import keep_notices, print_notices
from scaling.output.whole import faults
from scaling.stop import stopping_at_batches


def run_job(config: Mapping[str, Any], overrides: list[str], multirun: bool) -> None:
    """Runs one combination, or says that it is finished; a user's error is reported, not raised."""
    try:
        check_settings(config)
        name = run_name(config, overrides)
    except ValueError as error:  # it has no folder
        report_failure(one_line(error), now=multirun and not already_said())
        return
    folder = Path(config["output_dir"]) / config["study"] / name
    checked = False
    try:
        outline_of(config, overrides, build_model=False)  # whatever is wrong with it is said before a model is loaded
        checked = True
        inputs = inputs_of(config)
        if _finished(folder, inputs, Path(config["output_dir"]) / "journal"):
            return
        (folder / "error.txt").unlink(missing_ok=True)
        _execute(config, overrides, folder)
        record(folder, inputs)  # as they were before anything was built
        _show(folder, multirun, str(config["conditions"].get("_target_")).endswith("one.One"))
        _publish(folder, config)
        if config["logger"]["wandb"] and not multirun:
            say_where(folder.parent)
    except Exception as error:  # a user's part or a library may raise anything; other jobs go on
        if config["debug"]:
            traceback.print_exc()
        with suppress(OSError):
            if not folder.is_dir():  # it failed while it was built: `scaling-study status` knows it all the same
                _write_config(folder, config, overrides)
        with suppress(OSError):  # beside the run's results where it has any, for `scaling-study status`
            if folder.is_dir():
                (folder / "error.txt").write_text(one_line(error) + "\n")
        now = multirun and (checked or not already_said())
        report_failure(f"{config['study']}/{name}: {one_line(error)}", now)
    finally:
        keep_notices(folder)
        print_notices()


def _execute(config: Mapping[str, Any], overrides: list[str], folder: Path) -> None:
    """Runs it here, or in several processes."""
    if config["workers"] != 1:
        writable(Path(config["output_dir"]))
        _write_config(folder, config, overrides)
        with stopping_at_batches():
            run_workers(config, overrides, folder)
        return
    from scaling.runner.run import execute

    study = study_of(config, overrides)
    _write_config(folder, config, overrides)
    with stopping_at_batches():  # until here a signal ends the command at once: there was no batch
        execute(study, renew=True)


def _show(folder: Path, multirun: bool, one: bool) -> None:
    """The run's table and picture, and what to look at; `one` condition has an image rather than a curve.

    In a multirun a single rung has no picture of its own, the study's shows it.
    """
    from scaling.analysis.figures.curve_plot import draw_curves, print_table
    from scaling.analysis.runs.folder import Run

    run = Run(folder)
    print_table(run)
    if not multirun or len(run.series(run.identity.metric)) > 1:
        draw_curves([run], folder / "curve.png")
    print(f"results in {os.path.relpath(folder)}", flush=True)
    best = [paths[0] for _, paths in sorted(run.images.items()) if paths]
    if one and best:
        print(inline_image(best[-1].read_bytes()), end="")
        print(os.path.relpath(best[-1]), flush=True)
    elif not multirun:
        print(f"to look at: {os.path.relpath(folder / 'curve.png')}", flush=True)


def _finished(folder: Path, inputs: Mapping[str, str], journal: Path) -> bool:
    """Whether the folder holds this run's results whole, and says so; what changed since then is named."""
    try:
        if not read_json(folder / "cost.json").get("done") or faults(folder, journal):
            return False  # the run names what is gone or damaged, and makes it again
        before = recorded(folder)
    except Damaged as damaged:
        print(f"{damaged}: the run is looked at anew", flush=True)
        return False
    if before is None and (new := revised(inputs)):
        print(f"{folder}: {', '.join(new)} means something else since it ran", flush=True)
        return False
    if before is None:
        record(folder, inputs)
        note = "; it was made before files and code were recorded: what changed since then is not known"
    elif changed := changes(before, inputs):
        print(f"{folder}: changed since it ran: {', '.join(changed)}", flush=True)
        return False
    else:
        gone = sorted(before.keys() - inputs)
        note = f" ({', '.join(gone)} is not there to be compared)" if gone else ""
    print(f"{folder}: already finished, nothing to do{note if inputs or before else ''}", flush=True)
    return True


def _write_config(folder: Path, config: Mapping[str, Any], overrides: list[str]) -> None:
    """What ran, and what was typed for it."""
    from omegaconf import OmegaConf

    from scaling.journal.stream import write_atomically

    recorded = {**config, "overrides": overrides}
    write_atomically(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(recorded)).encode())


def _publish(folder: Path, config: Mapping[str, Any]) -> None:
    """In a process of its own, which may be slow, fail or be killed: results are complete without it.

    It is waited for where whoever started the job ends all of its processes with it, as Slurm does.
    """
    if not config["logger"]["wandb"]:
        return
    from hydra.core.hydra_config import HydraConfig

    from scaling.analysis.publisher import publish_later, publish_now

    launcher = HydraConfig.get().launcher._target_ if HydraConfig.initialized() else "BasicLauncher"
    if launcher.endswith("BasicLauncher") and "SLURM_JOB_ID" not in os.environ:
        publish_later(folder, Path(config["output_dir"]))
    else:
        publish_now(folder)


def say_where(study: Path) -> None:
    """At the end of a command, where runs went that nobody can see online, and what to type."""
    from scaling.analysis.publish import without_key

    if without_key():
        count = len(list(study.glob("*/curve.csv")))
        runs = f"{count} runs are" if count != 1 else "the run is"
        path = os.path.relpath(study)
        print(f"no key for wandb: {runs} kept offline in {path}; to send: wandb login, scaling-study sync {path}")


def draw_study(folder: Path) -> None:
    """Draws the finished runs of a study in one picture and says where it is."""
    from scaling.analysis.figures.curve_plot import draw_curves
    from scaling.analysis.runs.folder import Run

    runs = [Run(path.parent) for path in sorted(folder.glob("*/curve.csv"))]
    if runs:
        print(f"the study's curves: {os.path.relpath(draw_curves(runs, folder / 'curve.png'))}", flush=True)
