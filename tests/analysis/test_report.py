import json
import re
import shlex
import shutil
import time
from pathlib import Path

import pytest
from folders import make_run, make_study

from scaling.analysis.report import write_report
from scaling.analysis.report.data import command, study_data
from scaling.analysis.runs.folder import open_run, open_study
from scaling.cli.study.command import main

LADDER = (1, 2, 4, 8, 16, 32)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "quick_study"
    make_study(folder, conditions=300, ladder=LADDER, sets=("fid", "recall"))
    make_run(folder, "zo", "zero_order", strength=0.7, conditions=300, ladder=LADDER, sets=("fid", "recall"))
    make_run(folder, "small", model="fashion_s", conditions=300, ladder=LADDER, sets=("fid", "recall"))
    return open_study(folder)


@pytest.fixture(scope="module")
def page(study):
    return write_report(study, study.path / "report.html")


def embedded(page):
    text = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    return json.loads(text)


def test_the_page_holds_everything_and_asks_for_nothing(page):
    text = page.read_text()
    assert page.stat().st_size < 25_000_000
    head = text[: text.index('<script id="data"')]
    assert not re.search(r'(src|href)="(https?:)?//', head)
    data = embedded(page)
    assert len(data["lines"]) == 5
    assert len(data["runs"]) == 5
    assert {each["id"] for each in data["metrics"]} == {"fid", "recall", "accuracy", "classifier"}
    assert {"nfe", "gflops", "forwards", "seconds"} <= {each["id"] for each in data["axes"]}


def test_images_carry_what_they_scored(page, study):
    run = next(run for run in embedded(page)["winners"] if run["name"] == "random-classifier")
    assert [rung["nfe"] for rung in run["images"]] == [size * 20 for size in LADDER]
    tile = run["images"][-1]["tiles"][2]
    assert tile["src"].startswith("data:image/png;base64,")
    real = next(run for run in study.runs if run.name == "random-classifier")
    assert tile["scores"]["classifier"] == real.per_sample("classifier")[-1][2]
    assert tile["what"] == "class 2"


def test_images_shrink_or_go_where_there_is_no_room(study, tmp_path):
    full = embedded(write_report(study, tmp_path / "full.html"))
    size = (tmp_path / "full.html").stat().st_size
    tight = embedded(write_report(study, tmp_path / "tight.html", largest=size - 15_000))
    assert len(full["winners"][0]["images"]) == len(LADDER)
    assert tight["winners"][0]["images"] == []
    assert any("images were left out" in each for each in tight["warnings"])


def test_names_cannot_break_out_of_the_page(tmp_path):
    make_run(tmp_path / "s", "x", verifier="</script><script>alert(1)</script>", conditions=20, ladder=(1, 2))
    text = write_report(open_study(tmp_path / "s"), tmp_path / "r.html").read_text()
    assert "<script>alert" not in text
    assert "\\u003cscript>alert" in text


def test_alarms_and_warnings_are_said(tmp_path):
    make_run(tmp_path / "s", conditions=1900, ladder=(*LADDER, 64))
    (tmp_path / "s" / "random" / "cost.json").unlink()
    data = study_data(open_study(tmp_path / "s"))
    assert any("narrowed from" in each for each in data["alarms"])
    assert any("not finished" in each for each in data["warnings"])
    assert any("FID of 1,900 conditions" in each for each in data["warnings"])
    assert any("guided the search" in each for each in data["warnings"])


def test_commands_are_the_overrides_where_they_were_kept(tmp_path):
    run = open_run(make_run(tmp_path, ladder=(1, 2), conditions=20))
    assert command(run).startswith("scaling budget=candidates model=fashion_m search=random verifier=classifier ")
    run.config["overrides"] = ["model=fashion_m", "budget.candidates=[1, 2]", 'conditions.prompt="it\'s red"']
    assert command(run).startswith("scaling model=fashion_m 'budget.candidates=[1, 2]' ")
    assert shlex.split(command(run))[1:] == run.config["overrides"]


def test_the_command_writes_the_page(tmp_path, capsys):
    make_run(tmp_path / "s", conditions=20, ladder=(1, 2))
    assert main(["report", str(tmp_path / "s")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "s" / "report.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium with an empty profile."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.fail("the report's tests need Chromium and its driver: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    yield driver
    driver.quit()


def show(browser, page: Path, width=1280, height=900):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    for _ in range(100):
        if browser.execute_script("return window.lastRedraw !== undefined && document.readyState === 'complete'"):
            return
        time.sleep(0.1)
    pytest.fail(f"the page did not draw: {browser.get_log('browser')}")


def drawn(browser):
    """Names and values of the lines in the chart."""
    script = "return document.getElementById('chart').data.filter(t => t.name).map(t => [t.name, t.x, t.y])"
    return {name: (x, y) for name, x, y in browser.execute_script(script)}


def choose(browser, field, value):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element(By.ID, field)).select_by_value(value)


@pytest.mark.browser
def test_curves_show_the_numbers_and_follow_the_choosers(browser, page, study):
    from selenium.webdriver.common.by import By

    show(browser, page)
    assert browser.get_log("browser") == []
    run = next(run for run in study.runs if run.name == "zo")
    lines = drawn(browser)
    assert len(lines) == 5
    name = next(each for each in lines if each.startswith("zero order"))
    assert lines[name] == (
        [point.nfe for point in run.series("fid")],
        pytest.approx([point.value for point in run.series("fid")]),
    )
    choose(browser, "metric", "recall")
    assert drawn(browser)[name][1] == pytest.approx([point.value for point in run.series("recall")])
    choose(browser, "axis", "gflops")
    assert drawn(browser)[name][0] == pytest.approx([point.gflops for point in run.series("recall")])
    browser.find_element(By.CSS_SELECTOR, "#search input[value=zero_order]").click()
    assert name not in drawn(browser)
    browser.find_element(By.CSS_SELECTOR, "#model input[value=fashion_s]").click()
    assert len(drawn(browser)) == 3
    browser.find_element(By.CSS_SELECTOR, "#legend button").click()
    assert len(drawn(browser)) == 2
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_every_axis_and_metric_draws(browser, page):
    from selenium.webdriver.common.by import By

    show(browser, page)
    offered = {
        field: [option.get_attribute("value") for option in browser.find_elements(By.CSS_SELECTOR, f"#{field} option")]
        for field in ("axis", "metric")
    }
    assert "backwards" not in offered["axis"]  # no run took a gradient: a log axis has no place for 0
    for axis in offered["axis"]:
        choose(browser, "axis", axis)
        assert drawn(browser), axis
    for metric in offered["metric"]:
        choose(browser, "metric", metric)
        assert drawn(browser), metric
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_the_slider_changes_the_images_by_keyboard(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, page)
    loaded = "return [...document.querySelectorAll('#grid img')].every(i => i.complete && i.naturalWidth > 0)"
    before = browser.find_element(By.CSS_SELECTOR, "#grid img").get_attribute("src")
    slider = browser.find_element(By.ID, "rung")
    slider.send_keys(Keys.END)
    after = browser.find_element(By.CSS_SELECTOR, "#grid img").get_attribute("src")
    assert before != after
    assert browser.find_element(By.ID, "nfe").text == "640 NFE"
    assert browser.execute_script(loaded)
    slider.send_keys(Keys.TAB)
    fact = browser.find_element(By.ID, "fact").text
    assert "condition 0, class 0, 640 NFE, classifier" in fact


@pytest.mark.browser
def test_every_control_is_reached_by_tab(browser, page):
    from selenium.webdriver.common.keys import Keys

    show(browser, page)
    seen = set()
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        seen.add(active.get_attribute("id") or active.get_attribute("value") or active.tag_name)
    assert {"metric", "axis", "bands", "ahead", "zero_order", "control", "fashion_s", "run", "rung", "button"} <= seen


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_page(browser, page, width):
    show(browser, page, width, 844)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script("return document.getElementById('chart').getBoundingClientRect().width") <= width
    assert browser.get_log("browser") == []


@pytest.mark.browser
@pytest.mark.slow
def test_fifty_runs_of_twelve_rungs_redraw_in_a_tenth_of_a_second(browser, tmp_path):
    ladder = tuple(range(1, 13))
    for number in range(50):
        settings = {"search": {"option": number}}
        make_run(tmp_path / "s", f"{number:02d}", ladder=ladder, conditions=40, images=False, settings=settings)
    show(browser, write_report(open_study(tmp_path / "s"), tmp_path / "report.html"))
    assert len(drawn(browser)) == 50
    times = [busy(browser, turn % 3) for turn in range(9)]
    assert sorted(times)[len(times) // 2] < 0.1


def busy(browser, metric):
    """Seconds that the page's own thread works to draw another metric: not those that other programs take."""

    def spent():
        found = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(each["value"] for each in found if each["name"] == "TaskDuration")

    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    before = spent()
    browser.execute_script("document.getElementById('metric').selectedIndex = arguments[0]; redraw()", metric)
    time.sleep(0.2)
    return spent() - before


def test_advice_says_its_interval(tmp_path):
    study = open_study(make_study(tmp_path / "s", ladder=(1, 2, 4), conditions=60))
    rows = study_data(study)["advice"]["classifier"]
    points = [p for run in study.runs for p in run.series("classifier")]
    assert rows
    wider = []
    for row in rows:  # of all rungs within the budget at once, since one is chosen after looking
        point = min(points, key=lambda p: abs(p.value - row["expected"]))
        assert point.value == pytest.approx(row["expected"], rel=1e-12)
        low, high = row["interval"]
        assert low < row["expected"] < high
        wider.append((high - low) / (point.ci_high - point.ci_low))
    assert min(wider) > 0.95  # one rung: by the bootstrap, not by Student's t
    assert wider[-1] > 1.1
