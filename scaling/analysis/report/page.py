"""Puts a study's data and images, as many and as large as fit, the page's style, scripts and plotly's into one file."""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from scaling.analysis.figures.style import pretty
from scaling.analysis.report.data import study_data
from scaling.analysis.runs.folder import Run, Study
from scaling.analysis.runs.ladders import joined
from scaling.extras import missing_extra
from scaling.files import replacing

LARGEST = 25_000_000  # bytes of the whole page
MOST = 24  # conditions a run
TRIES = ((MOST, 192), (MOST, 128), (12, 128), (12, 96), (6, 96), (4, 64))  # conditions, pixels of the longer side


def write_report(study: Study, path: Path, largest: int = LARGEST) -> Path:
    """Writes the page and returns its path; images are made smaller and fewer until it fits the largest size.

    ValueErrors say that plotly is missing, or that a study has no finished rung.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ValueError(missing_extra(error)) from None
    frame, script = _frame(study), get_plotlyjs()
    data = study_data(study)
    attach_images(data, study, largest - len(frame) - len(script) - len(_json(data)))
    page = frame.replace("/*PLOTLY*/", script).replace("/*DATA*/", _json(data))
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8")
    return path


def _frame(study: Study) -> str:
    """The page without data and plotly."""
    folder = files(__package__)
    page = (folder / "page.html").read_text(encoding="utf-8")
    for mark, name in (("/*STYLE*/", "page.css"), ("/*SCRIPT*/", "page.js")):
        page = page.replace(mark, (folder / name).read_text(encoding="utf-8"))
    return page.replace("TITLE", html.escape(pretty(study.name)))


def _json(data: object) -> str:
    """JSON that may stand inside a script element; NaN becomes null."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def attach_images(data: dict[str, Any], study: Study, room: int) -> None:
    """Fills in the images of every line of winners, within `room` bytes; none where even the fewest do not fit."""
    runs = {run.name: run for run in joined(study.runs)}
    for count, pixels in TRIES:
        made = {each["name"]: _rungs(runs[each["name"]], count, pixels) for each in data["winners"]}
        size = sum(len(tile["src"]) + 200 for rungs in made.values() for rung in rungs for tile in rung["tiles"])
        if size <= room:
            break
    else:
        data["warnings"].append("the images were left out: the page would be too large")
        return
    for each in data["winners"]:
        each["images"] = made[each["name"]]


def _rungs(run: Run, count: int, pixels: int) -> list[dict[str, Any]]:
    """A rung's NFE, and its first winners with what is known of them."""
    facts = _facts(run, count)
    rungs = []
    for rung, (nfe, paths) in enumerate(run.images.items()):
        if rung in run.idle:  # the same images again
            continue
        tiles = []
        for path in paths[:count]:
            condition = int(path.stem)
            known = facts.get((rung, condition), {})
            tiles.append({"src": _encoded(path, pixels), "condition": condition, **known})
        rungs.append({"nfe": nfe, "tiles": tiles})
    return rungs


def _facts(run: Run, count: int) -> dict[tuple[int, int], dict[str, Any]]:
    """What each winner is and scored, by rung and condition."""
    if not run.has_winners:
        return {}
    table = run.winners.filter(run.winners["condition"].to_numpy() < max(count, 1) * 4)
    scores = [name for name in run.winners.column_names if name in run.per_sample_metrics]
    facts = {}
    for row in table.to_pylist():
        what = row["prompt"] or (f"class {row['class_label']}" if row["class_label"] is not None else "")
        values = {name: row[name] for name in scores if row[name] is not None and np.isfinite(row[name])}
        facts[row["rung"], row["condition"]] = {"what": what, "candidate": row["candidate"], "scores": values}
    return facts


def _encoded(path: Path, pixels: int) -> str:
    """A data URI: the png as it is where it is small, else a jpeg of at most that many pixels."""
    from PIL import Image

    with Image.open(path) as image:
        if max(image.size) <= pixels:
            return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        image.thumbnail((pixels, pixels))
        out = BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
