import json

import pytest
import torch
from tiny_models import tiny_vae

from scaling.models.latent_dit import LatentDiT
from scaling.models.vae import VAE
from scaling.protocols import Condition
from scaling.sampling import Euler


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    torch.manual_seed(0)
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
        num_embeds_ada_norm=1000,  # the pipeline's null class is 1000, whatever the network's
    )
    vae = AutoencoderKL.from_pretrained(tiny_vae(tmp_path_factory.mktemp("vae")))
    scheduler = DDIMScheduler(beta_start=1e-4, beta_end=2e-2, clip_sample=False)
    path = tmp_path_factory.mktemp("dit")
    DiTPipeline(transformer, vae, scheduler).save_pretrained(path)
    return path


def pipeline(folder, spacing, final, latents, labels, guidance, steps):
    """The latents that diffusers' own pipeline ends with, and its images."""
    from diffusers import DDIMScheduler, DiTPipeline

    pipe = DiTPipeline.from_pretrained(folder)
    pipe.scheduler = DDIMScheduler.from_config(
        pipe.scheduler.config, timestep_spacing=spacing, set_alpha_to_one=final == 1.0
    )
    pipe.set_progress_bar_config(disable=True)
    ends = []
    decode = pipe.vae.decode
    pipe.vae.decode = lambda z: (ends.append(z), decode(z))[1]
    generator = torch.Generator().manual_seed(0)
    images = pipe(labels, guidance, generator, steps, output_type="pt").images
    torch.testing.assert_close(torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)), latents)
    return ends[0] * 0.18215, images


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("final", [1.0, None])
@pytest.mark.parametrize(("spacing", "steps"), [("leading", 10), ("leading", 30), ("trailing", 10)])
def test_equals_the_pipeline(folder, spacing, steps, final, guidance, tmp_path):
    labels = [207, 3, 980]
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    expected, images = pipeline(folder, spacing, final, latents, labels, guidance, steps)
    path = str(_with_final(folder, final, tmp_path))
    model = LatentDiT(path=path, guidance_scale=guidance, spacing=spacing, device="cpu")
    encoded = model.encode([Condition(class_label=label) for label in labels])
    times = model.schedule.grid(steps).expand(3, -1)
    solved = Euler().advance(lambda x, t: model(x, t, encoded), model.schedule, latents, times, False)
    scale = expected.std()  # around 100: an untrained network does not keep its latents at 1
    torch.testing.assert_close(solved.x / scale, expected / scale, atol=1e-4, rtol=0)
    torch.testing.assert_close(model.decode(solved.x), images, atol=1e-4, rtol=0)


def _with_final(folder, final, tmp_path):
    """The folder with the scheduler's set_alpha_to_one set."""
    for entry in folder.iterdir():
        if entry.name != "scheduler":
            (tmp_path / entry.name).symlink_to(entry)
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    (tmp_path / "scheduler").mkdir()
    config["set_alpha_to_one"] = final == 1.0
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    return tmp_path


def test_spacing_is_the_folders_unless_given(folder):
    assert LatentDiT(path=str(folder), device="cpu").schedule.spacing == "leading"
    assert LatentDiT(path=str(folder), spacing="trailing", device="cpu").schedule.spacing == "trailing"


def test_three_guided_channels_leave_the_fourth_to_the_label(folder):
    x, t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0.2, 0.9])
    y = {"class_label": torch.tensor([1, 2])}
    plain = LatentDiT(path=str(folder), device="cpu")(x, t, y).eps
    four = LatentDiT(path=str(folder), guidance_scale=4.0, device="cpu")(x, t, y).eps
    three = LatentDiT(path=str(folder), guidance_scale=4.0, guided_channels=3, device="cpu")(x, t, y).eps
    torch.testing.assert_close(three[:, :3], four[:, :3])
    torch.testing.assert_close(three[:, 3], plain[:, 3], atol=1e-6, rtol=0)
    assert (four[:, 3] - plain[:, 3]).abs().max() > 1e-4


def test_identity_tells_models_apart(folder, tmp_path):
    options = [{}, {"guidance_scale": 2.0}, {"spacing": "trailing"}, {"vae": VAE(path=f"{folder}/vae", scale=1.0)}, {}]
    identities = [json.dumps(LatentDiT(path=str(folder), device="cpu", **o).identity()) for o in options]
    assert len(set(identities)) == 4
    assert identities[0] == identities[-1]


def test_another_parametrization_is_refused(folder, tmp_path):
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "transformer").symlink_to(folder / "transformer")
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(config | {"prediction_type": "sample"}))
    with pytest.raises(ValueError, match="epsilon"):
        LatentDiT(path=str(tmp_path), device="cpu")


def test_a_folder_without_weights_names_what_it_lacks(tmp_path):
    with pytest.raises(ValueError, match=r"transformer/config\.json"):
        LatentDiT(path=str(tmp_path), device="cpu")


@pytest.mark.slow
def test_compiled_is_the_same(folder):
    eager, compiled = (LatentDiT(path=str(folder), compile=compile, device="cpu") for compile in (False, True))
    x, t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0.3, 0.8])
    encoded = eager.encode([Condition(class_label=3), Condition(class_label=207)])
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, t, encoded).eps, eager(x, t, encoded).eps, atol=1e-5, rtol=0)
    assert compiled.identity() != eager.identity()
