import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_models import tiny_vae

from scaling.models.dit import network_gflops
from scaling.models.sit import SiT, architecture
from scaling.models.vae import VAE
from scaling.protocols import Condition
from scaling.sampling import RK4, Euler, Heun

GOLDEN = Path(__file__).parents[1] / "golden" / "sit.safetensors"


@pytest.fixture(scope="module")
def golden():
    with safe_open(GOLDEN, "pt") as f:
        return {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def state(golden):
    return {k.removeprefix("state_dict."): v for k, v in golden.items() if k.startswith("state_dict.")}


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return VAE(path=str(tiny_vae(tmp_path_factory.mktemp("vae"))), device="cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("sit") / "sit.pt"
    torch.save({"ema": state, "model": {}, "opt": {}, "args": Namespace(model="SiT-XL/2")}, path)
    return str(path)


def sit(path, vae, **options):
    return SiT(path=path, vae=vae, heads=3, device="cpu", **options)


def labels(y):
    return [Condition(class_label=int(label)) for label in y]


def test_velocity(golden, checkpoint, vae):
    model = sit(checkpoint, vae)
    prediction = model(golden["x"], 1 - golden["t"], {"class_label": golden["y"]})  # the null class among them
    torch.testing.assert_close(prediction.x0 - prediction.eps, golden["velocity"], atol=1e-5, rtol=0)


def test_prediction_explains_x(golden, checkpoint, vae):
    model = sit(checkpoint, vae)
    x, t = golden["x"], 1 - golden["t"]
    prediction = model(x, t, {"class_label": golden["y"]})
    u = t[:, None, None, None]
    torch.testing.assert_close((1 - u) * prediction.x0 + u * prediction.eps, x, atol=1e-5, rtol=0)


def test_guided_velocity_on_the_first_three_channels(golden, checkpoint, vae):
    model = sit(checkpoint, vae, guidance_scale=4.0)
    assert model.forwards_per_call == 2
    z, t = golden["guided_z"], (1 - golden["guided_t"]).expand(2)
    prediction = model(z, t, model.encode(labels(golden["guided_y"])))
    torch.testing.assert_close(prediction.x0 - prediction.eps, golden["guided_velocity"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize(
    ("sampler", "key", "steps"), [(Euler(), "euler_11", 10), (Heun(), "heun2_11", 10), (RK4(), "rk4_6", 5)]
)
def test_trajectories(golden, checkpoint, vae, sampler, key, steps, guidance):
    model = sit(checkpoint, vae, guidance_scale=guidance)
    encoded = model.encode(labels(golden["guided_y"]))
    times = model.schedule.grid(steps).expand(2, -1)
    solved = sampler.advance(lambda x, t: model(x, t, encoded), model.schedule, golden["guided_z"], times, False)
    expected = golden[f"ode_{key}_points_guidance{guidance:.0f}"]
    torch.testing.assert_close(solved.x, expected, atol=1e-4, rtol=0)


def test_bare_keys_and_safetensors_are_the_same_model(tmp_path, golden, state, checkpoint, vae):
    torch.save(state, tmp_path / "bare.pt")
    save_file(state, tmp_path / "sit.safetensors")
    x, t, condition = golden["x"], golden["t"], labels(golden["y"] % 10)
    answers = []
    for path in (checkpoint, str(tmp_path / "bare.pt"), str(tmp_path / "sit.safetensors")):
        model = sit(path, vae)
        answers.append(model(x, t, model.encode(condition)).x0)
    assert all(torch.equal(answers[0], answer) for answer in answers)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_weights_keep_an_fp32_state(golden, checkpoint, vae, dtype):
    full, half = sit(checkpoint, vae), sit(checkpoint, vae, dtype=dtype)
    x, t, encoded = golden["x"], golden["t"], {"class_label": golden["y"]}
    expected, prediction = full(x, t, encoded), half(x, t, encoded)
    assert prediction.x0.dtype == prediction.eps.dtype == torch.float32
    error = (prediction.x0 - expected.x0).abs().max()
    assert 0 < error < 0.05 * expected.x0.abs().max()


@pytest.mark.slow
def test_compiled_is_the_same(golden, checkpoint, vae):
    eager, compiled = sit(checkpoint, vae, guidance_scale=4.0), sit(checkpoint, vae, guidance_scale=4.0, compile=True)
    x, t, encoded = golden["guided_z"], torch.tensor([0.3, 0.6]), {"class_label": golden["guided_y"]}
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, t, encoded).x0, eager(x, t, encoded).x0, atol=1e-5, rtol=0)


def test_gradients_reach_x(golden, checkpoint, vae):
    model = sit(checkpoint, vae, guidance_scale=2.0)
    x = golden["guided_z"].clone().requires_grad_()
    prediction = model(x, torch.full((2,), 0.5), model.encode(labels(golden["guided_y"])))
    model.decode(prediction.x0).sum().backward()
    assert x.grad.abs().sum() > 0


def test_identity_is_json_and_tells_models_apart(checkpoint, vae):
    identities = [
        sit(checkpoint, vae),
        sit(checkpoint, vae, guidance_scale=1.5),
        sit(checkpoint, vae, dtype="bfloat16"),
    ]
    assert len({json.dumps(model.identity(), sort_keys=True) for model in identities}) == 3
    assert sit(checkpoint, vae).identity() == identities[0].identity()


@pytest.mark.parametrize(
    ("width", "depth", "paper"), [(768, 12, 23.0), (1024, 24, 80.7), (1152, 28, 118.6)], ids=["B", "L", "XL"]
)
def test_gflops_are_twice_the_papers(width, depth, paper):
    with torch.device("meta"):
        state = {
            "x_embedder.proj.weight": torch.empty(width, 4, 2, 2),
            "final_layer.linear.bias": torch.empty(32),
            "pos_embed": torch.empty(1, 256, width),
            "y_embedder.embedding_table.weight": torch.empty(1001, width),
            f"blocks.{depth - 1}.attn.proj.bias": torch.empty(width),
        }
    assert network_gflops(architecture(state)) / 2 == pytest.approx(paper, rel=0.02)


def test_foreign_checkpoints_are_refused(tmp_path, state, vae):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="no SiT checkpoint"):
        sit(str(tmp_path / "other.pt"), vae)
    torch.save(state | {"blocks.0.attn.q_norm.weight": torch.zeros(16)}, tmp_path / "normed.pt")
    with pytest.raises(ValueError, match="q_norm"):
        sit(str(tmp_path / "normed.pt"), vae)
    torch.save({k: v for k, v in state.items() if k != "blocks.1.mlp.fc1.bias"}, tmp_path / "partial.pt")
    with pytest.raises(ValueError, match=r"Missing key.*transformer_blocks\.1\.ff\.net\.0\.proj\.bias"):
        sit(str(tmp_path / "partial.pt"), vae)
    torch.save(state, tmp_path / "sit.pt")
    with pytest.raises(ValueError, match="heads"):
        SiT(path=str(tmp_path / "sit.pt"), vae=vae, device="cpu")


def test_a_dit_file_is_refused_by_its_name(tmp_path, state, vae):
    torch.save(state, tmp_path / "DiT-XL-2-256x256.pt")
    with pytest.raises(ValueError, match=r"DiT-XL-2-256x256.pt is named like a DiT, which predicts the noise"):
        sit(str(tmp_path / "DiT-XL-2-256x256.pt"), vae)


def test_guidance_under_one_is_none(checkpoint, vae):
    model = sit(checkpoint, vae, guidance_scale=0.0)
    x, t, y = torch.zeros(1, *model.latent_shape), torch.tensor([0.5]), model.encode([Condition(class_label=1)])
    assert model.forwards_per_call == 1
    assert torch.equal(model(x, t, y).x0, sit(checkpoint, vae)(x, t, y).x0)


@pytest.mark.parametrize("arguments", [{"prediction": "noise"}, {"prediction": "score"}, {"path_type": "GVP"}])
def test_another_parametrization_is_refused(tmp_path, state, vae, arguments):
    torch.save({"ema": state, "args": Namespace(**arguments)}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="was trained with"):
        sit(str(tmp_path / "x.pt"), vae)
