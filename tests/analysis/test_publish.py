import json
import os
import shutil
import subprocess
import sys

import pytest
from folders import make_run

from scaling.analysis.publish import main, publish
from scaling.analysis.runs.folder import open_run


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path / "study", ladder=(1, 2, 8), conditions=60, pool=16)


def read(path):
    """The records of an offline run, as wandb's own reader prints them."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def history(records):
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def test_an_offline_run_holds_every_rung(folder):
    state = publish(folder)
    records = read(folder / state["path"])
    rows = history(records)
    run = open_run(folder)
    assert state["mode"] == "offline"
    assert [row["nfe"] for row in rows] == [20, 40, 160]
    for metric in run.metrics:
        assert [row[metric] for row in rows] == [point.value for point in run.series(metric)]
        assert [row[f"{metric}_ci_low"] for row in rows] == [point.ci_low for point in run.series(metric)]
    assert all(row["winners._type"] == "image-file" for row in rows)


def test_curves_step_by_nfe_in_the_group_of_the_study(folder):
    records = read(folder / publish(folder, tags=["mine"])["path"])
    steps = {r["metric"]["name"]: r["metric"].get("step_metric") for r in records if r["type"] == "metric"}
    assert {steps[name] for name in ("fid", "accuracy", "fid_ci_low")} == {"nfe"}
    head = next(record["run"] for record in records if record["type"] == "run")
    assert (head["run_group"], head["display_name"], head["project"]) == ("study", "random", "scaling")
    assert set(head["tags"]) == {"study", "fashion_m", "classifier", "random", "160 NFE", "mine"}
    assert head["config"]["update"]["budget"]["candidates"] == [1, 2, 8]


def test_publishing_twice_publishes_once(folder):
    first = publish(folder)
    assert publish(folder) == first
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1


def test_a_run_that_grew_replaces_its_offline_copy(folder, tmp_path):
    first = publish(folder)
    grown = make_run(tmp_path / "grown", ladder=(1, 2, 8, 16), conditions=60, pool=16)
    (folder / "curve.csv").write_bytes((grown / "curve.csv").read_bytes())
    again = publish(folder)
    assert again["id"] == first["id"]
    assert [row["nfe"] for row in history(read(folder / again["path"]))] == [20, 40, 160, 320]
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1


def test_a_copy_that_was_uploaded_gets_the_new_rungs_only(folder, tmp_path):
    first = publish(folder)
    (folder / first["path"] / f"run-{first['id']}.wandb.synced").touch()
    grown = make_run(tmp_path / "grown", ladder=(1, 2, 8, 16), conditions=60, pool=16)
    (folder / "curve.csv").write_bytes((grown / "curve.csv").read_bytes())
    again = publish(folder)
    assert again["id"] == first["id"]
    assert [row["nfe"] for row in history(read(folder / again["path"]))] == [320]


def test_rows_that_changed_behind_an_uploaded_copy_are_a_run_of_their_own(folder, tmp_path):
    first = publish(folder)
    (folder / first["path"] / f"run-{first['id']}.wandb.synced").touch()
    edited = make_run(tmp_path / "edited", ladder=(1, 2, 8), conditions=60, seed=1)
    (folder / "curve.csv").write_bytes((edited / "curve.csv").read_bytes())
    again = publish(folder)
    assert again["id"] != first["id"]
    assert [row["nfe"] for row in history(read(folder / again["path"]))] == [20, 40, 160]


def test_a_folder_made_anew_and_one_that_is_asked_for_have_new_ids(folder, tmp_path):
    first = publish(folder)
    assert publish(folder, new_id=True)["id"] != first["id"]
    shutil.rmtree(folder)
    assert publish(make_run(tmp_path / "study", ladder=(1, 2, 8), conditions=60, pool=16))["id"] != first["id"]


def test_the_name_says_a_budget_that_was_chosen_and_an_idle_rung_is_no_point(folder):
    config, curve = folder / "config.yaml", folder / "curve.csv"
    config.write_text(config.read_text() + "overrides: [budget.candidates=8]\n")
    lines = curve.read_text().splitlines()
    idle = [line.replace(",2,160,", ",3,170,") for line in lines if ",2,160," in line]
    curve.write_text("\n".join([*lines, *idle]) + "\n")
    records = read(folder / publish(folder)["path"])
    assert [row["nfe"] for row in history(records)] == [20, 40, 160]
    head = next(record["run"] for record in records if record["type"] == "run")
    assert head["display_name"] == "random, 170 NFE"


def test_disabled_writes_nothing(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert publish(folder) == {}
    assert not (folder / "wandb.json").exists()


def test_failures_are_one_line_and_touch_no_result(folder, monkeypatch, capsys):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setenv("WANDB_MODE", "onlin")
    assert main([str(folder)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: {folder} was not published: WANDB_MODE='onlin' is unknown; there are online, offline, dryrun, disabled"
    ]
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert main([str(folder), "--timeout", "2"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {folder} was not published: ")
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_that_is_no_run_is_named(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_without_a_key_it_is_said_what_to_type(folder, capsys):
    assert main([str(folder)]) == 1
    assert f"wandb login, then scaling-study sync {folder}" in capsys.readouterr().err


def test_dryrun_is_offline(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert publish(folder)["mode"] == "offline"


def test_wandbs_project_and_entity_are_obeyed(folder):
    command = [sys.executable, "-m", "scaling.analysis.publish", str(folder)]
    asked = {"WANDB_PROJECT": "mine", "WANDB_ENTITY": "team", "WANDB_MODE": "offline"}
    subprocess.run(command, env=os.environ | asked, check=True, capture_output=True)
    state = json.loads((folder / "wandb.json").read_text())
    head = next(record["run"] for record in read(folder / state["path"]) if record["type"] == "run")
    assert (head["project"], head["entity"]) == ("mine", "team")


def test_wandbs_folder_is_obeyed(folder, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    state = publish(folder)
    assert (folder / state["path"]).is_relative_to(tmp_path / "elsewhere")
    assert not (folder / "wandb").exists()
