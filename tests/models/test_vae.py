import json
import shutil

import pytest
import torch
from tiny_models import tiny_vae

from scaling.models.vae import VAE, rows_at_once


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_vae(tmp_path_factory.mktemp("vae"))


@pytest.fixture
def latents():
    return torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def test_decode_is_the_networks_in_unit_range(folder, latents):
    from diffusers import AutoencoderKL

    with torch.no_grad():
        raw = AutoencoderKL.from_pretrained(folder).decode(latents / 0.18215).sample
    images = VAE(path=str(folder), device="cpu").decode(latents)
    assert images.shape == (5, 3, 16, 16)
    torch.testing.assert_close(images, ((raw + 1) / 2).clamp(0, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{"chunk": 2}, {"chunk": 1}, {"slicing": True}])
def test_cutting_the_batch_changes_nothing(folder, latents, options):
    whole, cut = VAE(path=str(folder), device="cpu"), VAE(path=str(folder), device="cpu", **options)
    torch.testing.assert_close(cut.decode(latents), whole.decode(latents), atol=1e-5, rtol=0)
    assert cut.identity() == whole.identity()


def test_tiling_decodes_large_latents_in_tiles(folder):
    vae = VAE(path=str(folder), device="cpu", tiling=True)
    assert vae.network.use_tiling
    assert vae.decode(torch.zeros(1, 4, 24, 24)).shape == (1, 3, 48, 48)
    assert vae.identity() != VAE(path=str(folder), device="cpu").identity()


def test_scale_is_the_configs_unless_given(folder, latents):
    assert VAE(path=str(folder), device="cpu").scale == 0.18215
    other = VAE(path=str(folder), scale=2 * 0.18215, device="cpu")
    torch.testing.assert_close(other.decode(2 * latents), VAE(path=str(folder), device="cpu").decode(latents))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_weights_give_fp32_images(folder, latents, dtype):
    half = VAE(path=str(folder), dtype=dtype, device="cpu")
    images, expected = half.decode(latents), VAE(path=str(folder), device="cpu").decode(latents)
    assert images.dtype == torch.float32
    assert half.network.dtype == getattr(torch, dtype)
    assert 0 < (images - expected).abs().max() < 0.05


def test_four_megapixels_are_decoded_at_a_time(folder, latents):
    assert [rows_at_once(None, pixels, pixels) for pixels in (256, 1024, 4096)] == [64, 4, 1]
    assert rows_at_once(3, 1024, 1024) == 3
    for chunk, calls in ((None, 1), (2, 3)):
        vae, counts = VAE(path=str(folder), device="cpu", chunk=chunk), []
        vae.network.decoder.register_forward_hook(lambda *_, counts=counts: counts.append(1))
        vae.decode(latents)
        assert len(counts) == calls


@pytest.mark.slow
def test_compiled_is_the_same(folder, latents):
    eager, compiled = (VAE(path=str(folder), compile=compile, device="cpu") for compile in (False, True))
    with torch.no_grad():
        torch.testing.assert_close(compiled.decode(latents), eager.decode(latents), atol=1e-5, rtol=0)
    assert compiled.identity() != eager.identity()


def test_a_subfolder(folder, tmp_path, latents):
    (tmp_path / "vae").symlink_to(folder)
    inside = VAE(path=str(tmp_path), subfolder="vae", device="cpu")
    assert torch.equal(inside.decode(latents), VAE(path=str(folder), device="cpu").decode(latents))


@pytest.mark.parametrize("own", [{"latents_mean": [0.1] * 4, "latents_std": [1.2] * 4}, {"shift_factor": 0.1159}])
def test_latents_that_are_shifted_are_refused(folder, tmp_path, own):
    shutil.copytree(folder, tmp_path / "vae")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "vae" / "config.json").write_text(json.dumps({**config, **own}))
    with pytest.raises(ValueError, match=f"has {next(iter(own))}="):
        VAE(path=str(tmp_path / "vae"), device="cpu")


@pytest.mark.parametrize(("wrong", "message"), [({"dtype": "int8"}, "float32"), ({"chunk": 0}, "least is 1")])
def test_wrong_options_are_named(folder, wrong, message):
    with pytest.raises(ValueError, match=message):
        VAE(path=str(folder), **wrong)
