"""One command a figure or a table: finds its study, draws it and says what is missing."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from scaling.analysis.figures import contest, curves, gains, images, judges, tables
from scaling.analysis.figures.curve_plot import draw_curves, save
from scaling.analysis.figures.specs import FIGURES, REPLACED, TABLES, Figure, command
from scaling.analysis.runs.folder import Study, find_runs, open_study
from scaling.analysis.runs.ladders import joined

PICTURES = {"images": images.draw, "contest": contest.draw, "judges": judges.draw}  # figures of no curves
TEXTS = {"judges": judges.markdown, "contest": contest.markdown}  # those that are tables, too


def make(
    name: str,
    outputs: Path = Path("outputs"),
    out: Path | None = None,
    axis: str | None = None,
    with_paper: bool = True,
) -> list[Path]:
    """Makes a figure (png, pdf) or a table (md, tex, csv) and returns the files; one of methods or judges is both.

    `name` is fig01..fig14, tab01..tab08, contest, judges, or any study: its curves in all its metrics.
    The runs are those of the study of that name, or else of `paper/` and that name, which may be asked for too.
    ValueErrors say which command makes missing runs.
    """
    name = normalized(name)
    study = _study(name, outputs)
    folder = out or outputs / "figures"
    if name.startswith("paper/"):
        name, folder = name.removeprefix("paper/"), folder / "paper"
    number = int(name[3:]) if re.fullmatch(r"(fig|tab)\d\d", name) else None
    if name in TABLES:
        return _make_table(name, number, study, folder)
    if name in FIGURES:
        picture = _draw(FIGURES[name], number, study, axis, with_paper)
        paths = [folder / f"{name}.{kind}" for kind in ("png", "pdf")]
        save(picture, *paths)
        if FIGURES[name].kind in TEXTS:
            paths.append(folder / f"{name}.md")
            paths[-1].write_text(TEXTS[FIGURES[name].kind](study.runs))
        return paths
    return [draw_curves(study.runs, folder / f"{name}.{kind}", axis=axis or "nfe") for kind in ("png", "pdf")]


def normalized(name: str) -> str:
    """fig6, figure6, FIG06 and 6 are fig06; tab1 is tab01; paper/ before them stays, and so do other names."""
    match = re.fullmatch(r"(paper/)?(?:(fig|tab)(?:ure|le)?_?)?0*(\d{1,2})", name.lower())
    return f"{match[1] or ''}{match[2] or 'fig'}{int(match[3]):02d}" if match else name


def _draw(figure: Figure, number: int | None, study: Study, axis: str | None, with_paper: bool) -> Any:
    if figure.kind == "bars":
        return gains.draw_bars(figure, number, study.runs, with_paper)
    if figure.kind == "gains":
        return gains.draw_lines(figure, number, study.runs, axis or figure.axis, with_paper)
    if figure.kind in PICTURES:
        return PICTURES[figure.kind](figure, study.runs)
    return curves.draw(figure, number, study.runs, axis, with_paper)


def _make_table(name: str, number: int | None, study: Study, folder: Path) -> list[Path]:
    table = TABLES[name]
    made = tables.cells(table, number, study.runs)
    texts = {"md": tables.markdown(table, number, made), "tex": tables.latex(table, made), "csv": tables.as_csv(made)}
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in texts.items():
        (folder / f"{name}.{kind}").write_text(text)
    return [folder / f"{name}.{kind}" for kind in texts]


def _study(name: str, outputs: Path) -> Study:
    for folder in (outputs / name, outputs / "paper" / name, Path(name)):
        if folder.is_dir() and find_runs(folder):
            study = open_study(folder)
            return Study(study.path, joined(study.runs))
    if name.removeprefix("paper/") in (*FIGURES, *TABLES):
        raise ValueError(f"{outputs / name} holds no runs yet; make them: {command(name)}")
    if re.fullmatch(r"(fig|tab)\d\d", name):
        raise ValueError(f"there is no {name}; there are {', '.join((*FIGURES, *TABLES))}")
    there = sorted(path.name for path in outputs.iterdir() if find_runs(path)) if outputs.is_dir() else []
    near = REPLACED.get(name) or get_close_matches(name, (*FIGURES, *TABLES, *there), 1, cutoff=0.0)[0]
    raise ValueError(
        f"{outputs / name} holds no runs; the nearest is {near}; there are the figures {', '.join(FIGURES)}, "
        f"the tables {', '.join(TABLES)}" + (f" and the studies {', '.join(there)}" if there else "")
    )
