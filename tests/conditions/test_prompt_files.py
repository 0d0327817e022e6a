"""Files of prompts as people have them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from scaling.conditions.prompt_files import Row, read_rows

PARTI = (  # as PartiPrompts has them: unquoted, one begins with a quotation mark, some are numbers
    "Prompt\tCategory\tChallenge\tNote\n"
    "42\tAbstract\tBasic\tA number\n"
    '"G I G G L E" painted in thick colorful lettering\tOutdoor Scenes\tWriting & Symbols\t\n'
    'a sign that says "Deep Learning"\tArtifacts\tWriting & Symbols\t"\n'
)


def prompts(file: Path, encoding: str | None = None) -> list[object]:
    return [row.cells["prompt"] for row in read_rows(file, encoding)]


def parquet_bytes(rows: list[dict[str, object]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    kept = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), kept)
    return kept.getvalue()


CONTENTS = {
    "csv": b'id,prompt\n1,"a ring, small"\n2,a cross\n',
    "tsv": b"id\tprompt\n1\ta ring, small\n2\ta cross\n",
    "json": b'[{"id": 1, "prompt": "a ring, small"}, {"id": 2, "prompt": "a cross"}]',
    "jsonl": b'{"prompt": "a ring, small"}\n\n{"prompt": "a cross"}\n',
    "ndjson": b'"a ring, small"\n"a cross"\n',
    "txt": b"a ring, small\na cross\n",
    "parquet": parquet_bytes([{"prompt": "a ring, small"}, {"prompt": "a cross"}]),
}


@pytest.mark.parametrize("suffix", CONTENTS)
def test_suffixes_in_any_case_and_gzipped(tmp_path: Path, suffix: str) -> None:
    for name in (f"a.{suffix}", f"a.{suffix.upper()}", f"a.b.{suffix.title()}"):
        (tmp_path / name).write_bytes(CONTENTS[suffix])
        assert prompts(tmp_path / name) == ["a ring, small", "a cross"]
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(CONTENTS[suffix]))
        assert prompts(tmp_path / f"{name}.gz") == ["a ring, small", "a cross"]


@pytest.mark.parametrize("name", ["p.yaml", "p.YML", "p.xlsx", "p.md", "prompts", "p.txt.zip", "p.gz"])
def test_what_is_none_of_them_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("- a red ring")
    with pytest.raises(ValueError, match=rf"{name}: prompts are read from \.csv, .*, not from "):
        prompts(tmp_path / name)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "txt"])
def test_line_ends_of_all_systems(tmp_path: Path, suffix: str, end: str) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(CONTENTS[suffix].replace(b"\n", end.encode()))
    assert prompts(tmp_path / f"a.{suffix}") == ["a ring, small", "a cross"]


def test_unquoted_tsv_keeps_quotation_marks_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(PARTI)
    rows = list(read_rows(tmp_path / "a.tsv"))
    assert [row.cells["Prompt"] for row in rows] == [line.split("\t")[0] for line in PARTI.splitlines()[1:]]
    assert [row.where for row in rows] == ["line 2", "line 3", "line 4"]


def test_quoted_tsv_keeps_tabs_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('kind\tprompt\nx\t"two\nlines"\nx\t"a\ttab"\nx\t"a ""word"""\ny\tplain\n')
    rows = list(read_rows(tmp_path / "a.tsv"))
    assert [row.cells["prompt"] for row in rows] == ["two\nlines", "a\ttab", 'a "word"', "plain"]
    assert [row.where for row in rows] == ["line 2", "line 4", "line 5", "line 6"]


def test_a_single_column_that_opens_and_does_not_close(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('Prompt\n"G I" painted\nplain\n')
    assert [row.cells["Prompt"] for row in read_rows(tmp_path / "a.tsv")] == ['"G I" painted', "plain"]


def test_json_of_other_forms(tmp_path: Path) -> None:
    (tmp_path / "lines.json").write_bytes(CONTENTS["jsonl"])
    assert prompts(tmp_path / "lines.json") == ["a ring, small", "a cross"]
    (tmp_path / "named.json").write_text('{"0001": {"prompt": "a"}, "0002": {"prompt": "b"}}')
    assert prompts(tmp_path / "named.json") == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    text = "naïve 猫\n"
    data = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)
    (tmp_path / "a.txt").write_bytes(data)
    assert list(read_rows(tmp_path / "a.txt")) == [Row("line 1", {"prompt": "naïve 猫"})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"prompt\na,b\n", "a.csv, line 2: 2 cells under 1 columns"),
        ("a.csv", b'prompt\nx\n"a', "a.csv, line 3: unexpected end of data"),
        ("a.csv", b"prompt,seed,prompt\na,1,b\n", "a.csv, line 1: there are two columns 'prompt'"),
        ("a.jsonl", b'"a"\n{', "a.jsonl, line 2, column 2: "),
        ("a.jsonl", b'{"prompt": "a", "prompt": "b"}', "a.jsonl, line 1: an object names one of prompt twice"),
        ("a.json", b'[\n"a",\n]', "a.json, line "),
        ("a.json", b"{}", "holds a dict"),
        ("a.json", b'{"prompt": ["a", "b"]}', "holds a dict"),
        ("a.parquet", b"PAR1", "a.parquet, which is no parquet"),
        ("a.txt.gz", b"plain", "a.txt.gz cannot be unpacked"),
        ("a.txt", b"a\n# my prompts\n", "a.txt, line 2: '# my prompts' looks like a comment"),
        ("a.txt", "a red fox".encode("utf-16-le"), r"zero bytes; try conditions\.encoding=utf-16"),
        ("a.txt", "naïve".encode("cp1252"), r"which is not utf-8 .*conditions\.encoding=cp1252"),
    ],
)
def test_broken_files_are_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        prompts(tmp_path / name)
    assert "\n" not in str(caught.value)
