import importlib.util
from pathlib import Path

import pytest
from folders import make_study

from scaling.analysis.runs.folder import open_study

SCRIPT = Path(__file__).parents[2] / "scripts" / "wandb_dashboard.py"


@pytest.fixture(scope="module")
def dashboard():
    spec = importlib.util.spec_from_file_location("wandb_dashboard", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def study(tmp_path):
    return open_study(make_study(tmp_path / "quick", conditions=900, ladder=(1, 4, 32, 64), images=False))


def test_the_view_has_every_curve_by_every_part(dashboard, study):
    view = dashboard.workspace(study, "me", "scaling")
    assert [section.name for section in view.sections] == [
        *("Scaling curves", "By search", "By verifier", "By model", "Comparisons")
    ]
    for section in view.sections[:4]:
        assert [panel.y for panel in section.panels] == [["fid"], ["classifier"], ["accuracy"]]
        assert all(panel.x == "nfe" and panel.log_x for panel in section.panels)
    kinds = [type(panel).__name__ for panel in view.sections[-1].panels]
    assert kinds == ["WeavePanelSummaryTable", "MediaBrowser", "ParallelCoordinatesPlot"]


def test_the_report_tells_the_study(dashboard, study):
    text = str(dashboard.report(study, "me", "scaling").blocks)
    assert "3 runs over 900 conditions" in text
    assert "narrowed from" in text


def test_a_dry_run_prints_and_saves_nothing(dashboard, study, capsys):
    assert dashboard.main([str(study.path), "--entity", "me", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "scaling: quick" in text
    assert "3 runs over 900 conditions" in text


def test_errors_are_one_line(dashboard, tmp_path, capsys):
    assert dashboard.main([str(tmp_path / "none"), "--entity", "me"]) == 1
    assert capsys.readouterr().err == f"error: there is no folder {tmp_path / 'none'}\n"
