"""The commands of `scaling-study` about running: plan, status, prune, export, regenerate."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Add = Callable[[str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser]


def plan(options: argparse.Namespace) -> int:
    """Says what a command would cost before it runs: runs, NFE after sharing, GFLOPs, hours, disk."""
    from scaling.cli.ahead import looked_at, words
    from scaling.config.compose import grid
    from scaling.tools.plan import measured_speed, tflops_of
    from scaling.tools.plan import plan as add_up

    runs = grid(options.overrides)
    studies, faults = looked_at(runs, plan=True)
    if faults:
        print("\n".join(words(faults, len(runs))), file=sys.stderr)
    if not studies:
        return 1
    config, workers = runs[0][0], runs[0][0]["workers"]
    total, dtype = add_up(studies), config["model"].get("dtype", "float32")
    by = f"on {workers} worker{'s' * (workers > 1)}"
    if options.gpu or options.tflops:
        tflops = options.tflops or tflops_of(options.gpu, dtype)
        pace = f"{by} at {tflops:,.0f} TFLOP/s" + (f" ({options.gpu}, {dtype})" if not options.tflops else "")
        print(total.text(total.hours(workers, tflops=tflops), pace))
        return 1 if faults else 0
    if not (options.speed or callable(studies[0].denoiser)):
        raise ValueError("the model is not here to be timed: name a GPU, e.g. --gpu h100, or give --tflops or --speed")
    speed = options.speed or measured_speed(studies[0])
    print(total.text(total.hours(workers, nfe_per_second=speed), f"{by} at {speed:,.0f} NFE/s"))
    return 1 if faults else 0


def status(options: argparse.Namespace) -> int:
    """Says of every run of a study whether it is done, running, failed or stopped, what it cost and what is left."""
    from scaling.tools.status import statuses, text

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None  # a log has no edge to wrap at
    print(text(statuses(options.study, options.look), width))
    return 0


def prune(options: argparse.Namespace) -> int:
    """Drops samples from the journal that can be made again from their seeds; results and resuming stay."""
    from scaling.tools.prune import prune as drop

    done = drop(options.study, options.keep)
    print(done.text())
    return 1 if done.held else 0


def export(options: argparse.Namespace) -> int:
    """Packs a study or a run into one archive to share."""
    from scaling.tools.archive import archive

    print(archive(options.folder, options.out or Path(f"{options.folder.resolve().name}.tar.gz")))
    return 0


def regenerate(options: argparse.Namespace) -> int:
    """Makes an image again from its row: the winner of a condition, or any candidate of it."""
    from scaling.journal.stream import write_atomically
    from scaling.tools.regenerate import regenerate as image

    run = options.run_folder
    data = image(study_of_run(run), run, options.condition, options.candidate, options.rung)
    out = options.out or Path(f"condition-{options.condition:05d}.png")
    write_atomically(out, data)
    print(out)
    return 0


def add_commands(add: Add) -> None:
    """Adds plan, status and the others of runs to the command."""
    command = add("plan", plan)
    command.add_argument("overrides", nargs="*", help="as for scaling -m, e.g. experiment=fig06 or verifier=a,b")
    command.add_argument("--gpu", help="h100, a100, ...: hours at 40 %% of the peak of its data sheet")
    command.add_argument("--tflops", type=float, help="hours at the TFLOP/s that a worker really reaches")
    command.add_argument("--speed", type=float, help="denoiser calls a second of one worker (default: measured here)")
    command = add("status", status)
    command.add_argument("study", type=Path, help="a study's folder, e.g. outputs/quickstart")
    command.add_argument("--look", type=float, default=3.5, help="seconds to watch for signs of life (default: 3.5)")
    command = add("prune", prune)
    command.add_argument("study", type=Path, help="a study's or a run's folder; its journal's other users lose as much")
    kinds = "only scores; the samples of winners at any budget (default); those of all candidates"
    command.add_argument("--keep", choices=("scores", "winners", "latents"), default="winners", help=kinds)
    command = add("export", export)
    command.add_argument("folder", type=Path, help="a study's or a run's folder")
    command.add_argument("--out", type=Path, help="the archive (default: NAME.tar.gz here)")
    command = add("regenerate", regenerate)
    command.add_argument("run_folder", type=Path, metavar="run", help="a run's folder")
    command.add_argument("--condition", type=int, required=True, help="as winners.parquet numbers them")
    command.add_argument("--candidate", type=int, help="its number (default: the winner)")
    command.add_argument("--rung", type=int, help="0, 1, ... of the ladder (default: the last)")
    command.add_argument("--out", type=Path, help="the PNG (default: condition-NNNNN.png here)")


def study_of_run(run: Path) -> Any:
    """The parts of a run, built again from its own configuration."""
    from omegaconf import OmegaConf

    from scaling.config.build import study_of
    from scaling.config.renamed import current

    path = run / "config.yaml"
    if not path.exists():
        raise ValueError(f"{run} has no config.yaml; give a run's folder, e.g. outputs/quickstart/<run>")
    config: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[assignment]
    return study_of(current(config), [])
