"""A judge of latents: its search decodes nothing, the winners alone are decoded, and what that costs is predicted."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from counted import model, sketch
from studies import Toward, study
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import scaling
from scaling.budget import Budget, Prices
from scaling.conditions.class_labels import ClassLabels
from scaling.metrics.judged import Judged
from scaling.models.dit import DiT
from scaling.models.vae import VAE
from scaling.protocols import Condition
from scaling.search.halving import Halving
from scaling.search.random import Random
from scaling.search.reno import Reno
from scaling.search.zero_order import ZeroOrder
from scaling.tools.score import score
from scaling.verifiers.ensemble import Ensemble
from scaling.verifiers.python import Python

CONDITIONS = ClassLabels(count=6, classes=2)


class Near(Toward):
    """Prefers latents near a number, and keeps what it was shown; `latent_shape` is what tells it from `Toward`."""

    def __init__(self, shape: tuple[int, ...] = (1, 1, 2), probe_sigma: float | None = None) -> None:
        super().__init__(probe_sigma=probe_sigma)
        self.latent_shape = shape
        self.probed = 0

    def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Tensor:
        assert images.shape[1:] == self.latent_shape
        self.probed += 0 if probes is None else len(probes)
        return super().__call__(images, conditions, probes)

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "class": "Near"}


def judged(folder: Path, **changes: Any) -> Any:
    parts = {"denoiser": model(), "verifier": Near(), "conditions": CONDITIONS, "batch_size": 1, "samples": 0}
    return study(folder, **{**parts, "extractors": {}, **changes})


def rows(folder: Path) -> list[dict[str, Any]]:
    found = list(csv.DictReader((folder / "curve.csv").open()))
    return [row for row in found if row["metric"] == found[0]["metric"]]


@pytest.mark.parametrize("search", [Random(), ZeroOrder(), Halving(), Reno()], ids=lambda s: type(s).__name__)
def test_a_search_decodes_nothing_and_its_winner_once(tmp_path: Path, search: Any) -> None:
    run = judged(tmp_path, search=search, budget=Budget(nfes_per_iter=4, nfe=[40]))
    (row,) = rows(folder := scaling.run(run))
    assert run.denoiser.rows["decode"] == 0 == json.loads((folder / "cost.json").read_text())["paid"]["decodes"]
    assert float(row["decodes"]) == 1
    assert run.verifier.rows >= float(row["verifier_calls"]) * len(CONDITIONS) > 0


@pytest.mark.parametrize("final_nfe", [4, 8])
@pytest.mark.parametrize("draft", [False, True])
def test_winners_are_decoded_for_pictures_and_metrics(tmp_path: Path, final_nfe: int, draft: bool) -> None:
    drawn, sketched = model(), sketch() if draft else None
    budget = Budget(nfes_per_iter=4, final_nfe=final_nfe, candidates=[8])
    run = judged(tmp_path, denoiser=drawn, draft=sketched, budget=budget, samples=len(CONDITIONS))
    (row,) = rows(folder := scaling.run(run))
    assert drawn.rows["decode"] == len(CONDITIONS) * float(row["decodes"]) == len(CONDITIONS)
    assert sketched is None or sketched.rows["decode"] == 0
    assert len(list((folder / "samples" / "000032").glob("*.png"))) == len(CONDITIONS)


def test_the_same_winners_as_a_judge_of_the_decoded(tmp_path: Path) -> None:
    """The mixture decodes by (x + 1) / 2 and a clamp: a judge that does so itself scores the same."""
    decoder = model()

    class Same(Near):
        def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Tensor:
            assert images.shape[1:] == self.latent_shape
            shown = None if probes is None else decoder.decode(probes)
            return Toward.__call__(self, decoder.decode(images), conditions, shown)

    search = Halving()
    tables = [
        rows(scaling.run(judged(tmp_path / str(sigma) / kind, verifier=verifier, search=search)))
        for sigma in (None, 0.5)
        for kind, verifier in (("images", Toward(probe_sigma=sigma)), ("latents", Same(probe_sigma=sigma)))
    ]
    for images, latents in (tables[:2], tables[2:]):
        assert [row["value"] for row in images] == [row["value"] for row in latents]
        assert [row["search_nfe"] for row in images] == [row["search_nfe"] for row in latents]


def test_a_judge_of_latents_may_see_predictions_too(tmp_path: Path) -> None:
    run = judged(tmp_path, verifier=Near(probe_sigma=0.5))
    scaling.run(run)
    assert run.verifier.probed == run.verifier.rows > 0 == run.denoiser.rows["decode"]


def test_judges_of_both_kinds_side_by_side(tmp_path: Path) -> None:
    run = judged(tmp_path, scorers={"toward": Toward()}, budget=Budget(nfes_per_iter=4, candidates=[8]))
    (row,) = rows(scaling.run(run))
    assert run.denoiser.rows["decode"] == 8 * len(CONDITIONS)  # for the one that takes images, once each
    assert float(row["decodes"]) == 1  # what the guiding judge's search would cost alone


def test_a_later_judge_of_latents_decodes_nothing(tmp_path: Path) -> None:
    scaling.run(judged(tmp_path, verifier=Toward(), run="first"))
    later = judged(tmp_path, run="later")
    folder = scaling.run(later)
    paid = json.loads((folder / "cost.json").read_text())["paid"]
    assert (paid["nfe"], paid["decodes"]) == (0, 0) == (later.denoiser.rows["forward"], later.denoiser.rows["decode"])
    assert paid["verifier_calls"] == 8 * len(CONDITIONS)


def test_the_flops_are_those_that_torch_counts(tmp_path: Path) -> None:
    from tiny_pipelines import save

    vae = VAE(path=str(save("sd15", tmp_path)), subfolder="vae", device="cpu")

    class Decoded(DiT):
        """Its samples are the latents of a VAE that has nothing to do with it."""

        def __init__(self) -> None:
            super().__init__(path="fashion_s", device="cpu")
            self.vae = vae

        def decode(self, x0: Tensor) -> Tensor:
            return self.vae.decode(x0.repeat(1, 4, 1, 1)[..., :8, :8])

    class Head:
        differentiable, probe_sigma = True, None
        latent_shape = (1, 28, 28)

        def __init__(self) -> None:
            self.head = torch.nn.Linear(784, 1, bias=False)
            self.head.weight.data.fill_(0.01)

        def __call__(self, images: Tensor, conditions: Sequence[Condition], probes: Tensor | None = None) -> Tensor:
            return self.head(images.flatten(1)).squeeze(1)

        def identity(self) -> Mapping[str, Any]:
            return {"class": "Head"}

    parts = {
        "denoiser": Decoded(), "verifier": Head(), "conditions": ClassLabels(count=2, classes=10), "samples": 2,
        "budget": Budget(nfes_per_iter=2, candidates=[3]),
    }  # fmt: skip
    scaling.run(judged(tmp_path / "before", **parts))  # counts the prices
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        (row,) = rows(scaling.run(judged(tmp_path / "counted", **parts)))
    assert counter.get_total_flops() / 1e9 == pytest.approx(2 * float(row["total_gflops"]), rel=1e-9)
    assert float(row["verify_gflops"]) == pytest.approx(3 * 2 * 784 / 1e9)
    assert float(row["decode_gflops"]) > 0


def test_a_ladder_in_seconds_pays_for_no_decoding(tmp_path: Path) -> None:
    priced = Prices(forward=1.0, decode=100.0, verify=3.0, encode=1.0, images=0)
    run = judged(tmp_path, budget=Budget(nfes_per_iter=4, seconds=[8.0, 30.0]), seconds=priced)
    assert [float(row["candidates"]) for row in rows(scaling.run(run))] == [1, 4]  # a candidate costs 4 + 3
    budget, one = Budget(nfes_per_iter=4, seconds=[0.5]), ClassLabels(count=1, classes=2)
    measured = scaling.run(judged(tmp_path / "measured", budget=budget, conditions=one))
    assert json.loads((measured / "environment.json").read_text())["prices"]["images"] == 0


def test_the_wrong_latents_or_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has latents of shape \[1, 1, 2\], and verifier=near takes \[4, 8, 8\]"):
        judged(tmp_path, verifier=Near((4, 8, 8)))
    with pytest.raises(ValueError, match="a metric sees images: Near takes a model's latents"):
        Judged(verifier=Near())
    with pytest.raises(ValueError, match="--verifier near: a file holds an image: Near takes"):
        score([], {"near": Near()}, tmp_path / "scores.parquet")
    calibration = {"a": [0.0, 1.0], "b": [0.0, 1.0]}
    with pytest.raises(ValueError, match="must all take images, or all latents of one shape"):
        Ensemble(members={"a": Near(), "b": Toward()}, calibration=calibration)
    assert Ensemble(members={"a": Near(), "b": Near()}, calibration=calibration).latent_shape == (1, 1, 2)


def test_ones_own_judge_of_latents(tmp_path: Path) -> None:
    path = tmp_path / "judge.py"
    path.write_text(
        "class Low:\n    latent_shape = (1, 1, 2)\n"
        "    def __call__(self, latents, prompts):\n        return -latents.flatten(1).norm(dim=1)\n"
    )
    verifier = Python(function=f"{path}:Low")
    run = judged(tmp_path, verifier=verifier)
    scaling.run(run)
    assert run.denoiser.rows["decode"] == 0
