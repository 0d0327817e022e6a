"""Puts a study's data, the page's style and scripts and plotly's into one file."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from pathlib import Path

from scaling.analysis.figures.style import pretty
from scaling.analysis.report.data import study_data
from scaling.analysis.report.images import attach_images
from scaling.analysis.runs.folder import Study
from scaling.extras import missing_extra
from scaling.files import replacing

LARGEST = 25_000_000  # bytes of the whole page


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
