import csv
import gzip
import json
from itertools import islice

import pytest

from scaling.conditions.prompts import Prompts
from scaling.protocols import Condition

HARD = ['a cat, "asleep"', "two\nlines", "猫と犬 et très jolie 🦊", "a\u2028separator", "it's; here\tand there"]


def prompts(path, **options):
    return [c.prompt for c in Prompts(path=str(path), **options)]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_format_keeps_hard_prompts(tmp_path, suffix):
    path = tmp_path / f"hard.{suffix}"
    rows = [{"Category": "x", "Prompts": prompt} for prompt in HARD]
    if suffix == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif suffix in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, ["Category", "Prompts"], delimiter="," if suffix == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    elif suffix == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    assert prompts(path) == HARD
    assert next(iter(Prompts(path=str(path)))).metadata == {"file": "hard", "Category": "x"}


def test_text_files_have_one_prompt_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes('one, "two"\r\n\r\n  \nthree\u2028four\n'.encode())
    assert prompts(path) == ['one, "two"', "three\u2028four"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("prompt\nnaïve\n".encode(encoding))
    assert prompts(path) == ["naïve"]


def test_other_encodings_are_named_or_asked_for(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("naïve".encode("cp1252"))
    assert prompts(path, encoding="cp1252") == ["naïve"]
    with pytest.raises(ValueError, match=r"not utf-8 .*conditions\.encoding=cp1252"):
        prompts(path)


@pytest.fixture
def three(tmp_path):
    path = tmp_path / "three.txt"
    path.write_text("a\nb\na\n")
    return path


def test_copies_append_and_count_every_equal_prompt(three):
    once, twice = list(Prompts(path=str(three))), list(Prompts(path=str(three), copies=2))
    assert [(c.prompt, c.copy) for c in once] == [("a", 0), ("b", 0), ("a", 1)]
    assert twice[:3] == once
    assert [(c.prompt, c.copy) for c in twice[3:]] == [("a", 2), ("b", 1), ("a", 3)]
    assert len({c.key for c in twice}) == len(Prompts(path=str(three), copies=2)) == 6


def test_a_count_is_a_prefix(three):
    large = Prompts(path=str(three), copies=2)
    small = Prompts(path=str(three), copies=2, count=4)
    assert list(small) == list(islice(large, 4))
    assert len(small) == 4
    assert small.identity() == large.identity()
    with pytest.raises(ValueError, match="1 to 6"):
        Prompts(path=str(three), copies=2, count=7)


def test_identity_is_the_prompts_not_the_file(three, tmp_path):
    (tmp_path / "same.json").write_text('["a", "b", "a"]')
    (tmp_path / "other.json").write_text('["a", "b"]')
    same, other = (Prompts(path=str(tmp_path / f"{name}.json")) for name in ("same", "other"))
    assert same.identity() == Prompts(path=str(three)).identity() != other.identity()


def test_a_folder_of_files_in_order(tmp_path):
    (tmp_path / "color_val.txt").write_text("a red cat\n")
    (tmp_path / "shape_val.txt").write_text("a round dog\n")
    (tmp_path / "README.md").write_text("no prompt")
    assert prompts(tmp_path) == ["a red cat", "a round dog"]
    conditions = list(Prompts(path=str(tmp_path), files=["shape_val.txt", "color_val.txt"]))
    assert [c.metadata["file"] for c in conditions] == ["shape_val", "color_val"]
    with pytest.raises(ValueError, match=r"lacks numeracy_val\.txt; or: git clone"):
        Prompts(path=str(tmp_path), files=["numeracy_val.txt"], get="git clone there")


def test_a_dataset_of_the_hubs_cache(tmp_path, monkeypatch):
    snapshot = tmp_path / "datasets--owner--bench" / "snapshots" / ("0" * 40)
    (snapshot / "color_val").mkdir(parents=True)
    (snapshot / "color_val" / "part.jsonl").write_text('{"text": "a red cat"}\n')
    (tmp_path / "datasets--owner--bench" / "refs").mkdir()
    (tmp_path / "datasets--owner--bench" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert prompts("owner/bench") == ["a red cat"]
    assert prompts("owner/bench", files=["color_val/*.jsonl"]) == ["a red cat"]
    with pytest.raises(ValueError, match=r"hf download owner/other --include '\*' --repo-type dataset"):
        prompts("owner/other")


def test_a_column_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("prompt,title\nx,y\n")
    assert prompts(tmp_path / "a.csv", column="title") == prompts(tmp_path / "a.csv", column="Title") == ["y"]


def test_a_folder_asks_about_what_it_cannot_tell(tmp_path):
    for name in ("A.CSV", "b.ndjson", "c.Jsonl.gz", "README.md", "LICENSE", ".gitattributes", "picture.PNG"):
        text = {"A.CSV": "prompt\none\n", "b.ndjson": '"two"', "c.Jsonl.gz": '"three"'}.get(name, "x")
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert prompts(tmp_path) == ["one", "two", "three"]
    (tmp_path / "more.yaml").write_text("- four")
    with pytest.raises(ValueError, match=r"more\.yaml is none of \.csv.*conditions\.files=\['\*\.csv'\]"):
        prompts(tmp_path)
    assert prompts(tmp_path, files="*.ndjson") == ["two"]


def test_hidden_files_of_a_folder_are_passed_over(tmp_path):
    (tmp_path / "p.csv").write_text("prompt\none\n")
    (tmp_path / "._p.csv").write_bytes(b"\0\5\26\7")  # what a Mac leaves beside a file on other disks
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "p-checkpoint.csv").write_text("prompt\ntwo\n")
    assert prompts(tmp_path) == prompts(tmp_path, files="*.csv") == ["one"]
    assert prompts(tmp_path, files=".ipynb_checkpoints/*.csv") == ["two"]


def test_a_row_may_set_what_holds_for_it_alone(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,Negative_Prompt,seed,guidance_scale,kind\na,blurry,7,1.5,x\na,,,,y\na,,8,,z\n")
    first, second, third = Prompts(path=str(path))
    assert first.settings == (("negative_prompt", "blurry"), ("seed", 7), ("guidance_scale", 1.5))
    assert second.settings == ()
    assert [c.metadata["kind"] for c in (first, second, third)] == ["x", "y", "z"]
    assert not {"Negative_Prompt", "seed"} & set(first.metadata)
    assert len({c.key for c in (first, second, third)}) == 3
    assert second.key == Condition(prompt="a", copy=1).key


def test_what_rows_set_is_part_of_the_identity(tmp_path):
    files = {
        "plain": "prompt\na\n",
        "empty": "prompt,seed\na,\n",
        "seven": "prompt,seed\na,7\n",
        "eight": "prompt,seed\na,8\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    plain, empty, seven, eight = (Prompts(path=str(tmp_path / f"{name}.csv")).identity() for name in files)
    assert plain == empty
    assert len({str(identity) for identity in (plain, seven, eight)}) == 3


ROWS = ['{"prompt": "a"}', '{"prompt": "a", "Seed": 7, "kind": "x"}', '{"prompt": "b", "guidance_scale": 1.5}', '"c"']


@pytest.mark.parametrize(
    ("suffix", "text"), [("jsonl", "\n".join(ROWS)), ("json", f"[{', '.join(ROWS)}]")], ids=["jsonl", "json"]
)
def test_every_row_of_json_has_settings_of_its_own(tmp_path, suffix, text):
    path = tmp_path / f"a.{suffix}"
    path.write_text(text)
    read = Prompts(path=str(path))
    assert [c.settings for c in read] == [(), (("seed", 7),), (("guidance_scale", 1.5),), ()]
    assert [c.metadata for c in read] == [{"file": "a"}, {"file": "a", "kind": "x"}, {"file": "a"}, {"file": "a"}]
    (tmp_path / "a.csv").write_text("prompt,seed,guidance_scale,kind\na,,,\na,7,,x\nb,,1.5,\nc,,,\n")
    assert read.identity() == Prompts(path=str(tmp_path / "a.csv")).identity()
    path.write_text(text.replace("7", '"x"'))
    with pytest.raises(ValueError, match=r"(line|row) 2: seed is 'x', and a whole number is needed"):
        list(Prompts(path=str(path)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": 3}, "conditions.path=3 was read as int"),
        ({"column": 3}, "conditions.column=3"),
        ({"files": [3]}, "conditions.files=3"),
        ({"copies": "two"}, "conditions.copies='two' must be a whole number"),
        ({"count": "abc"}, "conditions.count='abc' must be a whole number"),
        ({"count": 0}, "conditions.count=0 .* at least 1"),
        ({"encoding": "latin-99"}, "three.txt, which is not latin-99"),
    ],
)
def test_arguments_are_checked_where_they_enter(three, options, message):
    with pytest.raises(ValueError, match=message):
        Prompts(**{"path": str(three), **options})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "title,kind\nx,y\n", "no column prompt or prompts or text or caption; .* one of title, kind"),
        ("a.csv", "prompt,kind\n\nx,z\n,y\n", "a.csv, line 4: the prompt in column 'prompt' is ''"),
        ("a.csv", "id,prompt\n1,x\n2\n", "a.csv, line 3: there is no 'prompt'"),
        ("a.csv", "Prompt,PROMPT\nx,y\n", "may be 'Prompt' or 'PROMPT'"),
        ("a.csv", "prompt,seed\nx,1\ny,abc\n", "a.csv, line 3: seed is 'abc', and a whole number is needed"),
        ("a.jsonl", '{"prompt": "a", "guidance_scale": "inf"}', "line 1: guidance_scale is 'inf'"),
        ("a.jsonl", '{"prompt": "a", "negative_prompt": 3}', "negative_prompt is 3, and a text is needed"),
        ("a.jsonl", '"a"\n{"text": "b"}', "a.jsonl, line 2: there is no 'prompt'"),
        ("a.json", "[3]", "row 1: the prompt in column 'prompt' is 3"),
        ("a.txt", "\n\n", "no prompts"),
    ],
)
def test_bad_rows_say_their_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        prompts(tmp_path / name)
