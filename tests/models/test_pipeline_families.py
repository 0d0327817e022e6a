"""Every family that can be built small, through the open call: its own call, every search, its counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from brightness import Brightness
from configs import built
from small_sizes import allow_small_images
from studies import study
from tiny_families import FAMILIES, save_family

import scaling
from scaling.budget import Budget
from scaling.models.pipeline import Pipeline
from scaling.protocols import Condition

PROMPTS = ["a red cat on the green table", "two small dogs"]
QUICK = ("z_image", "pixart_alpha", "sana_sprint")  # of three rules; tests/models/test_scheduler_rule.py has all
SEARCHES = ("random", "smc", "paths", "dfs", "svdd", "zero_order", "halving", "first_order")


def families() -> list[Any]:
    return [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow, id=name) for name in FAMILIES]


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        allow_small_images(patch)
        yield


@pytest.fixture(scope="module")
def models(small: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pipeline]:
    @cache
    def load(name: str) -> Pipeline:
        """Loading it is a test: the open call is held against the pipeline's own."""
        family, folder = FAMILIES[name], save_family(name, tmp_path_factory.mktemp(name))
        return Pipeline(
            path=str(folder), dtype="float32", device="cpu", height=family.height, width=family.height,
            options=family.options, prompt_cache=str(folder / "prompts"), **family.model,
        )  # fmt: skip

    return load


@pytest.mark.parametrize("name", families())
def test_a_row_is_the_same_alone_and_in_company(name: str, models: Callable[[str], Pipeline]) -> None:
    model = models(name)
    x = torch.randn(4, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    t = model.schedule.grid(4)[[1, 1, 2, 1]].float()
    conditions = [Condition(prompt=PROMPTS[i]) for i in (0, 1, 0, 0)]
    with torch.no_grad():
        together = model(x, t, model.encode(conditions))
        alone = [model(x[i : i + 1], t[i : i + 1], model.encode(conditions[i : i + 1])) for i in range(4)]
        assert not model.networks.names & asked_while(model, lambda: model.decode(together.x0))  # no forward
        assert not asked_while(model, lambda: model.decode(together.x0))  # nor is a prompt encoded again
        images = model.decode(together.x0)
        apart = torch.cat([model.decode(together.x0[i : i + 1]) for i in range(4)])
    for together_, alone_ in zip(together[:2], zip(*(each[:2] for each in alone), strict=True), strict=True):
        torch.testing.assert_close(together_, torch.cat(alone_), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(images, apart, atol=1e-4, rtol=0)


def asked_while(model: Pipeline, call: Callable[[], Any]) -> set[str]:
    """The loop's networks and the text encoders that compute anything in a call, heard in their innermost parts."""
    heard: set[str] = set()
    watched = model.networks.names | {name for name in model.pipe.components if "text_encoder" in name}
    networks = [(name, getattr(model.pipe, name)) for name in watched if getattr(model.pipe, name) is not None]
    hooks = [
        part.register_forward_hook(lambda *_, name=name: heard.add(name))
        for name, network in networks
        for part in network.modules()
        if not list(part.children())
    ]
    call()
    for hook in hooks:
        hook.remove()
    return heard


@pytest.mark.parametrize("name", families())
def test_every_search_runs_and_costs_what_was_predicted(
    name: str, models: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    model = models(name)
    conditions = [Condition(prompt=prompt) for prompt in PROMPTS]
    model.encode(conditions)
    for search in SEARCHES:
        least = 90 if search == "paths" else 16
        run = study(
            tmp_path / search, denoiser=model, conditions=Fixed(conditions), verifier=Brightness(), extractors={},
            search=built("search", search), budget=Budget(nfes_per_iter=4, nfe=[least]), batch_size=2, samples=0,
        )  # fmt: skip
        before = model.networks.rows
        paid = json.loads((scaling.run(run) / "cost.json").read_text())["paid"]
        assert model.networks.rows - before == paid["forwards"], search
        assert paid["forwards"] >= paid["nfe"] * model.forwards_per_call > 0


class Fixed:
    """Some conditions."""

    def __init__(self, conditions: list[Condition]) -> None:
        self._conditions = conditions

    def __len__(self) -> int:
        return len(self._conditions)

    def __iter__(self) -> Iterator[Condition]:
        return iter(self._conditions)

    def identity(self) -> dict[str, Any]:
        return {"class": "Fixed"}
