"""What is typed is of the type that its parameter has, or one line names the key; nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaling.config.build import study_of
from scaling.config.compose import grid
from scaling.config.run_name import run_name
from scaling.config.settings import KEYS

MIXTURE = ("model=gaussian_mixture", "conditions.count=2", "logger=none", "batch_size=2", "budget.candidates=[1]")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("search=halving search.reuse=no", "search.reuse='no' must be true or false"),
        ("search=first_order search.normalized=1", "search.normalized=1 must be true or false"),
        ("search=smc search.lambda_=abc", "search.lambda_='abc' must be a number"),
        ("search=smc search.lambda_=true", "search.lambda_=True must be a number"),
        ("search=smc search.compat=1", """search.compat=1 must be a text or null: quote it, as search.compat='"1"'"""),
        ("search=dfs search.threshold=[1]", "search.threshold=[1] must be a number or null"),
        ("search=paths search.width=2.5", "search.width=2.5 must be a whole number"),
        ("conditions.seed=1.5", "conditions.seed=1.5 must be a whole number"),
        ("model.std=wide", "model.std='wide' must be a number"),
        ("budget.final_from=late", "budget.final_from='late' must be a number or null"),
        (
            "+verifier@scorers.more=command scorers.more.command=x scorers.more.prompts=no",
            "scorers.more.prompts='no' must be true",
        ),
        ("scorers=abc", "scorers='abc' is no option"),
        (
            "metrics.set.fid={_target_:scaling.metrics.fid.FID,reference:x,feature:1}",
            "metrics.set.fid.feature=1 must be",
        ),
        ("journal.probe_sigma=-1", "journal.probe_sigma=-1 must be greater than 0"),
        ("journal.probe_sigma=0", "journal.probe_sigma=0 must be greater than 0"),
        ("journal.probe_sigma=abc", "journal.probe_sigma='abc' must be a number"),
        ("model.latent_shape=[]", "latent_shape"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(tmp_path: Path, typed: str, line: str) -> None:
    extra = ["+" + word if word.startswith(("metrics.set", "search.compat")) else word for word in typed.split(" ")]
    ((config, overrides),) = grid([*MIXTURE, *extra, f"output_dir={tmp_path}"])
    with pytest.raises(ValueError) as refused:
        study_of(config, overrides)
    assert line in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("+verifier@scorer.oracle=oracle", "scorer is no key of the configuration; did you mean scorers? valid: model"),
        ("+seeed=3", "seeed is no key of the configuration; did you mean seed?"),
        (
            "+journal.retension=scores",
            "journal.retension is no key of the configuration; did you mean journal.retention",
        ),
        ("+journal.keep=scores", "journal.keep is called journal.retention by now"),
        ("+metrics.per_smaple.x._target_=y", "did you mean metrics.per_sample? valid: set, per_sample, extractors"),
        ("+experiment.seed=3", "experiment is no key of the configuration: a preset begins with # @package _global_"),
        ("journal=scores", "journal='scores' is no option: journal.retention=scores"),
        ("+phases=true", "phases=true is gone"),
    ],
)
def test_a_key_that_nothing_reads_is_refused(typed: str, line: str) -> None:
    ((config, overrides),) = grid([*MIXTURE, typed])
    with pytest.raises(ValueError) as refused:
        study_of(config, overrides)
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_all_keys_of_the_configuration_are_known() -> None:
    ((config, _),) = grid([*MIXTURE, "quick=true"])
    assert sorted(KEYS[""]) == sorted(config.keys() - {"choices"})
    assert all(sorted(KEYS[group]) == sorted(config[group]) for group in ("journal", "metrics"))


def test_a_recorded_configuration_may_have_keys_that_are_gone() -> None:
    ((config, overrides),) = grid([*MIXTURE, "+before=3"])
    assert study_of({**config, "overrides": overrides}, overrides).seed == 0


@pytest.mark.parametrize(
    "typed", ["seed=nan", "budget.final_nfe=inf", "model.means=[[0,nan]]", "budget.nfes_per_iter=nan"]
)
def test_what_is_no_finite_number_is_named(typed: str) -> None:
    ((config, overrides),) = grid([*MIXTURE, typed])
    with pytest.raises(ValueError, match=rf"^{typed.partition('=')[0]}.* is no finite number$"):
        run_name(config, overrides)


@pytest.mark.parametrize(
    "typed", ["search=smc search.lambda_=5", "search=dfs search.threshold=null", "journal.probe_sigma=0.5"]
)
def test_what_can_be_is_taken(tmp_path: Path, typed: str) -> None:
    ((config, overrides),) = grid([*MIXTURE, *typed.split(" "), f"output_dir={tmp_path}"])
    study_of(config, overrides)


def test_parts_of_ones_own_take_what_they_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("takes_all.py").write_text(
        "from scaling.search.random import Random\n"
        "class Mine:\n"
        "    def __init__(self, flag: bool = True): self.flag = flag\n"
        "    def __call__(self, space): yield from Random()(space)\n"
    )
    ((config, overrides),) = grid([*MIXTURE, "search=takes_all.py:Mine", "search.flag=7"])
    assert study_of(config, overrides).search.flag == 7
