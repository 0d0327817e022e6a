import io

import numpy as np
import pytest
from folders import make_run, make_study
from PIL import Image
from rich.console import Console

from scaling.analysis.figures.curve_plot import draw_curves, draw_panel, new_figure, print_table, with_error
from scaling.analysis.figures.style import family, look, lower_is_better, pretty, shade
from scaling.analysis.runs.folder import open_run, open_study
from scaling.analysis.runs.lines import make_lines


@pytest.fixture
def study(tmp_path):
    return open_study(make_study(tmp_path / "quick", conditions=60))


def test_the_picture_is_drawn(study, tmp_path):
    path = draw_curves(study.runs, tmp_path / "curve.png")
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert pixels.shape[1] > 1000
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert list(tmp_path.glob(".curve*")) == []


def test_search_steps_and_control_look_apart(study):
    lines = {line.label: line for line in make_lines(study.runs, "fid")}
    assert set(lines) == {"random search", "control (no information)", "more denoising steps"}
    assert lines["more denoising steps"].look.dash == "--"
    assert len({line.look for line in lines.values()}) == 3
    assert lines["random search"].x == (20, 40, 80, 160, 320)


def test_lines_name_only_what_differs(tmp_path):
    for verifier in ("classifier", "oracle"):
        make_run(tmp_path, verifier, verifier=verifier, conditions=20)
    assert [line.label for line in make_lines(open_study(tmp_path).runs, "fid")] == ["classifier", "oracle"]


def test_seeds_share_one_line_with_a_narrower_interval(tmp_path):
    for seed in (0, 1, 2):
        make_run(tmp_path, f"seed{seed}", seed=seed, conditions=200)
    runs = open_study(tmp_path).runs
    (line,) = make_lines(runs, "fid")
    first = runs[0].series("fid")[0]
    assert line.y[0] == pytest.approx(np.mean([run.series("fid")[0].value for run in runs]))
    assert line.high[0] - line.low[0] < first.ci_high - first.ci_low


@pytest.mark.parametrize("axis", ["forwards", "gflops", "candidates"])
def test_any_axis(study, axis):
    line = next(line for line in make_lines(study.runs, "accuracy", axis) if line.label == "random search")
    scale = {"forwards": 40, "gflops": 0.4, "candidates": 1}[axis]
    assert line.x == pytest.approx([size * scale for size in (1, 2, 4, 8, 16)])


def test_one_rung_shows_its_interval(tmp_path):
    (line,) = make_lines([open_run(make_run(tmp_path, ladder=(4,), conditions=60))], "fid")
    _, (panel,) = new_figure([1])
    draw_panel(panel, [line], "nfe")
    heights = [np.ptp(each.get_datalim(panel.transData).get_points()[:, 1]) for each in panel.collections]
    assert max(heights) == pytest.approx(line.high[0] - line.low[0])
    bars = [each for each in panel.collections if hasattr(each, "get_segments")]
    assert len(bars) == 1


def test_unknown_names_are_answered(study, tmp_path):
    with pytest.raises(ValueError, match="no run has the metric 'fidd'; there are fid"):
        draw_curves(study.runs, tmp_path / "x.png", metrics=["fidd"])
    with pytest.raises(ValueError, match="no cost axis 'hours'"):
        draw_curves(study.runs, tmp_path / "x.png", axis="hours")


def test_the_table_has_a_row_per_rung(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 8), conditions=60))
    out = io.StringIO()
    print_table(run, Console(file=out, width=120))
    text = out.getvalue()
    assert all(word in text for word in ("candidates", "NFE", "FID ↓", "accuracy ↑", "160", "±"))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_narrow_terminal_has_fewer_columns_and_names_the_others(tmp_path, width):
    run = open_run(make_run(tmp_path, ladder=(1, 8), conditions=60))
    out = io.StringIO()
    print_table(run, Console(file=out, width=width, force_terminal=True, color_system=None))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].rstrip("…")[:20] == run.name[: min(20, width - 1)]
    assert lines[1].startswith("┏"), "the name takes one line"
    shown, left = lines[2], "".join(line for line in lines if line.startswith("not shown here"))
    assert "…" not in shown
    assert shown.count("↓") + shown.count("↑") >= 1
    assert bool(left) == (width < 80)
    assert left or all(pretty(metric) in shown for metric in run.metrics)


def test_values_show_the_digits_they_have():
    assert with_error(14.3456, 13.9, 14.8) == "14.35 ± 0.45"
    assert with_error(1234.5, 1200.0, 1269.0) == "1234 ± 34"
    assert with_error(0.5, float("nan"), float("nan")) == "0.5"
    assert with_error(float("nan"), 0, 1) == "-"


def test_a_method_keeps_its_color():
    assert look("search", "zero_order_2").color == look("search", "zero_order").color
    assert family("search", "zero_order_2") == "zero_order"
    shades = [shade(look("search", "zero_order"), place, 3) for place in range(3)]
    assert len({each.color for each in shades}) == len({each.marker for each in shades}) == 3
    assert look("search", "mine") == look("search", "mine")


def test_directions():
    assert lower_is_better("fid")
    assert not lower_is_better("accuracy")


def test_a_dollar_is_a_dollar(tmp_path):
    """`$$` stopped the picture once, and `$5 and a $9` was set as math."""
    run = open_run(make_run(tmp_path / "study", ladder=(1, 2), conditions=40))
    for title in ("a sign that says $$", "a $5 and a $9 tag"):
        assert draw_curves([run], tmp_path / "x.png", title=title).exists()
    assert [path.name for path in tmp_path.glob("*x.png*")] == ["x.png"]
