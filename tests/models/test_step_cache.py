"""diffusers' caches on the search's network: they leave work out, are counted, and answer each row as if alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import save
from torch.utils.flop_counter import FlopCounterMode

from scaling.models.dit import DiT
from scaling.models.flux import Flux
from scaling.models.sd3 import SD3
from scaling.models.shapes import Shapes
from scaling.protocols import Condition, begin_solve
from scaling.sampling import Euler

TAYLOR = {"kind": "taylor_seer", "cache_interval": 2, "disable_cache_before_step": 2}
CACHES: list[dict[str, Any]] = [TAYLOR, {"kind": "pyramid_attention"}]
STEPS = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(name, tmp_path_factory.mktemp(name)) for name in ("flux_dev", "sd3")}


def pipeline(folders: dict[str, Path], name: str, **options: Any) -> Any:
    kind = {"flux_dev": Flux, "sd3": SD3}[name]
    cached = str(folders[name] / "prompts")
    return kind(path=str(folders[name]), dtype="float32", device="cpu", prompt_cache=cached, **options)


def solved(model: Any, rows: int, conditions: list[Condition]) -> torch.Tensor:
    x = torch.randn(rows, *model.latent_shape, generator=torch.Generator().manual_seed(1))
    encoded = {name: value[:rows] for name, value in model.encode(conditions).items()}
    times = model.schedule.grid(STEPS).expand(rows, -1)
    begin_solve(model)
    with torch.inference_mode():
        return Euler().advance(lambda x, t: model(x, t, encoded), model.schedule, x, times, True).x


PROMPTS = [Condition(prompt="a red cat"), Condition(prompt="two dogs"), Condition(prompt="a photo")]


@pytest.mark.parametrize("cache", CACHES, ids=lambda c: c["kind"])
@pytest.mark.parametrize("name", ["flux_dev", "sd3"])
def test_on_a_pipelines_transformer(name: str, cache: dict[str, Any], folders: dict[str, Path]) -> None:
    whole, model = pipeline(folders, name), pipeline(folders, name, cache=cache)
    plain, quick = solved(whole, 2, PROMPTS), solved(model, 2, PROMPTS)
    assert torch.isfinite(quick).all()
    assert not torch.equal(quick, plain)
    assert torch.equal(solved(model, 2, PROMPTS), quick)  # a second solve knows nothing of the first
    torch.testing.assert_close(solved(model, 1, PROMPTS), quick[:1], atol=1e-5, rtol=1e-5)  # nor a row of its company
    assert model.gflops_along(STEPS) < whole.gflops()
    assert model.identity() != whole.identity()
    assert "cache" not in whole.identity()


@pytest.mark.parametrize("model", [lambda **o: DiT(path="fashion_s", device="cpu", **o), lambda **o: Shapes(**o)])
def test_on_embedded_networks_it_costs_what_is_said(model: Any) -> None:
    conditions = PROMPTS if model().__class__ is Shapes else [Condition(class_label=k) for k in range(3)]
    if model().__class__ is Shapes:
        conditions = [Condition(prompt="a red ring")] * 3
    quick = model(cache=TAYLOR)
    plain, near = solved(model(), 2, conditions), solved(quick, 2, conditions)
    assert 0 < (plain - near).abs().mean() < 0.5 * plain.abs().mean()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        solved(quick, 1, conditions)
    assert counter.get_total_flops() / 1e9 / STEPS == pytest.approx(quick.gflops_along(STEPS), rel=1e-6)
    assert quick.gflops_along(STEPS) < 0.75 * quick.gflops()


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ({"kind": "first_block"}, "decides by the whole batch"),
        ({"kind": "magic"}, "is none of taylor_seer"),
        ({**TAYLOR, "interval": 3}, "interval is no option of diffusers' TaylorSeerCacheConfig; the nearest is"),
    ],
)
def test_what_is_no_cache_is_refused(cache: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shapes(cache=cache)
