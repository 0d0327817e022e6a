"""Winners in the folder layouts of T2I-CompBench, GenEval and plain image folders, and what evaluators said of them.

The benchmarks' evaluators need detectors and environments of their own; they are run there, on the exported folder, and
their results are read back as one value a condition, by the name of the metric.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from scaling.pixels import pil
from scaling.protocols import Condition

Images = Iterable[tuple[int, Float[Tensor, "3 h w"]]]  # the condition's place in the study, and its winner
Said = dict[str, dict[int, float]]  # metric: the condition's place: value
MANIFEST = "conditions.json"  # image, relative to the folder: place of its condition

# Where T2I-CompBench's evaluators leave the values of a category, under its folder; the first that is there counts.
RESULTS = {
    "color": ("annotation_blip",),
    "shape": ("annotation_blip",),
    "texture": ("annotation_blip",),
    "spatial": ("labels/annotation_obj_detection_2d", "annotation_obj_detection_2d", "annotation_obj_detection"),
    "3d_spatial": ("labels/annotation_obj_detection_3d", "annotation_obj_detection_3d"),
    "numeracy": ("annotation_num",),
    "non_spatial": ("annotation_clip",),
    "complex": ("annotation_3_in_1",),
}
METRICS = {
    "color": "bvqa_color",
    "shape": "bvqa_shape",
    "texture": "bvqa_texture",
    "spatial": "unidet_spatial",
    "3d_spatial": "unidet_3d_spatial",
    "numeracy": "unidet_numeracy",
    "non_spatial": "clip_non_spatial",
    "complex": "complex",
}


def export_geneval(folder: Path, conditions: Sequence[Condition], images: Images) -> None:
    """`00000/metadata.jsonl` and `00000/samples/00000.png`, a folder a prompt and an image a copy of it.

    The conditions' metadata must be GenEval's (evaluation_metadata.jsonl); a ValueError names one that is not.
    """
    numbers = _numbers(conditions)
    names = {}
    for place, condition in enumerate(conditions):
        names[place] = f"{numbers[_prompt(condition)]:05d}/samples/{condition.copy:05d}.png"
        metadata = {key: value for key, value in (condition.metadata or {}).items() if key != "file"}
        if lacking := {"tag", "include"} - set(metadata):
            raise ValueError(f"the prompt {condition.prompt!r} has no {', '.join(sorted(lacking))}: not GenEval's")
        file = folder / f"{numbers[_prompt(condition)]:05d}" / "metadata.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**metadata, "prompt": condition.prompt}) + "\n")
    _write(folder, names, images)


def read_geneval(folder: Path) -> Said:
    """1 for correct and 0 for wrong, from evaluate_images.py's `results.jsonl` in the folder.

    `geneval` is over all images, `geneval_<tag>` over those of a tag; the benchmark's own overall score is the mean of
    its tags' means.
    """
    places, file = _places(folder), folder / "results.jsonl"
    if not file.is_file():
        raise ValueError(f"there is no {file}: run GenEval's evaluate_images.py on {folder} with that as its outfile")
    said: Said = {"geneval": {}}
    for line in file.read_text().splitlines():
        if line.strip():
            row = json.loads(line)
            place = _known(places, "/".join(Path(row["filename"]).parts[-3:]), file)
            for name in ("geneval", f"geneval_{row['tag']}"):
                said.setdefault(name, {})[place] = float(bool(row["correct"]))
    _whole(said["geneval"], places, file)
    return said


def export_t2i_compbench(folder: Path, conditions: Sequence[Condition], images: Images) -> None:
    """`<category>/samples/<prompt>_<number>.png`, where a prompt's images come one after the other.

    The category is the metadata's `category`, or its `file` (color_val) without what follows the category's name.
    """
    names: dict[int, str] = {}
    for category, places in _by_category(conditions).items():
        order = _numbers([conditions[place] for place in places])
        ranked = sorted(places, key=lambda place: (order[_prompt(conditions[place])], conditions[place].copy))
        for number, place in enumerate(ranked):
            names[place] = f"{category}/samples/{file_name(_prompt(conditions[place]))}_{number:06d}.png"
    _write(folder, names, images)


def read_t2i_compbench(folder: Path) -> Said:
    """What the evaluators said of those categories that they were run on, from each category's `vqa_result.json`."""
    places = _places(folder)
    said: Said = {}
    for category in sorted({name.split("/")[0] for name in places}):
        ranked = {_number(name): place for name, place in places.items() if name.split("/")[0] == category}
        files = [folder / category / where / "vqa_result.json" for where in RESULTS[category]]
        if file := next((file for file in files if file.is_file()), None):
            rows = {int(row["question_id"]): _value(row["answer"], file) for row in json.loads(file.read_text())}
            said[METRICS[category]] = _whole({_known(ranked, k, file): v for k, v in rows.items()}, ranked, file)
    if not said:
        raise ValueError(f"there is no {files[0]}, nor another category's: run T2I-CompBench's evaluators on {folder}")
    return said


def export_folder(folder: Path, conditions: Sequence[Condition], images: Images) -> None:
    """`00000.png`, ... and `metadata.csv` (file_name, prompt, class_label, copy), as datasets' imagefolder reads it."""
    names = {place: f"{place:05d}.png" for place in range(len(conditions))}
    _write(folder, names, images)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "prompt", "class_label", "copy"))
        writer.writerows((names[i], c.prompt, c.class_label, c.copy) for i, c in enumerate(conditions))


def read_folder(folder: Path) -> Said:
    """`results.csv` in the folder: file_name and a column a metric; an empty cell does not apply to its image."""
    places, file = _places(folder), folder / "results.csv"
    if not file.is_file():
        raise ValueError(f"there is no {file}: a file_name and a column a metric are expected there")
    said: Said = {}
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    if not rows or "file_name" not in rows[0]:
        raise ValueError(f"{file} has no column file_name, or no rows")
    for row in rows:
        place = _known(places, Path(row.pop("file_name")).name, file)
        for name, text in row.items():
            said.setdefault(name, {})[place] = _value(text, file) if text else math.nan
    for values in said.values():
        _whole(values, places, file)
    return said


def file_name(prompt: str) -> str:
    """A prompt as the evaluators read it from a file's name, up to the first underscore, within 200 bytes."""
    plain = re.sub(r"[/\\_\x00-\x1f]+", " ", prompt).strip()
    return plain.encode()[:200].decode(errors="ignore")


def category_of(condition: Condition) -> str | None:
    """T2I-CompBench's category of a prompt, by its metadata's `category` or the beginning of its `file`, or None."""
    said = _said(condition)
    return next((name for name in sorted(RESULTS, key=len, reverse=True) if said.startswith(name)), None)


def _said(condition: Condition) -> str:
    metadata = condition.metadata or {}
    return str(metadata.get("category") or metadata.get("file") or "")


def _by_category(conditions: Sequence[Condition]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, condition in enumerate(conditions):
        category = category_of(condition)
        if category is None:
            raise ValueError(
                f"the prompt {condition.prompt!r} is of no category of T2I-CompBench but {_said(condition)!r}"
            )
        found.setdefault(category, []).append(place)
    return found


def _write(folder: Path, names: Mapping[int, str], images: Images) -> None:

    missing = set(names)
    for place, image in images:
        file = folder / names[place]
        file.parent.mkdir(parents=True, exist_ok=True)
        pil(image).save(file)
        missing.discard(place)
    if missing:
        raise ValueError(f"an export of {len(names)} conditions lacks the image of condition {min(missing)}")
    (folder / MANIFEST).write_text(json.dumps({name: place for place, name in names.items()}, indent=1))


def _numbers(conditions: Sequence[Condition]) -> dict[str, int]:
    """Distinct prompts in the order of their first appearance."""
    return {prompt: number for number, prompt in enumerate(dict.fromkeys(map(_prompt, conditions)))}


def _prompt(condition: Condition) -> str:
    if condition.prompt is None:
        raise ValueError(f"condition {condition.class_label} has no prompt: a benchmark of prompts is exported")
    return condition.prompt


def _places(folder: Path) -> dict[str, int]:
    file = folder / MANIFEST
    if not file.is_file():
        raise ValueError(f"{folder} has no {MANIFEST}: it is no export of ours")
    places: dict[str, int] = json.loads(file.read_text())
    return places


def _number(name: str) -> int:
    return int(name.rpartition("_")[2].removesuffix(".png"))


def _known(places: Mapping[Any, int], key: Any, file: Path) -> int:
    if key not in places:
        raise ValueError(f"{file} speaks of {key}, which was not exported")
    return places[key]


def _value(answer: Any, file: Path) -> float:
    value = float(answer)
    if not math.isfinite(value):
        raise ValueError(f"{file} holds the value {answer}")
    return value


def _whole(values: dict[int, float], places: Mapping[Any, int], file: Path) -> dict[int, float]:
    if lacking := set(places.values()) - set(values):
        raise ValueError(
            f"{file} says nothing of {len(lacking)} of {len(places)} images, condition {min(lacking)} first"
        )
    return values
