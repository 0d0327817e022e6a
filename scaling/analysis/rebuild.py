"""Rebuilds run folders from Weights & Biases alone: their configs and curves, to the same numbers.

What reads run folders (figures, tables, the report's curves) then works on the rebuilt ones; the candidates and the
winners' single scores were never published and stay where they were made.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from scaling.analysis.publish import COSTS, HIGH, IDENTITY, LOW
from scaling.analysis.runs.folder import Point, Run

COLUMNS = tuple(field.name for field in fields(Point) if field.name != "rung")


def from_api(api: Any, project: str, group: str, folder: Path) -> tuple[Run, ...]:
    """Every run of a group (a study) of "entity/project", as run folders under `folder`."""
    runs = list(api.runs(project, filters={"group": group}))
    if not runs:
        raise ValueError(f"{project} holds no run in the group {group!r}")
    return tuple(_write(folder / run.name, dict(run.config), run.scan_history()) for run in runs)


def from_offline(record: Path, folder: Path) -> Run:
    """The run of an offline record (`wandb/offline-run-...`, or what `wandb leet inspect --json` printed of it)."""
    if record.is_file() and record.suffix == ".jsonl":
        text = record.read_text()
    else:
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(record)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise ValueError(f"{record} is no offline run: {result.stderr.strip().splitlines()[-1:]}")
        text = result.stdout
    records = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    head = next((each["run"] for each in records if each["type"] == "run"), None)
    if head is None:
        raise ValueError(f"{record} holds no run")
    rows = [each["history"]["item"] for each in records if each["type"] == "history"]
    return _write(folder / head["display_name"], head["config"]["update"], rows)


def _write(path: Path, config: dict[str, Any], rows: Iterable[Mapping[str, Any]]) -> Run:
    if "identity" not in config:
        raise ValueError(f"the run {path.name} was not published by this project: its config has no identity")
    path.mkdir(parents=True, exist_ok=True)
    identity = config.pop("identity")
    config.pop("_wandb", None)
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with (path / "curve.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in sorted(rows, key=lambda row: row["nfe"]):
            writer.writerows(_points(identity, row))
    return Run(path)


def _points(identity: Mapping[str, Any], row: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The rows of curve.csv that one row of history came from."""
    common = {name: identity[name] for name in IDENTITY} | {name: row[name] for name in COSTS}
    for name in row:
        if name + LOW in row or (name not in COSTS and _is_metric(name, row[name])):
            bounds = {"ci_low": row.get(name + LOW, ""), "ci_high": row.get(name + HIGH, "")}
            yield common | {"metric": name, "value": row[name]} | bounds


def _is_metric(name: str, value: Any) -> bool:
    mine = name.startswith(("_", "winners", "budgets")) or name.endswith((LOW, HIGH))
    return not mine and isinstance(value, int | float)
