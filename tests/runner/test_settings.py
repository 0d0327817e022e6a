"""What a condition sets for itself alone is heeded or refused, never ignored."""

from pathlib import Path

import numpy as np
import pytest
import studies

from scaling.conditions.prompts import Prompts


def prompts(folder: Path, text: str) -> Prompts:
    (folder / "p.csv").write_text(text)
    return Prompts(path=str(folder / "p.csv"))


def test_what_the_model_does_not_take_is_refused(tmp_path: Path) -> None:
    wanted = r"condition 2 \('b'\) sets its own negative_prompt, which model=gaussianmixture does not take"
    rows = prompts(tmp_path, "prompt,negative_prompt\na,\nb,blurry\n")
    with pytest.raises(ValueError, match=wanted):
        studies.study(tmp_path, conditions=rows)
    denoiser = studies.mixture()
    denoiser.settings = frozenset({"negative_prompt"})
    assert len(studies.study(tmp_path, conditions=rows, denoiser=denoiser).conditions) == 2


def test_a_seed_picks_other_noises_of_its_row_alone(tmp_path: Path) -> None:
    plain = studies.study(tmp_path, conditions=prompts(tmp_path, "prompt\na\nb\n"))
    seeded = studies.study(tmp_path, conditions=prompts(tmp_path, "prompt,seed\na,5\nb,\n"))
    draws = [
        [study.space(condition).draw("candidate", 0).numpy() for condition in study.conditions]
        for study in (plain, seeded)
    ]
    assert not np.array_equal(draws[0][0], draws[1][0])
    assert np.array_equal(draws[0][1], draws[1][1])


def test_a_judge_is_given_the_samples_that_it_takes(tmp_path: Path) -> None:
    filmed, judge = studies.mixture(), studies.Toward()
    filmed.sample_axes = ("frames", "channels", "height", "width")
    wanted = "makes samples with the axes frames, channels, height, width, and verifier=toward takes channels, height"
    with pytest.raises(ValueError, match=wanted):
        studies.study(tmp_path, denoiser=filmed, verifier=judge)
    judge.sample_axes = filmed.sample_axes
    studies.study(tmp_path, denoiser=filmed, verifier=judge)
