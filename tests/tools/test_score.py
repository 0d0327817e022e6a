"""Images that exist are scored once, by verifiers as conf/ has them or of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scaling.analysis.questions.pool import read_pool
from scaling.cli.study.command import main
from scaling.config.build import clear_cache
from scaling.tools.image_files import find_images
from scaling.tools.score import read_image

JUDGE = """
def redness(images, prompts):
    print(*["asked " + prompt for prompt in map(str, prompts)], sep="\\n")
    if prompts and "blue" in prompts and {fails}:
        raise RuntimeError("no blue")
    return {sign} * (images[:, 0] - images[:, 1:].mean(dim=1)).mean(dim=(1, 2))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight images: two prompts, four of each, of two sizes."""
    monkeypatch.chdir(tmp_path)
    for prompt, color in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        for number in range(4):
            path = tmp_path / "images" / prompt / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            share = tuple(value // (number + 1) for value in color)
            Image.new("RGB", (8 + number % 2, 8), share).save(path)
    (tmp_path / "judge.py").write_text(JUDGE.format(fails=False, sign=1))
    return tmp_path


def run(*words: str) -> int:
    clear_cache()  # as a new process: the judge may have been edited
    return main(["score", "images", "--verifier", "judge.py:redness", *words, "--device", "cpu", "--batch-size", "3"])


def asked(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("asked ") for line in capsys.readouterr().out.splitlines() if line.startswith("asked")]


def test_a_folder_of_prompts_is_scored_by_ones_own_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert sorted(asked(capsys)) == ["blue"] * 4 + ["red"] * 4
    rows = pq.read_table("scores.parquet").to_pylist()
    assert [(row["condition"], row["candidate"]) for row in rows] == [(p, n) for p in ("blue", "red") for n in range(4)]
    for row in rows:
        image = read_image(Path(row["path"]))
        assert row["redness"] == pytest.approx(float((image[0] - image[1:].mean(dim=0)).mean()), abs=1e-6)
    pool = read_pool(Path("scores.parquet"))
    assert pool.scores["redness"].shape == (2, 4) and list(pool.scores) == ["redness"]
    assert main(["report", "--pool", "scores.parquet", "--out", "best.csv"]) == 0
    assert "redness" in Path("best.csv").read_text()


def test_what_is_scored_is_not_scored_again(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    before = pq.read_table("scores.parquet")
    asked(capsys)
    assert run() == 0
    assert asked(capsys) == []
    assert pq.read_table("scores.parquet").equals(before)
    Image.new("RGB", (8, 8), (9, 9, 200)).save("images/blue/0.png")  # another image under its name
    Image.new("RGB", (8, 8), (9, 200, 9)).save("images/red/9.png")  # a new one
    assert run() == 0
    assert sorted(asked(capsys)) == ["blue", "red"]


def test_images_of_other_calls_stay_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    before = pq.read_table("scores.parquet").to_pylist()
    for name, shade in (("red/0", 9), ("red/10", 19), ("green/0", 29)):
        Path(f"more/{name}.png").parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (shade, 9, 9)).save(f"more/{name}.png")
    more = ["score", "more", "--verifier", "judge.py:redness", "--device", "cpu"]
    assert main(more) == 0
    assert "8 rows of other images were kept from before\n" in capsys.readouterr().out
    rows = pq.read_table("scores.parquet").to_pylist()
    assert rows[:8] == before
    added = [(row["condition"], row["candidate"], row["path"]) for row in rows[8:]]
    assert added == [("green", 0, "more/green/0.png"), ("red", 4, "more/red/0.png"), ("red", 5, "more/red/10.png")]
    assert read_pool(Path("scores.parquet")).scores["redness"].shape == (3, 1)
    assert run() == 0 and main(more) == 0
    said = capsys.readouterr().out
    assert "asked" not in said and "3 rows of other images" in said
    assert pq.read_table("scores.parquet").to_pylist() == rows


def test_an_image_that_moved_or_was_made_anew_has_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    Path("images").rename("elsewhere")
    assert main(["score", "elsewhere", "--verifier", "judge.py:redness", "--device", "cpu"]) == 0
    assert "kept from before" not in capsys.readouterr().out
    Image.new("RGB", (8, 8), (9, 9, 9)).save("elsewhere/red/0.png")
    assert main(["score", str(Path("elsewhere").resolve()), "--verifier", "judge.py:redness", "--device", "cpu"]) == 0
    assert pq.read_table("scores.parquet").num_rows == 8


def test_rows_that_stay_lack_what_is_new_and_what_another_judge_gave(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    Path("other/red").mkdir(parents=True)
    Image.new("RGB", (8, 8), (9, 9, 9)).save("other/red/0.png")
    assert main(["score", "other", "--verifier", "control", "--device", "cpu"]) == 0
    assert "8 rows of other images were kept from before (8 of them lack a score by these)" in capsys.readouterr().out
    table = pq.read_table("scores.parquet")
    assert (table["control"].null_count, table["redness"].null_count) == (8, 1)
    Path("judge.py").write_text(JUDGE.format(fails=False, sign=-1))
    clear_cache()
    assert main(["score", "other", "--verifier", "judge.py:redness", "--device", "cpu"]) == 0
    assert "redness is another one than in scores.parquet: its scores there are dropped" in capsys.readouterr().err
    assert pq.read_table("scores.parquet").num_rows == 1


def test_an_edited_judge_scores_all_anew_and_another_judges_column_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("control") == 0
    control = pq.read_table("scores.parquet")["control"].to_pylist()
    asked(capsys)
    Path("judge.py").write_text(JUDGE.format(fails=False, sign=-1))
    assert run() == 0
    said = capsys.readouterr()
    assert said.out.count("asked") == 8
    assert "redness is another one than in scores.parquet" in said.err
    table = pq.read_table("scores.parquet")
    assert table["control"].to_pylist() == control
    assert min(table["redness"].to_pylist()) < -0.9


def test_an_image_that_cannot_be_read_or_judged_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("images/red/1.png").write_bytes(b"no picture")
    Path("judge.py").write_text(JUDGE.format(fails=True, sign=1))
    Path("images/green").mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8), (0, 200, number)).save(f"images/green/{number}.png")
    assert run() == 1
    said = capsys.readouterr()
    assert "images/red/1.png cannot be read" in said.err
    assert "images/blue/0.png has no score" in said.err and "no blue" in said.err
    rows = pq.read_table("scores.parquet").to_pylist()
    assert [(row["condition"], row["candidate"]) for row in rows] == [
        ("green", 0), ("green", 1), ("red", 0), ("red", 2), ("red", 3)
    ]  # fmt: skip
    assert read_pool(Path("scores.parquet")).dropped == 1


def test_a_judge_that_judges_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "images", "--verifier", "classifier"]) == 1
    assert "this network judges [n,3,28,28]" in capsys.readouterr().err
    assert not Path("scores.parquet").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mean_rank"], "picks among candidates and scores none"),
        (["self_supervised"], "compares with a prediction on the way"),
        (["controll"], "did you mean control?"),
        (["judge.py:rednes"], "did you mean redness?"),
        (["scale=cosine"], "overrides nothing"),
        (["control", "control"], "is there twice"),
    ],
)
def test_what_cannot_score_is_refused_by_name(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "images", "--verifier", *words]) == 1
    assert line in capsys.readouterr().err


@pytest.mark.parametrize("name", ["candidate", "t", "condition_key", "digest", "path", "condition", "step", "round"])
def test_a_column_that_is_no_score_is_no_verifiers_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("judge.py").write_text(f"def {name}(images, prompts):\n    return images.mean(dim=(1, 2, 3))\n")
    assert main(["score", "images", "--verifier", f"judge.py:{name}"]) == 1
    assert f"has a column {name} that is no score; call it otherwise" in capsys.readouterr().err
    assert not Path("scores.parquet").exists()


def test_overrides_follow_the_verifier_that_they_are_of() -> None:
    assert main(["score", "images", "--verifier", "control", "+seed=3", "--out", "a.parquet"]) == 0
    assert main(["score", "images", "--verifier", "control", "--out", "b.parquet"]) == 0
    first, second = (pq.read_table(f"{name}.parquet")["control"].to_pylist() for name in "ab")
    assert first != second


def test_every_layout_means_the_same_images() -> None:
    expected = [(p, n, Path("images") / p / f"{n}.png") for p in ("blue", "red") for n in range(4)]
    rows = [{"prompt": p, "candidate": n, "path": str(path)} for p, n, path in expected]
    Path("list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("list.csv").write_text("text,file\n" + "".join(f"{row['prompt']},{row['path']}\n" for row in rows))
    Path("flat").mkdir()
    for prompt, number, path in expected:
        Path(f"flat/{prompt}_{number:06d}.png").write_bytes(path.read_bytes())
    for source in ("images", "list.jsonl", "list.csv"):
        found = [(image.name, image.candidate, image.path) for image in find_images(Path(source))]
        assert found == expected
    assert [(image.name, image.candidate) for image in find_images(Path("flat"))] == [row[:2] for row in expected]


def test_hidden_files_and_folders_are_no_images() -> None:
    for name in ("images/.ipynb_checkpoints", "images/red/.thumbnails"):
        Path(name).mkdir()
        Path(name, "0.png").write_bytes(Path("images/red/0.png").read_bytes())
    Path("images/blue/._0.png").write_bytes(b"\0\5\26\7")
    found = [(image.name, image.path.name) for image in find_images(Path("images"))]
    assert found == [(prompt, f"{number}.png") for prompt in ("blue", "red") for number in range(4)]


def test_folders_called_by_numbers_are_classes_and_geneval_says_its_prompts() -> None:
    for name in ("2", "10"):
        Path("classes", name).mkdir(parents=True)
        Image.new("L", (4, 4), 100).save(f"classes/{name}/a.png")
    assert [image.condition.class_label for image in find_images(Path("classes"))] == [2, 10]
    samples = Path("geneval/00000/samples")
    samples.mkdir(parents=True)
    (samples.parent / "metadata.jsonl").write_text(json.dumps({"tag": "single_object", "prompt": "a photo of a bench"}))
    Image.new("L", (4, 4), 100).save(samples / "0000.png")
    (image,) = find_images(Path("geneval"))
    assert image.name == "a photo of a bench"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prompt,where\nred,a.png\n", "list.csv, line 2: no column path, file, filename, image says the image's path"),
        ("path\na.png\n", "says what the image is of; it has path"),
        ("prompt,path,candidate\nred,a.png,x\n", "list.csv, line 2: invalid literal for int"),
        ("prompt,path,candidate\nred,a.png,1\nred,b.png,1\n", "its condition has a candidate 1 already"),
        ("prompt,path\n", "holds no image"),
    ],
)
def test_a_bad_table_names_its_row(text: str, line: str) -> None:
    Path("list.csv").write_text(text)
    with pytest.raises(ValueError, match=line):
        find_images(Path("list.csv"))


def test_pictures_come_upright_and_in_three_channels() -> None:
    pixels = np.zeros((2, 3), dtype=np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter
    Image.fromarray(pixels).save("turned.jpg", exif=exif, quality=100)
    image = read_image(Path("turned.jpg"))
    assert image.shape == (3, 3, 2)
    assert image[0, 0, 1] > 0.9
