"""Each family through our loop against its own pipeline, and what the shared class promises."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import BUILDERS, save

from scaling.models.flux import Flux
from scaling.models.packing import pack, unpack
from scaling.models.pixart_sigma import PixArtSigma
from scaling.models.qwen_image import QwenImage
from scaling.models.sana import Sana
from scaling.models.sd3 import SD3
from scaling.models.sd15 import SD15
from scaling.models.sdxl import SDXL
from scaling.models.text_to_image import TextToImage
from scaling.notices import take_notices
from scaling.protocols import Condition
from scaling.sampling import Euler

PROMPTS = ["a red cat on the green table", "two small dogs, photo"]
CONDITIONS = [Condition(prompt=prompt) for prompt in PROMPTS]
FAMILIES: dict[str, type[TextToImage]] = {
    "flux_dev": Flux, "flux_schnell": Flux, "sd3": SD3, "sd15": SD15, "sdxl": SDXL, "sdxl_turbo": SDXL,
    "pixart_sigma": PixArtSigma, "sana": Sana, "qwen_image": QwenImage,
}  # fmt: skip
SIZE = 32  # pixels; the tiny VAEs halve them


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

    pipe = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    packed = isinstance(model, Flux | QwenImage)
    if packed:
        options["max_sequence_length"] = model.max_tokens
        latents = pack(latents)
    if isinstance(model, PixArtSigma | Sana):
        options |= {"clean_caption": False, "use_resolution_binning": False}
    call = {"num_inference_steps": steps, "guidance_scale": model.guidance_scale, "height": SIZE, "width": SIZE}
    if isinstance(model, QwenImage):
        call |= {"guidance_scale": None, "true_cfg_scale": model.guidance_scale, "negative_prompt": [" "] * 2}
    final = pipe(PROMPTS, **call, **options, latents=latents, output_type="latent").images
    images = pipe(PROMPTS, **call, **options, latents=latents, output_type="pt").images
    if packed:
        final = unpack(final, *model.latent_shape[1:])
    return final, images


CASES = [
    ("flux_dev", 3.5), ("flux_dev", 1.0), ("flux_schnell", 1.0), ("sd3", 1.0), ("sd3", 4.5), ("sd15", 1.0),
    ("sd15", 7.5), ("sdxl", 1.0), ("sdxl", 5.0), ("sdxl_turbo", 1.0), ("sdxl_turbo", 2.0), ("pixart_sigma", 1.0),
    ("pixart_sigma", 4.5), ("sana", 1.0), ("sana", 4.5), ("qwen_image", 1.0), ("qwen_image", 4.0),
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
    torch.testing.assert_close(solved.x, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(decoded, images, atol=1e-4, rtol=0)
    assert sum(rows) == 2 * Euler().nfe(times) * model.forwards_per_call


def encoders_called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by a prompt whenever one is encoded."""
    from diffusers import FluxPipeline

    prompts: list[str] = []
    encode = FluxPipeline.encode_prompt

    def counted(pipe: Any, prompt: str, **options: Any) -> Any:
        prompts.append(prompt)
        return encode(pipe, prompt, **options)

    monkeypatch.setattr(FluxPipeline, "encode_prompt", counted)
    return prompts


def test_a_prompt_is_encoded_once_ever(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = encoders_called(monkeypatch)
    copies = [Condition(prompt=prompt, copy=copy) for prompt in PROMPTS for copy in range(3)]
    model = make("flux_dev", max_tokens=16)
    model.prepare(copies)
    encoded = model.encode(copies)
    assert prompts == PROMPTS
    assert torch.equal(encoded["prompt"][0], encoded["prompt"][2])
    again = make("flux_dev", max_tokens=16, guidance_scale=7.0).encode(copies)  # guidance changes no text
    assert torch.equal(again["prompt"], encoded["prompt"])
    assert prompts == PROMPTS
    make("flux_dev", max_tokens=12).encode(copies[:1])  # another length does
    assert prompts == [*PROMPTS, PROMPTS[0]]


@pytest.mark.parametrize(
    ("name", "words", "reads"), [("sd15", 80, 77), ("sdxl", 80, 77), ("flux_dev", 80, None), ("flux_dev", 600, 512)]
)
def test_a_prompt_that_no_text_encoder_reads_whole_is_noticed_every_time(
    make: Any, name: str, words: int, reads: int | None
) -> None:
    take_notices()
    conditions = [Condition(prompt="a red cat"), Condition(prompt=" ".join(["a"] * words))]
    expected = [] if reads is None else [f"1 prompts were cut: the model reads {reads} tokens, and they have more"]
    for _ in range(2):  # the second model finds them on disk
        model = make(name)
        model.prepare(conditions)
        model.encode(conditions)
        assert take_notices() == expected


def test_memory_options_change_nothing(make: Any) -> None:
    x, t = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(2)), torch.tensor([0.3, 0.6, 0.9])
    conditions = [Condition(prompt=prompt) for prompt in (*PROMPTS, "a cat")]
    answers = []
    for options in ({}, {"offload": "model"}, {"offload": "layers"}, {"chunk": 1}):
        model = make("sd15", guidance_scale=3.0, **options)
        prediction = model(x, t, model.encode(conditions))
        model.release()
        answers.append((prediction.x0, prediction.eps, model.decode(x), json.dumps(model.identity())))
    for answer in answers[1:]:
        for left, right in zip(answer[:3], answers[0][:3], strict=True):
            torch.testing.assert_close(left, right, atol=1e-5, rtol=0)
        assert answer[3] == answers[0][3]


def test_the_gradient_reaches_the_noise(make: Any) -> None:
    model = make("sd3", guidance_scale=2.0)
    with torch.inference_mode():  # as the runner encodes
        encoded = model.encode(CONDITIONS)
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(3)).requires_grad_()
    rows = {name: value.index_select(0, torch.arange(2)) for name, value in encoded.items()}
    model.decode(model(x, torch.full((2,), 0.5), rows).x0).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_flops_are_counted_and_grow_with_the_image(make: Any) -> None:
    small, large = make("flux_dev", max_tokens=16), make("flux_dev", max_tokens=16, width=128)
    assert 0 < small.gflops() < large.gflops()


def test_a_call_neither_moves_nor_counts_again(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = make("sd15", offload="model"), torch.zeros(1, 4, 16, 16)
    encoded, t = model.encode(CONDITIONS[:1]), torch.tensor([0.5])
    flops = model.gflops()
    model(x, t, encoded)
    moved: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda network, *_: moved.append(type(network).__name__))
    monkeypatch.setattr(type(model.repository), "build", lambda *_: pytest.fail("counted again"))
    model(x, t, encoded)
    assert (moved, model.gflops()) == ([], flops)
    model.decode(x)
    model.decode(x)
    model(x, t, encoded)
    assert moved == ["UNet2DConditionModel", "AutoencoderKL", "AutoencoderKL", "UNet2DConditionModel"]


def test_identity_tells_models_apart(make: Any, folders: dict[str, Path]) -> None:
    options: list[dict[str, Any]] = [{}, {"guidance_scale": 2.0}, {"spacing": "trailing"}, {"height": 64}, {}]
    identities = [json.dumps(make("sdxl", **o).identity(), sort_keys=True) for o in options]
    assert len(set(identities)) == 4
    assert identities[0] == identities[-1]
    tuned = make("sdxl", network_path=str(folders["sdxl_turbo"]))
    assert json.dumps(tuned.identity(), sort_keys=True) == identities[0]  # one seed: the same weights elsewhere


def test_another_unet_takes_the_place(make: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(folders["sdxl"], subfolder="unet")
    unet.conv_out.weight.data.mul_(2)
    unet.save_pretrained(tmp_path / "dpo" / "unet")
    base, dpo = make("sdxl"), make("sdxl", network_path=str(tmp_path / "dpo"))
    assert base.identity() != dpo.identity()
    assert torch.equal(2 * base.network.conv_out.weight, dpo.network.conv_out.weight)


def test_what_cannot_be_is_said(make: Any, folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"height=15 is no multiple of 4; the nearest is 16"):
        make("flux_dev", height=15)
    with pytest.raises(ValueError, match=r"takes no guidance, the nearest is 1\.0"):
        make("flux_schnell", guidance_scale=3.5)
    with pytest.raises(ValueError, match="StableDiffusionPipeline: a FluxPipeline is needed"):
        Flux(path=str(folders["sd15"]))
    with pytest.raises(ValueError, match="needs a prompt"):
        make("sd15").encode([Condition(class_label=3)])
    with pytest.raises(ValueError, match="dtype=int8"):
        make("sd15", dtype="int8")
    with pytest.raises(ValueError, match="offload='disk'"):
        make("sd15", offload="disk")
    with pytest.raises(ValueError, match="compile=true needs a network that stays whole"):
        make("sd15", offload="layers", compile=True)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3", "flux_schnell"])
def test_latents_that_the_vae_moves_are_refused(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[name], tmp_path / name)
    path = tmp_path / name / "vae" / "config.json"
    for odd in ("latents_std", "latents_mean"):
        path.write_text(json.dumps({**json.loads(path.read_text()), odd: [0.5] * 4}))
        with pytest.raises(ValueError, match=f"its VAE has {odd}, which model=pipeline obeys"):
            FAMILIES[name](path=str(tmp_path / name), device="cpu")


def test_no_guidance_is_none_as_in_diffusers(make: Any) -> None:
    x, t = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(2)), torch.tensor([0.5])
    none, one = make("sdxl_turbo", guidance_scale=0.0), make("sdxl_turbo", guidance_scale=1.0)
    assert none.forwards_per_call == 1
    assert torch.equal(none(x, t, none.encode(CONDITIONS[:1])).eps, one(x, t, one.encode(CONDITIONS[:1])).eps)


@pytest.mark.parametrize("name", ["sd15", "qwen_image"])
def test_a_condition_has_its_own_guidance_and_negative_prompt(name: str, make: Any) -> None:
    x, t = torch.randn(3, *make(name).latent_shape, generator=torch.Generator().manual_seed(2)), torch.full((3,), 0.5)
    own = [(), (("guidance_scale", 5.0),), (("negative_prompt", PROMPTS[1]),)]
    conditions = [Condition(prompt=PROMPTS[0], settings=settings) for settings in own]
    model = make(name, guidance_scale=3.0)
    assert model.settings == {"guidance_scale", "negative_prompt"}
    assert make(name, guidance_scale=1.0).settings == frozenset()
    plain, strong, led = model(x, t, model.encode(conditions)).eps
    torch.testing.assert_close(plain, model(x, t, model.encode(conditions[:1] * 3)).eps[0], atol=1e-6, rtol=0)
    other = make(name, guidance_scale=5.0)
    torch.testing.assert_close(strong, other(x, t, other.encode(conditions[:1] * 3)).eps[1], atol=1e-5, rtol=0)
    swapped = [Condition(prompt=PROMPTS[1])] * 3  # 3 a - 2 b with both prompts in the other's place
    unguided = make(name, guidance_scale=1.0)
    if name == "sd15":
        both = [unguided(x, t, unguided.encode(c)).eps[2] for c in ([Condition(prompt=PROMPTS[0])] * 3, swapped)]
        torch.testing.assert_close(led, 3 * both[0] - 2 * both[1], atol=1e-4, rtol=0)
    assert not torch.allclose(led, plain)
    with pytest.raises(ValueError, match="sets guidance_scale=1: where model.guidance_scale=3 is run, above 1"):
        model.encode([Condition(prompt="a", settings=(("guidance_scale", 1.0),))])


def test_sd3_goes_without_t5(folders: dict[str, Path], tmp_path: Path) -> None:
    from diffusers import StableDiffusion3Pipeline

    folder = tmp_path / "sd3"
    shutil.copytree(folders["sd3"], folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(
        json.dumps(index | {"text_encoder_3": [None, None], "tokenizer_3": [None, None]})
    )
    model = SD3(path=str(folder), dtype="float32", device="cpu", prompt_cache=str(tmp_path / "prompts"))
    pipe = StableDiffusion3Pipeline.from_pretrained(
        folder, text_encoder_3=None, tokenizer_3=None, local_files_only=True
    )
    expected = pipe.encode_prompt(PROMPTS[0], None, None, do_classifier_free_guidance=False)
    encoded = model.encode(CONDITIONS[:1])
    torch.testing.assert_close(encoded["prompt"], expected[0])
    torch.testing.assert_close(encoded["pooled"], expected[2])


@pytest.mark.slow
def test_compiled_is_the_same(make: Any) -> None:
    x, t = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(2)), torch.tensor([0.3, 0.6])
    eager, compiled = make("sd3", guidance_scale=3.0), make("sd3", guidance_scale=3.0, compile=True)
    with torch.no_grad():
        answers = [model(x, t, model.encode(CONDITIONS)).x0 for model in (eager, compiled)]
    torch.testing.assert_close(*answers, atol=1e-5, rtol=0)
    assert eager.identity() != compiled.identity()


@pytest.mark.parametrize("name", ["sd3", "sdxl", "sana"])
def test_the_flops_of_encoding_are_known_without_weights(name: str, make: Any) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = make(name, guidance_scale=1.0)
    said = model.encode_gflops()
    math = sdpa_kernel(SDPBackend.MATH)
    with math, FlopCounterMode(display=False) as counter:
        model.encode([Condition(prompt="")])
    assert said == counter.get_total_flops() / 1e9 > 0
