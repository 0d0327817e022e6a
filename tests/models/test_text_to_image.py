"""Each family through our loop against its own pipeline, and what the shared class promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import BUILDERS, save

from scaling.models.flux import Flux
from scaling.models.packing import pack, unpack
from scaling.models.pixart_sigma import PixArtSigma
from scaling.models.sd3 import SD3
from scaling.models.sd15 import SD15
from scaling.models.sdxl import SDXL
from scaling.models.text_to_image import TextToImage
from scaling.protocols import Condition
from scaling.sampling import Euler

PROMPTS = ["a red cat on the green table", "two small dogs, photo"]
CONDITIONS = [Condition(prompt=prompt) for prompt in PROMPTS]
FAMILIES: dict[str, type[TextToImage]] = {
    "flux_dev": Flux, "flux_schnell": Flux, "sd3": SD3, "sd15": SD15, "sdxl": SDXL, "sdxl_turbo": SDXL,
    "pixart_sigma": PixArtSigma,
}  # fmt: skip
SIZE = 16  # pixels; the tiny VAE halves them


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(name, tmp_path_factory.mktemp(name)) for name in BUILDERS}


@pytest.fixture
def make(folders: dict[str, Path], tmp_path: Path) -> Any:
    def make(name: str, **options: Any) -> TextToImage:
        options = {"dtype": "float32", "device": "cpu", "height": SIZE, "width": SIZE} | options
        return FAMILIES[name](path=str(folders[name]), prompt_cache=str(tmp_path), **options)

    return make


def own_call(folder: Path, model: TextToImage, latents: torch.Tensor, steps: int, **options: Any) -> Any:
    """The latents and images that the pipeline itself makes of these."""
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    if isinstance(model, Flux):
        options["max_sequence_length"] = model.max_tokens
        latents = pack(latents)
    if isinstance(model, PixArtSigma):
        options |= {"clean_caption": False, "use_resolution_binning": False}
    call = {"num_inference_steps": steps, "guidance_scale": model.guidance_scale, "height": SIZE, "width": SIZE}
    final = pipe(PROMPTS, **call, **options, latents=latents, output_type="latent").images
    images = pipe(PROMPTS, **call, **options, latents=latents, output_type="pt").images
    if isinstance(model, Flux):
        final = unpack(final, *model.latent_shape[1:])
    return final, images


CASES = [
    ("flux_dev", 3.5), ("flux_dev", 1.0), ("flux_schnell", 1.0), ("sd3", 1.0), ("sd3", 4.5), ("sd15", 1.0),
    ("sd15", 7.5), ("sdxl", 1.0), ("sdxl", 5.0), ("sdxl_turbo", 1.0), ("sdxl_turbo", 2.0), ("pixart_sigma", 1.0),
    ("pixart_sigma", 4.5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "guidance"), CASES)
def test_equals_the_pipelines_own_call(name: str, guidance: float, folders: dict[str, Path], make: Any) -> None:
    model, steps = make(name, guidance_scale=guidance), 4
    latents = torch.randn(2, *model.latent_shape, generator=torch.Generator().manual_seed(1))
    expected, images = own_call(folders[name], model, latents, steps)
    encoded = model.encode(CONDITIONS)
    rows: list[int] = []
    model.network.register_forward_hook(lambda _, args, kwargs, out: rows.append(len(out[0])), with_kwargs=True)
    times = model.schedule.grid(steps).expand(2, -1)
    with torch.no_grad():
        solved = Euler().advance(lambda x, t: model(x, t, encoded), model.schedule, latents, times, True)
        decoded = model.decode(solved.x)
    print(
        "ERR",
        name,
        guidance,
        (solved.x - expected).abs().max(),
        expected.std(),
        (decoded - images).abs().max(),
        images.std(),
    )
    torch.testing.assert_close(solved.x, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(decoded, images, atol=1e-4, rtol=0)
    assert sum(rows) == 2 * Euler().nfe(times) * model.forwards_per_call
