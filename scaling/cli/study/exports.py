"""The commands of `scaling-study` about others' evaluators: export-images, read-results."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from scaling.cli.study.runs import Add, study_of_run

LAYOUTS = ("adm", "folder", "geneval", "t2i_compbench")
HELP = (
    "adm: an .npz of uint8 images and labels, as guided-diffusion's evaluator reads it; folder: PNGs and metadata.csv; "
    "geneval and t2i_compbench: as those benchmarks' own scripts read them"
)


def export_images(options: argparse.Namespace) -> int:
    """Writes the winners' images of every rung (or of some) for others' evaluators, under RUN/exports/LAYOUT."""
    run: Path = options.run_folder
    study = study_of_run(run)
    for rung in options.rung or range(_shape(run)[0]):
        print(_export(study, run, options.layout, rung, _at(options, rung)), flush=True)
    return 0


def read_results(options: argparse.Namespace) -> int:
    """Reads what evaluators left in an export's folders of every rung into the run's curve.csv and winners.parquet."""
    from scaling.metrics import benchmark_folders
    from scaling.tools.read_results import read_back

    run: Path = options.run_folder
    rungs, count = _shape(run)
    read = getattr(benchmark_folders, f"read_{options.layout}")
    read_of_rung = [read(_at(options, rung)) for rung in range(rungs)]
    for rung, metrics in enumerate(read_of_rung):
        if lacking := read_of_rung[0].keys() ^ metrics.keys():
            raise ValueError(f"rungs 0 and {rung} were not judged alike: only one of them has {', '.join(lacking)}")
    values = {name: [_dense(metrics[name], count) for metrics in read_of_rung] for name in read_of_rung[0]}
    read_back(run, values)
    print(f"{run / 'curve.csv'} has {', '.join(values)}")
    return 0


def add_commands(add: Add) -> None:
    """Adds export-images and read-results to the command."""
    for name, run, layouts in (("export-images", export_images, LAYOUTS), ("read-results", read_results, LAYOUTS[1:])):
        command = add(name, run)
        command.add_argument("run_folder", type=Path, metavar="run", help="a run's folder")
        command.add_argument("--layout", choices=layouts, required=True, help=HELP)
        command.add_argument("--out", type=Path, help="the export's folder (default: RUN/exports/LAYOUT)")
        if run is export_images:
            command.add_argument("--rung", type=int, nargs="+", help="0, 1, ... of the ladder (default: all)")


def _export(study: Any, run: Path, layout: str, rung: int, out: Path) -> Path:
    import torch

    from scaling.metrics import benchmark_folders
    from scaling.tools.regenerate import rung_images

    conditions = list(study.conditions)
    images = ((place, torch.from_numpy(image)) for place, image in rung_images(study, run, rung))
    if layout == "adm":
        return _export_adm(out.with_suffix(".npz"), conditions, images)
    getattr(benchmark_folders, f"export_{layout}")(out, conditions, images)
    return out


def _export_adm(path: Path, conditions: list[Any], images: Iterator[tuple[int, Any]]) -> Path:
    import torch

    from scaling.metrics.adm_npz import export_adm

    first = next(images)
    labels = [-1 if each.class_label is None else each.class_label for each in conditions]
    batches = ((image[None], torch.tensor([labels[place]])) for place, image in chain([first], images))
    export_adm(path, batches, len(conditions), tuple(first[1].shape[1:]))
    return path


def _at(options: argparse.Namespace, rung: int) -> Path:
    folder: Path = options.out or options.run_folder / "exports" / options.layout
    return folder / f"rung-{rung}"


def _shape(run: Path) -> tuple[int, int]:
    """How many rungs and conditions it has."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not (run / "winners.parquet").exists():
        raise ValueError(f"{run} has no winners.parquet; give a finished run's folder, e.g. outputs/tab01/<run>")
    table = pq.read_table(run / "winners.parquet", columns=["rung", "condition"])
    rungs, conditions = (pc.max(table[name]).as_py() + 1 for name in ("rung", "condition"))
    return rungs, conditions


def _dense(values: dict[int, float], count: int) -> np.ndarray:
    out = np.full(count, np.nan)
    out[list(values)] = list(values.values())
    return out
