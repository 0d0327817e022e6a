"""export-images and read-results: a run's winners to others' evaluators, and what those said into its curve."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling.analysis.figures.make import make
from scaling.analysis.runs.folder import open_run
from scaling.cli.study.command import main

SHAPES = ["model=shapes", "metrics=none", "block_size=4", "batch_size=8", "logger=none", "budget.candidates=[1,2]"]
COUNT = 6


@pytest.fixture
def run(tmp_path: Path, command: Callable[..., None]) -> Path:
    size = [f"conditions.count={COUNT}", "conditions.category=color", "budget.nfes_per_iter=2", "budget.final_nfe=2"]
    command(*SHAPES, *size, f"output_dir={tmp_path}", "study=paper/tab01")
    return next((tmp_path / "paper" / "tab01").glob("model*"))


def test_t2i_compbench_there_and_into_the_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "curve.csv").read_text()
    arguments = [str(run), "--layout", "t2i_compbench"]
    assert main(["export-images", *arguments]) == 0
    folders = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert folders == [run / "exports" / "t2i_compbench" / f"rung-{rung}" for rung in (0, 1)]
    assert main(["read-results", *arguments]) == 1
    assert "run T2I-CompBench's evaluators" in capsys.readouterr().err
    for rung, folder in enumerate(folders):
        assert len(list((folder / "color" / "samples").glob("*.png"))) == COUNT
        answers = [{"question_id": i, "answer": f"{0.1 * i + 0.3 * rung:.4f}"} for i in range(COUNT)]
        (folder / "color" / "annotation_blip").mkdir()
        (folder / "color" / "annotation_blip" / "vqa_result.json").write_text(json.dumps(answers))
    for _ in range(2):  # reading again changes nothing
        assert main(["read-results", *arguments]) == 0
        assert (run / "curve.csv").read_text().startswith(before)
        found = open_run(run).series("bvqa_color")
        assert [point.value for point in found] == pytest.approx([0.25, 0.55])
        assert all(point.ci_low < point.value < point.ci_high for point in found)
        assert [point.nfe for point in found] == [2, 4]
        scores = open_run(run).per_sample("bvqa_color")
        np.testing.assert_allclose(np.sort(scores), [[0.1 * i + 0.3 * rung for i in range(COUNT)] for rung in (0, 1)])
    table = make("paper/tab01", run.parents[2])[0].read_text()
    assert "| Color ↑ |" in table
    assert "0.55 ±" in table


def test_geneval_by_tag(tmp_path: Path, command: Callable[..., None]) -> None:
    prompts = [("a red square", "single_object"), ("two blue rings", "counting")]
    rows = [{"tag": tag, "include": [{"class": "x", "count": 1}], "prompt": prompt} for prompt, tag in prompts]
    (tmp_path / "evaluation_metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = f"conditions.path={tmp_path}/evaluation_metadata.jsonl"
    command(*SHAPES, "conditions=geneval", path, "conditions.copies=2", f"output_dir={tmp_path}")
    run = next((tmp_path / "default").glob("model*"))
    arguments = [str(run), "--layout", "geneval"]
    assert main(["export-images", *arguments]) == 0
    for rung, folder in enumerate(sorted((run / "exports" / "geneval").iterdir())):
        images = sorted(folder.glob("*/samples/*.png"))
        assert len(images) == 4
        said = [
            {"filename": str(image), "tag": prompts[int(image.parts[-3])][1], "correct": rung == 1 or place == 0}
            for place, image in enumerate(images)
        ]
        (folder / "results.jsonl").write_text("\n".join(map(json.dumps, said)))
    assert main(["read-results", *arguments]) == 0
    curves = {name: [point.value for point in open_run(run).series(name)] for name in open_run(run).metrics}
    assert curves["geneval"] == [0.25, 1.0]
    assert curves["geneval_single_object"] == [0.5, 1.0]
    assert curves["geneval_counting"] == [0.0, 1.0]


def test_adm_and_folder_hold_the_pixels_that_the_run_kept(run: Path, tmp_path: Path) -> None:
    assert main(["export-images", str(run), "--layout", "adm", "--rung", "1", "--out", str(tmp_path / "adm")]) == 0
    assert main(["export-images", str(run), "--layout", "folder", "--rung", "1"]) == 0
    with np.load(tmp_path / "adm" / "rung-1.npz") as opened:
        pixels, labels = opened["arr_0"], opened["arr_1"]
    assert pixels.shape == (COUNT, 24, 24, 3)
    assert (labels == -1).all()
    folder = run / "exports" / "folder" / "rung-1"
    for place, pixel in enumerate(pixels):
        np.testing.assert_array_equal(pixel, np.asarray(Image.open(folder / f"{place:05d}.png")))
        kept = np.asarray(Image.open(run / "samples" / "000004" / f"{place:05d}.png"))
        np.testing.assert_array_equal(pixel, kept[::2, ::2])  # which is enlarged
    archive = tmp_path / "out.tar.gz"
    assert main(["export", str(run), "--out", str(archive)]) == 0
    with tarfile.open(archive) as file:
        assert not any("exports" in Path(member.name).parts for member in file.getmembers())


def test_mistakes_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(*arguments: str) -> str:
        assert main(list(arguments)) == 1
        return capsys.readouterr().err

    assert "has no rung 7; it has rungs 0 to 1" in error("export-images", str(run), "--layout", "folder", "--rung", "7")
    assert "has no winners.parquet" in error("read-results", str(tmp_path), "--layout", "folder")
    assert main(["export-images", str(run), "--layout", "folder"]) == 0
    names = [f"{place:05d}.png" for place in range(COUNT)]
    for rung, metric in enumerate(("mine", "yours")):
        write_results(run / "exports" / "folder" / f"rung-{rung}", names, metric)
    assert "rungs 0 and 1 were not judged alike" in error("read-results", str(run), "--layout", "folder")
    for rung in (0, 1):
        write_results(run / "exports" / "folder" / f"rung-{rung}", names, "candidate")
    assert "has a candidate of its own" in error("read-results", str(run), "--layout", "folder")


def write_results(folder: Path, names: list[str], metric: str) -> None:
    with (folder / "results.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", metric), *((name, 1.5) for name in names)])
