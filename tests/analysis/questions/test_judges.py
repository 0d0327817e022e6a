"""The strength of judges and the law of best of n under them, at closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaling.analysis.figures.judges import draw, markdown
from scaling.analysis.figures.specs import FIGURES
from scaling.analysis.questions.judges import Law, divergence, fit, judges, ladder, of_modes, strength
from scaling.analysis.runs.folder import Run
from scaling.schema import SEARCH

PROMPTS, POOL = 30, 128


def pool() -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong [prompts, candidates], and noise of the same shape."""
    rng = np.random.default_rng(0)
    return (rng.random((PROMPTS, POOL)) < 0.3).astype(float), rng.standard_normal((PROMPTS, POOL))


def scored(folder: Path, scores: dict[str, np.ndarray]) -> Run:
    """A run whose candidates have these scores, [prompts, candidates]."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    prompts, size = next(iter(scores.values())).shape
    numbers = {
        "condition": np.repeat(np.arange(prompts), size),
        "candidate": np.tile(np.arange(size), prompts),
        "t": np.zeros(prompts * size),
    }
    (folder / "candidates").mkdir()
    table = pa.table(numbers | {SEARCH + name: values.ravel() for name, values in scores.items()})
    pq.write_table(table, folder / "candidates" / "part-00000.parquet")
    return Run(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    right, noise = pool()
    return scored(
        tmp_path,
        {"shapes_oracle": right, "sharp": right + 0.3 * noise, "blind": noise, "perverse": -right + 0.3 * noise},
    )


def test_strength_is_one_for_the_truth_a_half_for_no_judge_and_none_for_its_opposite() -> None:
    right, noise = pool()
    assert strength(right, right).value == 1
    assert strength(np.zeros_like(right), right).value == 0.5
    assert strength(-right, right).value == 0
    assert strength(noise, right).value == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="both a right and a wrong"):
        strength(noise, np.ones_like(right))


def test_divergence_is_zero_for_one_candidate_and_grows() -> None:
    assert divergence(1) == 0
    assert divergence(2) == pytest.approx(np.log(2) - 0.5)
    assert ladder(128) == (1, 2, 4, 8, 16, 32, 64, 128)
    assert ladder(100) == (1, 2, 4, 8, 16, 32, 64)


def test_a_law_is_found_again_and_predicts_what_it_has_not_seen() -> None:
    counts, truth = ladder(256), Law(0.4, 0.13, 64, None)
    values = 0.5 + truth.gain(np.sqrt([divergence(n) for n in counts]))
    found = fit(counts, values)
    assert (found.alpha, found.beta) == pytest.approx((0.4, 0.13))
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.peak == pytest.approx((0.4 / 0.26) ** 2)
    assert fit(counts[:3], values[:3]).error is None


def test_a_judge_that_is_never_right_has_the_interval_of_a_share() -> None:
    right = np.tile([1.0, 0.0], (20, 1))
    never, always = strength(-right, right), strength(right, right)
    assert never[:2] == (0, 0)
    assert always[::2] == (1, 1)
    assert never.high == pytest.approx(1 - always.low)
    assert 0.1 < never.high < 0.2


def test_a_flat_curve_follows_no_law_and_has_no_peak() -> None:
    law = fit(ladder(64), [0.3, 0.3, 0.3 + 2**-54, 0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2])
    assert (law.alpha, law.beta, law.error, law.peak) == (0, 0, 0, float("inf"))


def test_judges_come_the_weakest_first_with_curves_over_all_subsets(run: Run) -> None:
    counts, found = judges(run)
    assert [judge.name for judge in found] == ["perverse", "blind", "sharp"]
    first = {round(judge.curve[0].value, 12) for judge in found}
    assert first == {round(float(pool()[0].mean()), 12)}, "a single candidate is the same under every judge"
    perverse, _, sharp = found
    assert perverse.peak == 0
    assert counts[sharp.peak] >= 16
    assert sharp.curve[4].value > 0.9


def test_the_figure_and_the_table_show_every_judge(run: Run) -> None:
    picture = draw(FIGURES["judges"], [run])
    curves, peaks = picture.axes[:2]
    assert len(picture.legends[0].get_texts()) == 3 + 1  # what a star is
    assert curves.get_xlim()[1] > divergence(POOL)
    assert len(peaks.get_lines()) >= 3
    lines = markdown([run]).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == ["perverse", "blind", "sharp"]
    assert f"mode of {POOL}" in lines[0]


def test_a_run_without_an_exact_judge_says_which_command_has_one(run: Run) -> None:
    with pytest.raises(ValueError, match="experiment=judges"):
        judges(run, exact="truth")


def test_modes_are_right_where_right_ones_are_usual_and_what_deceives_is_not() -> None:
    rng = np.random.default_rng(1)
    right = np.tile(np.repeat([1.0, 0.0], [40, 24]), (20, 1))
    center = np.repeat([0.0, -1.0, 0.5], [40, 22, 2])  # two of 64 deceive the judge
    scores = center + 0.05 * rng.standard_normal((20, 64))
    assert right[np.arange(20), scores.argmax(1)].mean() == 0
    assert of_modes(scores, right).mean() == 1
    assert (of_modes(7 * scores - 3, right) == of_modes(scores, right)).all()  # in the judge's own unit
    assert (of_modes(np.zeros((20, 64)), right) == 1).all()  # all alike: the first


def test_what_a_mode_is_ahead_is_a_difference_and_no_share(tmp_path: Path) -> None:
    right = np.tile(np.repeat([1.0, 0.0], [40, 24]), (20, 1))
    scores = np.tile(np.repeat([0.0, -1.0], [40, 24]), (20, 1)) + 0.05 * np.random.default_rng(1).standard_normal(
        (20, 64)
    )
    scores[0, 63] = 0.5  # deceives the judge, of one prompt
    (judge,) = judges(scored(tmp_path, {"shapes_oracle": right, "deceived": scores}))[1]
    assert judge.ahead.value == pytest.approx(1 / 20)
    assert not judge.ahead.excludes_zero


def test_a_judge_has_its_mode_beside_the_best_of_all(run: Run) -> None:
    by_name = {judge.name: judge for judge in judges(run)[1]}
    assert by_name["sharp"].mode.value == 1
    for judge in by_name.values():
        assert judge.ahead.value == pytest.approx(judge.mode.value - judge.curve[-1].value)
