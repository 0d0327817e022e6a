import pytest
import torch

from scaling.models.library_schedules import eps_schedule
from scaling.noise import NoiseSpace
from scaling.sampling import Euler
from scaling.schedules import Flow, VariancePreserving


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear"])
@pytest.mark.parametrize("alpha_to_one", [True, False])
@pytest.mark.parametrize(("spacing", "offset", "steps"), [("leading", 0, 30), ("leading", 1, 50), ("trailing", 0, 20)])
def test_grid_and_coefficients_are_ddims(beta_schedule, alpha_to_one, spacing, offset, steps):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(
        beta_schedule=beta_schedule,
        set_alpha_to_one=alpha_to_one,
        timestep_spacing=spacing,
        steps_offset=offset,
    )
    theirs.set_timesteps(steps)
    ours = VariancePreserving.from_scheduler(theirs.config)
    times = ours.grid(steps)
    assert ours.timestep(times[:-1]).round().tolist() == theirs.timesteps.tolist()
    assert times[-1] == 0
    alphas = theirs.alphas_cumprod[theirs.timesteps].double()
    torch.testing.assert_close(ours.alpha(times[:-1]) ** 2, alphas, atol=1e-6, rtol=1e-6)
    assert float(ours.alpha(times[-1]) ** 2) == pytest.approx(float(theirs.final_alpha_cumprod), abs=1e-6)


def test_a_solve_starts_from_the_noise_that_diffusers_starts_from():
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(beta_schedule="scaled_linear")
    assert theirs.init_noise_sigma == 1.0  # and the flow pipelines scale nothing
    for ours in (VariancePreserving.from_scheduler(theirs.config), Flow()):
        space = NoiseSpace(0, "k", (2,), ours, Euler(), 10)
        noise = space.draw("candidate", 0)
        assert torch.equal(space.start(noise), noise)


def test_part_of_a_solve_begins_and_ends_where_it_is_told():
    grid = VariancePreserving.from_scheduler({"timestep_spacing": "leading"}).grid(7, 0.9, 0.2)
    assert (float(grid[0]), float(grid[-1]), len(grid)) == (0.9, 0.2, 8)


@pytest.mark.parametrize("config", [{"beta_schedule": "squaredcos_cap_v2"}, {"rescale_betas_zero_snr": True}])
def test_other_tables_are_refused(config):
    with pytest.raises(ValueError, match="linear"):
        VariancePreserving.from_scheduler(config)


def test_other_spacings_are_refused():
    with pytest.raises(ValueError, match="linspace"):
        VariancePreserving.from_scheduler({"timestep_spacing": "linspace"})


@pytest.mark.parametrize(("steps", "nearest"), [(501, 500), (600, 500), (1000, 999), (1001, 999)])
def test_leading_strides_begin_at_noise_or_are_refused(steps, nearest):
    ours = VariancePreserving.from_scheduler({"timestep_spacing": "leading", "steps_offset": 1})
    with pytest.raises(ValueError, match=f"the nearest below is {nearest}"):
        ours.grid(steps)
    assert ours.grid(nearest)[0] == 1


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_euler_ends_clean_and_begins_as_its_own(spacing):
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing=spacing)
    theirs.set_timesteps(20)
    config = {**theirs.config, "_class_name": "EulerDiscreteScheduler", "set_alpha_to_one": False}
    space = NoiseSpace(0, "k", (2,), VariancePreserving.from_scheduler(config), Euler(), 20)
    assert float(space.schedule.sigma(space.times[-1])) == 0
    start = space.start(torch.ones(1, dtype=torch.float64))
    alpha = theirs.alphas_cumprod[int(theirs.timesteps[0])].double().sqrt()
    torch.testing.assert_close(start, alpha * theirs.init_noise_sigma.double()[None], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"_class_name": "EDMEulerScheduler"}, "EDMEulerScheduler is none of"),
        ({"_class_name": "LCMScheduler"}, "LCMScheduler is none of"),
        ({"use_karras_sigmas": True}, "use_karras_sigmas=True: model=pipeline obeys it"),
        ({"clip_sample": True}, "clip_sample=True"),
        ({"thresholding": True}, "thresholding=True"),
        ({"timestep_type": "continuous"}, "timestep_type=continuous"),
        ({"prediction_type": "v_prediction"}, "predicts v_prediction: epsilon is needed"),
    ],
)
def test_what_the_adapters_do_not_obey_they_refuse(config, said):
    with pytest.raises(ValueError, match=said):
        eps_schedule(config, None)
