import pytest
from folders import make_run

from scaling.analysis.figures.curve_plot import draw_panel, new_figure, short_number, with_error
from scaling.analysis.questions.advise import traces
from scaling.analysis.report.data import study_data
from scaling.analysis.runs.folder import Run, Study
from scaling.analysis.runs.lines import intervals, make_lines
from scaling.analysis.runs.names import key_of


def test_intervals_are_shown_within_the_metrics_range(tmp_path):
    sets = ("fid", "recall", "precision")
    runs = [Run(make_run(tmp_path, f"r{seed}", conditions=25, seed=seed, sets=sets)) for seed in (0, 1)]
    raw = (runs[0].path / "curve.csv").read_text()
    assert any(float(line.split(",")[-3]) < 0 for line in raw.splitlines() if ",fid," in line)  # as of earlier versions
    for metric, most in (("fid", float("inf")), ("recall", 1.0), ("precision", 1.0)):
        for shown in (intervals(runs[:1], metric), intervals(runs, metric)):
            assert all(each.low >= 0 and each.high <= most for each in shown)


def test_a_cut_interval_is_written_whole():
    assert with_error(0.95, 0.8, 1.0) == "0.95 [0.80, 1.00]"
    assert with_error(14.3, 13.9, 14.7) == "14.30 ± 0.40"


def test_a_rung_that_buys_nothing_is_no_second_point(tmp_path):
    run = Run(make_run(tmp_path, ladder=(1, 2), conditions=25))
    curve = run.path / "curve.csv"
    lines = curve.read_text().splitlines()
    curve.write_text(
        "\n".join([*lines, *(line.replace(",1,40,", ",2,50,") for line in lines if ",1,40," in line)]) + "\n"
    )
    again = Run(run.path)
    assert again.idle == {2}
    (line,) = make_lines([again], "fid")
    assert line.x == (20.0, 40.0)


def test_nor_is_it_one_in_the_report_and_in_advice(tmp_path):
    run = Run(make_run(tmp_path, ladder=(1, 2, 2), conditions=25, images=False))
    assert run.idle == {2}
    (drawn,) = study_data(Study(tmp_path, (run,)))["lines"]
    assert drawn["costs"]["nfe"] == [20.0, 40.0] and len(drawn["values"]["fid"]) == 2
    (trace,) = traces([run], "fid")
    assert trace.cost.tolist() == [20.0, 40.0] and len(trace.points) == len(trace.intervals) == 2


def test_axes_have_ticks_at_both_ends(tmp_path):
    run = Run(make_run(tmp_path, ladder=(1, 3, 22), conditions=25))
    _, (panel,) = new_figure([1])
    draw_panel(panel, make_lines([run], "fid"), "nfe")
    ticks = panel.get_xticks()
    assert (ticks[0], ticks[-1]) == (20, 440)


def test_a_tick_is_a_short_number():
    shown = (2.49305907, 93.57823, 0.0123456, 20, 440, 2000, 9999, 30_000, 1.5e6)
    assert [short_number(value) for value in shown] == [
        *("2.493", "93.58", "0.01235", "20", "440", "2,000", "9,999", "30k", "1.5M"),
    ]


@pytest.mark.parametrize("unit", ["candidates", "gflops", "seconds"])
def test_a_ladder_is_no_part_of_what_a_line_is(tmp_path, unit):
    runs = [Run(make_run(tmp_path, name, conditions=25, settings={"budget": {unit: name}})) for name in ("a", "b")]
    assert key_of(runs[0]) == key_of(runs[1])
