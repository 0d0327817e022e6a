"""Every file of a run is in the schema, with the columns and types that it says; the page of it is up to date."""

from __future__ import annotations

import csv
import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from studies import mixture, study

import scaling
from scaling.budget import Budget
from scaling.schema import FILES, SEARCH, Account, Candidate, File, Point, Replicate, Winner, columns, markdown, names
from scaling.search.random import Random
from scaling.search.smc import Smc
from scaling.search.zero_order import ZeroOrder

ARROW = {"text": pa.types.is_string, "whole number": pa.types.is_integer, "number": pa.types.is_floating}


@pytest.fixture(scope="module", params=["random", "sized"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    sized = {"search": Smc(), "budget": Budget(nfes_per_iter=4, candidates=[2, 4])}
    search = sized if request.param == "sized" else {}
    return scaling.run(study(folder, denoiser=mixture(), samples=2, **search))


def test_every_file_is_listed(run: Path) -> None:
    patterns = [re.sub(r"<\w+>", "*", file.path) + "*" * file.path.endswith("/") for file in FILES]
    for path in run.rglob("*"):
        name = str(path.relative_to(run))
        if path.is_file() and not name.startswith("."):
            assert any(fnmatch(name, pattern) for pattern in patterns), name


@pytest.mark.parametrize("file", [file for file in FILES if file.path.endswith(".parquet")], ids=lambda f: f.path)
def test_tables_have_the_listed_columns(run: Path, file: File) -> None:
    assert file.row is not None
    for path in run.glob(file.path):
        table = pq.read_table(path)
        kinds = {column.name: ARROW[column.kind] for column in columns(file.row)}
        found = {name: table.schema.field(name).type for name in table.column_names}
        assert list(kinds) == table.column_names[: len(kinds)]
        if table.num_rows:
            assert all(kind(found[name]) for name, kind in kinds.items())
        others = set(found) - set(kinds)
        assert all(pa.types.is_floating(found[name]) for name in others)
        assert {name.startswith(SEARCH) for name in others} == {key.startswith(SEARCH) for key in file.families}


def test_a_rung_has_one_number_and_one_budget_in_all_tables(run: Path) -> None:
    rows = list(csv.DictReader((run / "curve.csv").open()))
    winners = pq.read_table(run / "winners.parquet").to_pydict()
    assert tuple(rows[0]) == names(Point)
    rungs = {(int(row["rung"]), int(row["budget_nfe"])) for row in rows}
    assert rungs == set(zip(winners["rung"], winners["budget_nfe"], strict=True))
    assert set(pq.read_table(run / "replicates.parquet")["rung"].to_pylist()) <= {rung for rung, _ in rungs}
    assert all(float(row["search_nfe"]) <= int(row["budget_nfe"]) for row in rows)


def test_the_account_has_the_listed_keys(run: Path) -> None:
    assert tuple(json.loads((run / "cost.json").read_text())) == names(Account)


def test_no_name_is_explained_in_two_ways() -> None:
    meanings: dict[str, set[str]] = {}
    for row in (Point, Winner, Candidate, Replicate):
        for column in columns(row):
            meanings.setdefault(column.name, set()).add(f"{column.kind}: {column.about.meaning}")
    assert all(len(each) == 1 for each in meanings.values())


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "run_folder.md"
    assert page.read_text() == markdown(), "python -m scaling.schema > docs/run_folder.md"


def test_candidates_of_a_finished_run_are_its_own(tmp_path: Path) -> None:
    def read(folder: Path) -> list[tuple[str, bytes]]:
        return [(path.name, path.read_bytes()) for path in sorted((folder / "candidates").iterdir())]

    for search in (Random(), ZeroOrder()):
        folder, few = tmp_path / type(search).__name__, Budget(nfes_per_iter=4, candidates=[3])
        large = scaling.run(study(folder, search=search, study="a"))
        before = read(large)
        small = scaling.run(study(folder, search=search, study="b", budget=few))
        assert read(large) == before
        assert pq.read_table(small / "candidates").num_rows == 20 * 3 < pq.read_table(large / "candidates").num_rows
