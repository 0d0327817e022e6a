"""Studies that share a journal: each is answered by what it is made of, and none changes what another shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from studies import study
from tiny_pipelines import save

import scaling
from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.conditions.one import One
from scaling.models.pixart_sigma import PixArtSigma
from scaling.models.sd15 import SD15
from scaling.models.sdxl import SDXL
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal


def near(space: NoiseSpace) -> Iterator[Proposal]:
    for k in range(99):
        yield Proposal(space.start(space.draw("candidate", k)), space.times)


def far(space: NoiseSpace) -> Iterator[Proposal]:
    for k in range(99):
        yield Proposal(3 * space.start(space.draw("candidate", k)), space.times)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("candidates/*.parquet"))}


def rows(folder: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("candidates/*.parquet"))


def test_two_generator_functions_are_two_searches(tmp_path: Path) -> None:
    runs = [scaling.run(study(tmp_path, search=search, study=search.__name__)) for search in (near, far)]
    alone = scaling.run(study(tmp_path / "alone", search=far, study="far"))
    first, second = ((run / "curve.csv").read_text() for run in runs)
    assert second != first
    assert second == (alone / "curve.csv").read_text()


def test_a_smaller_study_of_the_same_stream_leaves_the_larger_ones_candidates(tmp_path: Path) -> None:
    def sized(name: str, count: int, ladder: list[int]) -> Path:
        conditions = ClassLabels(count=count, classes=2)
        return scaling.run(
            study(tmp_path, study=name, conditions=conditions, budget=Budget(nfes_per_iter=4, candidates=ladder))
        )

    larger = sized("a", 40, [4])
    before = contents(larger)
    smaller = sized("b", 16, [2])
    assert rows(larger) == 160 and contents(larger) == before
    assert rows(smaller) == 32


@pytest.mark.slow
@pytest.mark.parametrize(("family", "kind"), [("sd15", SD15), ("sdxl", SDXL), ("pixart_sigma", PixArtSigma)])
def test_another_scheduler_configuration_is_another_run(tmp_path: Path, family: str, kind: Any) -> None:
    def run(outputs: str, name: str = "run") -> str:
        denoiser = kind(
            path=str(tmp_path / "model"), height=32, width=32, dtype="float32", device="cpu",
            prompt_cache=str(tmp_path / "prompts"),
        )  # fmt: skip
        done = scaling.run(
            study(
                tmp_path / outputs,
                run=name,
                denoiser=denoiser,
                conditions=One(prompt="a cat"),
                budget=Budget(nfes_per_iter=2, candidates=1),
                extractors={},
                batch_size=1,
                samples=0,
            )
        )
        return (done / "curve.csv").read_text()

    save(family, tmp_path / "model")
    before = run("out")
    path = tmp_path / "model" / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "beta_end": 2 * config["beta_end"]}))
    with pytest.raises(ValueError, match=r"holds another run: .*schedule"):
        run("out")
    after = run("out", "other")
    assert after != before
    assert after == run("elsewhere")
