"""What is exported is what the benchmarks' own scripts expect, and their results come back to the right conditions."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scaling.metrics.benchmark_folders import (
    export_folder,
    export_geneval,
    export_t2i_compbench,
    file_name,
    read_folder,
    read_geneval,
    read_t2i_compbench,
)
from scaling.protocols import Condition

GENEVAL = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {"tag": "color_attr", "include": [{"class": "cow", "count": 1, "color": "red"}], "prompt": "a photo of a red cow"},
]


def geneval() -> list[Condition]:
    """All prompts once, then again, as a study's conditions come."""
    rows = [(row["prompt"], {"file": "evaluation_metadata", **row}) for row in GENEVAL]
    return [Condition(prompt=str(p), copy=copy, metadata=m) for copy in range(2) for p, m in rows]


def images(count: int) -> list[tuple[int, torch.Tensor]]:
    """One gray level a condition, in any order."""
    return [(i, torch.full((3, 4, 4), i / 10)) for i in reversed(range(count))]


def level(file: Path) -> int:
    return round(np.asarray(Image.open(file)).mean() / 25.5)


def test_geneval_there_and_back(tmp_path: Path) -> None:
    export_geneval(tmp_path, geneval(), images(4))
    rows = []
    for folder in sorted(p for p in tmp_path.iterdir() if p.is_dir()):  # as evaluate_images.py walks
        assert folder.name.isdigit()
        metadata = json.loads((folder / "metadata.jsonl").read_text())
        assert metadata == GENEVAL[int(folder.name)]
        for name in sorted(os.listdir(folder / "samples")):
            assert re.match(r"\d+\.png", name)
            file = folder / "samples" / name
            rows.append(
                {
                    "filename": f"/elsewhere/run/{file.relative_to(tmp_path)}",
                    "tag": metadata["tag"],
                    "prompt": metadata["prompt"],
                    "correct": level(file) >= 2,
                    "reason": "",
                    "metadata": json.dumps(metadata),
                    "details": "{}",
                }
            )
    results = tmp_path / "results.jsonl"
    with pytest.raises(ValueError, match=r"run GenEval's evaluate_images\.py"):
        read_geneval(tmp_path)
    results.write_text("\n".join(json.dumps(row) for row in rows[::-1]))
    assert read_geneval(tmp_path) == {
        "geneval": {0: 0.0, 1: 0.0, 2: 1.0, 3: 1.0},
        "geneval_single_object": {0: 0.0, 2: 1.0},
        "geneval_color_attr": {1: 0.0, 3: 1.0},
    }
    results.write_text(json.dumps(rows[0]))
    with pytest.raises(ValueError, match="says nothing of 3 of 4 images"):
        read_geneval(tmp_path)


def test_geneval_needs_its_metadata_and_every_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no include, tag: not GenEval's"):
        export_geneval(tmp_path, [Condition(prompt="a cow")], images(1))
    with pytest.raises(ValueError, match="lacks the image of condition 3"):
        export_geneval(tmp_path, geneval(), images(3))


def compbench() -> list[Condition]:
    prompts = [("a green bench and a blue bowl", "color_val"), ("two dogs", "numeracy_val"), ("a red cup", "color_val")]
    return [Condition(prompt=p, copy=c, metadata={"file": f}) for c in range(2) for p, f in prompts]


def test_t2i_compbench_there_and_back(tmp_path: Path) -> None:
    conditions = compbench()
    export_t2i_compbench(tmp_path, conditions, images(6))
    color = sorted(os.listdir(tmp_path / "color" / "samples"), key=lambda n: int(n.split("_")[-1].split(".")[0]))
    prompts = [name.split("_")[0] for name in color]  # how BLIP_vqa.py finds the prompt
    assert prompts == ["a green bench and a blue bowl"] * 2 + ["a red cup"] * 2
    assert color[1].endswith("_000001.png")
    answers = [
        {"question_id": i, "answer": f"{level(tmp_path / 'color' / 'samples' / n):.4f}"} for i, n in enumerate(color)
    ]
    with pytest.raises(ValueError, match="nor another category's: run T2I-CompBench's evaluators"):
        read_t2i_compbench(tmp_path)
    write(tmp_path / "color" / "annotation_blip", answers)
    color_said = {0: 0.0, 2: 2.0, 3: 3.0, 5: 5.0}  # each its own gray level
    assert read_t2i_compbench(tmp_path) == {"bvqa_color": color_said}
    numeracy = os.listdir(tmp_path / "numeracy" / "samples")
    answers = [
        {"question_id": int(n.split(".png")[0].split("_")[1]), "answer": level(tmp_path / "numeracy" / "samples" / n)}
        for n in numeracy
    ]
    write(tmp_path / "numeracy" / "annotation_num", answers)
    said = read_t2i_compbench(tmp_path)
    assert said == {"bvqa_color": color_said, "unidet_numeracy": {1: 1.0, 4: 4.0}}
    write(tmp_path / "numeracy" / "annotation_num", answers[:1])
    with pytest.raises(ValueError, match="says nothing of 1 of 2 images"):
        read_t2i_compbench(tmp_path)
    write(tmp_path / "numeracy" / "annotation_num", [*answers, {"question_id": 9, "answer": 1}])
    with pytest.raises(ValueError, match="speaks of 9, which was not exported"):
        read_t2i_compbench(tmp_path)


def test_an_image_folder_there_and_back(tmp_path: Path) -> None:
    conditions = [Condition(prompt='a "red", cat\n'), Condition(class_label=3)]
    export_folder(tmp_path, conditions, images(2))
    with (tmp_path / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["prompt"], row["class_label"]) for row in rows] == [('a "red", cat\n', ""), ("", "3")]
    assert [level(tmp_path / row["file_name"]) for row in rows] == [0, 1]
    with pytest.raises(ValueError, match=r"there is no .*results\.csv"):
        read_folder(tmp_path)
    (tmp_path / "results.csv").write_text("file_name,mine,other\n00001.png,0.5,\nx/00000.png,0.25,2\n")
    said = read_folder(tmp_path)
    assert said["mine"] == {0: 0.25, 1: 0.5}
    assert said["other"][0] == 2 and np.isnan(said["other"][1])
    (tmp_path / "results.csv").write_text("file_name,mine\n00007.png,0.5\n")
    with pytest.raises(ValueError, match=r"speaks of 00007\.png"):
        read_folder(tmp_path)


def write(folder: Path, answers: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vqa_result.json").write_text(json.dumps(answers))


def test_prompts_of_no_category_and_names_of_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of no category of T2I-CompBench but 'drawbench'"):
        export_t2i_compbench(tmp_path, [Condition(prompt="x", metadata={"file": "drawbench"})], images(1))
    assert file_name("a/b_c\nd") == "a b c d"
    assert len(file_name("é" * 300).encode()) <= 200
