import csv
import json
import re

import numpy as np
import pytest
from folders import make_run
from paper_studies import make_all
from PIL import Image

from scaling.analysis.figures import curves, paper, tables
from scaling.analysis.figures.gains import gain
from scaling.analysis.figures.make import make, normalized
from scaling.analysis.figures.specs import FIGURES, TABLES, shown
from scaling.analysis.runs.costs import cost, paper_nfe
from scaling.analysis.runs.folder import open_run, open_study


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return make_all(tmp_path_factory.mktemp("outputs"))


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "judges"])  # which test_judges draws from its own
def test_every_figure_is_drawn_as_png_and_pdf(outputs, tmp_path, name):
    png, pdf = make(name, outputs, tmp_path)[:2]
    assert (png.name, pdf.name) == (f"{name}.png", f"{name}.pdf")
    assert np.asarray(Image.open(png).convert("L")).std() > 5
    assert pdf.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["fig06", "fig11"])
def test_figures_take_the_papers_axis(outputs, tmp_path, name):
    axis = {"fig06": "paper_nfe", "fig11": "paper_gflops"}[name]
    assert make(name, outputs, tmp_path, axis=axis)[0].exists()


def test_variants_of_a_method_share_a_panel(tmp_path):
    for search in ("zero_order", "zero_order_4", "paths_1", "paths"):
        make_run(tmp_path / "fig06", search, search, ladder=(1, 2), conditions=20, images=False)
    runs = open_study(tmp_path / "fig06").runs
    picture = curves.draw(FIGURES["fig06"], None, runs, None, False)
    assert [panel.get_title() for panel in picture.axes] == ["FID ↓, zero order", "FID ↓, paths"]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_written_three_ways(outputs, tmp_path, name):
    paths = make(name, outputs, tmp_path)
    assert [path.suffix for path in paths] == [".md", ".tex", ".csv"]
    markdown, latex, rows = (path.read_text() for path in paths)
    assert "| no search |" in markdown
    assert latex.count("\\toprule") == latex.count("\\bottomrule") == 1
    assert len({line.count("&") for line in latex.splitlines() if "&" in line}) == 1
    assert {row["metric"] for row in csv.DictReader(rows.splitlines())} <= {*TABLES[name].metrics, *TABLES[name].costs}


def test_names_may_be_short():
    assert [normalized(each) for each in ("fig6", "6", "FIG06", "figure6", "tab1", "quickstart")] == [
        *("fig06", "fig06", "fig06", "fig06", "tab01", "quickstart")
    ]


def test_missing_runs_say_which_command_makes_them(tmp_path):
    with pytest.raises(ValueError, match=r"make them: scaling -m experiment=fig06"):
        make("fig6", tmp_path)
    with pytest.raises(ValueError, match="there is no fig02; there are fig01"):
        make("fig02", tmp_path)
    make_run(tmp_path / "mine", conditions=20)
    with pytest.raises(ValueError, match="and the studies mine"):
        make("min", tmp_path)
    with pytest.raises(ValueError, match="methods holds no runs; the nearest is contest; there are the figures fig01"):
        make("methods", tmp_path)


def test_a_figure_without_its_metric_says_what_there_is(tmp_path):
    make_run(tmp_path / "fig10", conditions=20)
    with pytest.raises(ValueError, match="shows inception_score, and the runs have accuracy, classifier, fid"):
        make("fig10", tmp_path)


def test_any_study_is_drawn_in_all_its_metrics(outputs, tmp_path):
    assert [path.name for path in make("fig07", outputs, tmp_path)] == ["fig07.png", "fig07.pdf"]
    make_run(tmp_path / "mine", conditions=20)
    assert make("mine", tmp_path, tmp_path)[0].name == "mine.png"


def test_the_papers_curves_lie_over_runs_of_its_models(tmp_path):
    make_run(tmp_path / "fig06", search="zero_order", model="sit_xl", settings={"search": {"neighbors": 2}})
    runs = open_study(tmp_path / "fig06").runs
    picture = curves.draw(FIGURES["fig06"], 6, runs, "nfe", True)
    labels = [[handle.get_label() for handle in panel.lines] for panel in picture.axes if panel.get_visible()]
    assert any("paper: zero order, neighbors 2" in each or "paper: zero order 2" in each for each in labels)
    alone = curves.draw(FIGURES["fig06"], 6, runs, "nfe", False)
    assert not any("paper" in str(line.get_label()) for panel in alone.axes for line in panel.lines)


def test_the_papers_data_are_whole():
    assert {number for number in range(1, 15) if paper.curves(number)} == {1, 3, 4, 5, 6, 8, 9, 10, 11, 13}
    assert all(len(curve.compute) == len(curve.value) for curve in paper.curves(6))
    (fid,) = [c for c in paper.curves(1) if c.metric == "fid"]
    assert fid.value[0] == 11.4
    assert len(paper.table(2)) == 52


def test_a_table_is_compared_with_the_paper(tmp_path):
    make_run(tmp_path, "flux", model="flux_dev", verifier="aesthetic", ladder=(1, 144), scores=("aesthetic",))
    run = open_run(tmp_path / "flux")
    made = tables.cells(TABLES["tab02"], 2, [run])
    base, best = made
    assert (base.search, base.paper) == ("none", 5.79)
    assert base.difference == pytest.approx(base.value - 5.79)
    assert base.within == (base.low <= 5.79 <= base.high)
    assert (best.search, best.search_nfe, best.paper) == ("random", "2880", 6.38)
    text = tables.markdown(TABLES["tab02"], 2, made)
    assert re.search(r"\(paper 5\.79, [+-]0\.\d+, (within|outside)\)", text)


def test_the_papers_ensemble_is_found_under_our_names_and_near_its_compute(tmp_path):
    options = {"model": "flux_dev", "scores": ("aesthetic",)}
    for verifier, size in (("mean_rank", 144), ("ensemble", 140), ("aesthetic", 100)):
        make_run(tmp_path, verifier, verifier=verifier, ladder=(1, size), **options)
    made = tables.cells(TABLES["tab02"], 2, open_study(tmp_path).runs)
    found = {(cell.verifier, cell.search_nfe): cell.paper for cell in made}
    assert found == {
        ("", "0"): 5.79,
        ("mean_rank", "2880"): 6.06,
        ("ensemble", "2800"): 6.06,
        ("aesthetic", "2000"): None,
    }


def test_guidance_scales_are_rows_of_their_own(tmp_path):
    for scale in (1.0, 2.0):
        make_run(tmp_path, f"{scale}", guidance=scale, scores=("aesthetic",), ladder=(1, 4))
    made = tables.cells(TABLES["tab03"], 3, open_study(tmp_path).runs)
    assert {cell.model for cell in made} == {"fashion_m, guidance 1", "fashion_m, guidance 2"}
    assert len(made) == 4


def test_runs_without_the_papers_metrics_show_their_own(tmp_path):
    make_run(tmp_path / "tab02", scores=("shapes_clip",), ladder=(1, 4))
    make_run(tmp_path / "fig08", scores=("mine",), ladder=(1, 4))
    assert shown(TABLES["tab02"], open_study(tmp_path / "tab02").runs) == ("shapes_clip", "accuracy")
    assert set(shown(TABLES["tab01"], open_study(tmp_path / "fig08").runs)) == {"mine", "accuracy"}
    assert "| shapes' CLIP ↑ |" in make("tab02", tmp_path, tmp_path)[0].read_text()
    with pytest.raises(
        ValueError, match=r"paper.fig09 holds no runs yet; make them: scaling -m experiment=paper/fig09"
    ):
        make("paper/fig9", tmp_path)


def test_the_papers_axis(tmp_path):
    settings = {"budget": {"nfes_per_iter": 50, "final_nfe": 250}}
    random = open_run(make_run(tmp_path, "random", settings=settings, ladder=(1, 4), conditions=20))
    assert [paper_nfe(random, point) for point in random.series("fid")] == [250, 400]
    zero = {**settings, "search": {"neighbors": 2}}
    zero_order = open_run(make_run(tmp_path, "zo", "zero_order", settings=zero, ladder=(1, 3, 9), conditions=20))
    assert [paper_nfe(zero_order, point) for point in zero_order.series("fid")] == [250, 300, 600]
    paths = open_run(make_run(tmp_path, "paths", "paths", settings=settings, ladder=(4, 8), conditions=20))
    assert [paper_nfe(paths, point) for point in paths.series("fid")] == [225 + 45 * 4, 225 + 45 * 8]
    flux = {"budget": {"nfes_per_iter": 30, "final_nfe": 30}}
    flux_run = open_run(make_run(tmp_path, "flux", settings=flux, ladder=(1, 4), conditions=20))
    assert [paper_nfe(flux_run, point) for point in flux_run.series("fid")] == [30, 120]
    point = random.series("fid")[0]
    assert cost(random, point, "paper_gflops") == pytest.approx(250 * 0.01 / 2)
    with pytest.raises(ValueError, match="no axis for the search 'smc'"):
        paper_nfe(random, point.__class__(**{**vars(point), "search": "smc"}))


def test_seconds_come_from_what_the_run_paid(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 4), conditions=20))
    cheap, dear = (cost(run, point, "seconds") for point in run.series("fid"))
    assert dear == pytest.approx(4 * cheap)
    paid = run.cost["paid"]
    assert dear == pytest.approx(run.series("fid")[-1].nfe * run.cost["seconds"] / paid["nfe"])
    padded = run.cost | {"paid": paid | {"forwards": 3 * paid["forwards"]}}  # what was paid for, however it was filled
    (run.path / "cost.json").write_text(json.dumps(padded))
    assert cost(open_run(run.path), run.series("fid")[-1], "seconds") == dear
    (run.path / "cost.json").unlink()
    with pytest.raises(ValueError, match="no seconds of its own"):
        cost(open_run(run.path), run.identity, "seconds")


def test_gains_are_paired(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 8), conditions=100))
    whole = run.series("classifier")
    found = gain(run, "classifier", -1)
    assert found.value == pytest.approx(100 * (whole[1].value / whole[0].value - 1))
    assert found.low < found.value < found.high
    assert tuple(gain(run, "classifier", 0)) == (0, 0, 0)
