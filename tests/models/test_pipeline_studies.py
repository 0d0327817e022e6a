"""Whole studies over an open call: nothing is asked twice, whatever was killed, and whatever the batches are."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from brightness import Brightness
from configs import built
from studies import study
from tiny_families import FAMILIES, save_family
from torch._subclasses.fake_tensor import FakeTensor

import scaling
from scaling.budget import Budget
from scaling.conditions.one import One
from scaling.conditions.prompts import Prompts
from scaling.models.pipeline import Pipeline
from scaling.models.whole_solve import WholePipeline, WholeSolve
from scaling.notices import take_notices
from scaling.protocols import Condition

PROMPTS = ("a red cat on the green table", "two small dogs", "a photo of a cat")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family with its own layout of latents, which `latents=` does not take."""
    return save_family("flux2_klein", tmp_path_factory.mktemp("klein"))


def make(folder: Path, **changes: Any) -> Pipeline:
    family = FAMILIES["flux2_klein"]
    options: dict[str, Any] = {"path": str(folder), "dtype": "float32", "device": "cpu", "guidance_scale": 3.0}
    options |= {"height": family.height, "width": family.height, "options": family.options}
    return Pipeline(**{**options, "prompt_cache": str(folder / "cache"), **changes})


def prompts(folder: Path, rows: Sequence[str] = PROMPTS, header: str = "prompt") -> Prompts:
    (folder / "prompts.csv").write_text("\n".join([header, *rows]) + "\n")
    return Prompts(path=str(folder / "prompts.csv"))


def run_of(folder: Path, denoiser: Any, conditions: Any, search: str = "zero_order", **changes: Any) -> Any:
    parts = {
        "denoiser": denoiser, "conditions": conditions, "verifier": Brightness(), "search": built("search", search),
        "budget": Budget(nfes_per_iter=4, nfe=[16]), "batch_size": 4, "samples": 0, "extractors": {},
        "names": {"model": "klein"},
    }  # fmt: skip
    return study(folder, **{**parts, **changes})


def paid(folder: Path) -> dict[str, int]:
    cost: dict[str, int] = json.loads((folder / "cost.json").read_text())["paid"]
    return cost


class Kinds:
    """Rows that pass through each of a pipeline's networks, counted inside of them."""

    def __init__(self, pipe: Any) -> None:
        self.rows = {"transformer": 0, "vae": 0, "text_encoder": 0}
        layers = {"transformer": pipe.transformer.x_embedder, "vae": pipe.vae.decoder.conv_in}
        layers["text_encoder"] = pipe.text_encoder.model.embed_tokens
        for name, layer in layers.items():
            layer.register_forward_hook(lambda _, args, out, name=name: self.count(name, out))

    def count(self, name: str, output: torch.Tensor) -> None:
        if not isinstance(output, FakeTensor):  # FLOPs are counted on copies that compute nothing
            self.rows[name] += len(output)


def test_a_study_asks_for_what_it_pays_and_no_more(folder: Path, tmp_path: Path) -> None:
    """Opening and decoding ask no network but the decoder: it sees each candidate once, and one row for its FLOPs."""
    make(folder).prepare([Condition(prompt=prompt) for prompt in PROMPTS])
    model = make(folder)
    kinds = Kinds(model.pipe)
    verifier, scored = Brightness(), 0

    class Counting:
        differentiable, probe_sigma, identity = True, None, verifier.identity

        def __call__(self, images: torch.Tensor, conditions: Any, probes: Any = None) -> torch.Tensor:
            nonlocal scored
            scored += len(images)
            return verifier(images, conditions)

    cost = paid(scaling.run(run_of(tmp_path, model, prompts(tmp_path), "random", verifier=Counting())))
    assert kinds.rows == {"transformer": cost["forwards"], "vae": scored + 1, "text_encoder": 0}
    assert cost["forwards"] == cost["nfe"] * 2 > 0
    assert (model.memo.encoded, model.memo.loaded) == (0, 0)


def test_a_later_load_answers_in_the_same_bits(folder: Path, tmp_path: Path) -> None:
    first, again = (make(folder, prompt_cache=str(tmp_path)) for _ in range(2))
    assert first.networks.rows > again.networks.rows == 0
    assert first.memo.loaded > again.memo.loaded == 0
    x = torch.randn(2, *first.latent_shape, generator=torch.Generator().manual_seed(0))
    conditions = [Condition(prompt=prompt) for prompt in PROMPTS[:2]]
    answers = [model(x, torch.tensor([0.5, 1.0]), model.encode(conditions)) for model in (first, again)]
    assert torch.equal(answers[0].x0, answers[1].x0)
    assert torch.equal(first.decode(x), again.decode(x))
    assert (first.gflops(), first.forwards_per_call) == (again.gflops(), again.forwards_per_call)


def test_text_encoders_leave_the_memory_and_come_back_for_another_prompt(folder: Path, tmp_path: Path) -> None:
    model = make(folder, prompt_cache=str(tmp_path))
    model.prepare([Condition(prompt=PROMPTS[0])])
    assert all(weight.is_meta for weight in model.pipe.text_encoder.parameters())
    x, t = torch.zeros(1, *model.latent_shape), torch.tensor([0.5])
    late = model(x, t, model.encode([Condition(prompt=PROMPTS[1])]))
    early = make(folder, prompt_cache=str(tmp_path / "other"))
    assert torch.equal(late.x0, early(x, t, early.encode([Condition(prompt=PROMPTS[1])])).x0)


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


@pytest.mark.parametrize("search", ["zero_order", "smc"])
def test_killed_and_begun_again_it_ends_the_same_and_repeats_a_batch_at_most(
    search: str, folder: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"search": search, "batch_size": 2, "block_size": 1}
    whole = scaling.run(run_of(tmp_path / "whole", make(folder), prompts(tmp_path), **options))
    dying, asked = make(folder), 0
    forward = dying.pipe.transformer.forward

    def dies(*args: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 30:
            raise Crash
        return forward(*args, **options)

    dying.pipe.transformer.forward = dies
    with pytest.raises(Crash):
        scaling.run(run_of(tmp_path / "killed", dying, prompts(tmp_path), **options))
    later = make(folder)
    killed = scaling.run(run_of(tmp_path / "killed", later, prompts(tmp_path), **options))
    assert (killed / "curve.csv").read_text() == (whole / "curve.csv").read_text()
    columns = ["condition", "search/brightness"]
    one, two = (pq.read_table(each / "winners.parquet").select(columns) for each in (whole, killed))
    assert one.equals(two)
    batch = 2 * later.forwards_per_call * 4
    assert dying.networks.rows > 0
    assert later.networks.rows > 0
    assert 0 <= dying.networks.rows + later.networks.rows - paid(whole)["forwards"] <= batch
    assert later.memo.encoded == 0


def test_batches_change_nothing_but_roundings(folder: Path, tmp_path: Path) -> None:
    tables = []
    for size in (1, 3, 8):
        done = scaling.run(run_of(tmp_path / str(size), make(folder), prompts(tmp_path), "random", batch_size=size))
        tables.append(np.asarray(pq.read_table(done / "candidates")["search/brightness"]))
    assert len(tables[0]) > 6
    for table in tables[1:]:
        np.testing.assert_allclose(table, tables[0], atol=1e-5)


def test_a_condition_has_its_own_guidance_and_negative_prompt(folder: Path, tmp_path: Path) -> None:
    rows = [f'"{PROMPTS[0]}",,', f'"{PROMPTS[0]}",5.0,', f'"{PROMPTS[0]}",,9']
    conditions = list(prompts(tmp_path, rows, "prompt,guidance_scale,seed"))
    model, other = make(folder), make(folder, guidance_scale=5.0)
    x, t = torch.ones(1, *model.latent_shape), torch.tensor([0.5])
    plain, strong, seeded = (model(x, t, model.encode([condition])).x0 for condition in conditions)
    assert torch.equal(strong, other(x, t, other.encode(conditions[:1])).x0)
    assert torch.equal(seeded, plain)  # a seed is the noise's
    assert not torch.equal(strong, plain)
    together = model(x.expand(3, *x.shape[1:]), t.expand(3), model.encode(conditions)).x0
    torch.testing.assert_close(together, torch.cat((plain, strong, seeded)), atol=1e-5, rtol=0)
    run_of(tmp_path, model, prompts(tmp_path, rows, "prompt,guidance_scale,seed"))
    with pytest.raises(
        ValueError, match=r"sets guidance_scale=1, which makes other forwards than model.guidance_scale=3"
    ):
        model.encode([Condition(prompt="a", settings=(("guidance_scale", 1.0),))])
    with pytest.raises(ValueError, match="sets its own negative_prompt, which model=klein does not take"):
        run_of(tmp_path, model, prompts(tmp_path, ['"a cat",blurry'], "prompt,negative_prompt"))


@pytest.mark.parametrize("kind", [Pipeline, WholePipeline])
def test_a_negative_prompt_of_ones_own_is_heeded(kind: type, tmp_path: Path) -> None:
    folder = save_family("sd15", tmp_path / "sd15")
    options = {"path": str(folder), "dtype": "float32", "device": "cpu", "prompt_cache": str(tmp_path / "cache")}
    model, other = kind(**options), kind(**options, negative_prompt="two small dogs")
    assert model.settings == {"guidance_scale", "negative_prompt"}
    own = Condition(prompt="a cat", settings=(("negative_prompt", "two small dogs"),))
    x = torch.ones(1, *model.latent_shape)
    t = torch.tensor([0.5]) if kind is Pipeline else model.schedule.grid(2)[None]
    with torch.no_grad():
        answers = [m(x, t, m.encode([c])).x0 for m, c in ((model, own), (other, Condition(prompt="a cat")))]
        plain = model(x, t, model.encode([Condition(prompt="a cat")])).x0
    torch.testing.assert_close(*answers, atol=1e-6, rtol=0)
    assert not torch.allclose(plain, answers[0])


def test_no_call_stays_open_behind_a_study(folder: Path, tmp_path: Path) -> None:
    before = threading.active_count()
    model = make(folder)
    scaling.run(run_of(tmp_path, model, prompts(tmp_path)))
    del model
    assert threading.active_count() <= before


def test_whole_solves_of_a_study_are_the_pipelines_own_images(tmp_path: Path) -> None:
    """Searched with few steps, solved again with more; a prompt that is cut is said."""
    folder = save_family("sd15", tmp_path / "sd15")
    model = WholePipeline(path=str(folder), dtype="float32", device="cpu", prompt_cache=str(tmp_path / "cache"))
    long = "two small dogs of a photo on the green table " * 4
    take_notices()
    done = scaling.run(
        study(
            tmp_path / "out", denoiser=model, sampler=WholeSolve(), conditions=One(prompt=long), extractors={},
            budget=Budget(nfes_per_iter=2, final_nfe=3, candidates=[1, 2]), batch_size=2, samples=1,
        )
    )  # fmt: skip
    assert "1 prompts were cut: the model reads 77 tokens, and they have more" in take_notices()
    rows = list(csv.DictReader((done / "curve.csv").open()))
    assert [float(row["nfe"]) for row in rows] == [5.0, 7.0]
    assert [path.stat().st_size > 0 for path in sorted((done / "samples").rglob("00000.png"))] == [True, True]
