"""A perfect network of every kind, by the rule read from a scheduler and by the scheduler's own steps: closed forms."""

from __future__ import annotations

import math
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from scaling.models.schedulers import DENSE, first_order, rule_of

SHAPE = (2, 3, 4, 4)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CASES: dict[str, Any] = {
    "flow": diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    "flow upside down": diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
    "noise": diffusers.DDIMScheduler(**BETAS, clip_sample=False),
    "velocity": diffusers.DDIMScheduler(**BETAS, clip_sample=False, prediction_type="v_prediction"),
    "sample": diffusers.DDIMScheduler(**BETAS, clip_sample=False, prediction_type="sample"),
    "zero terminal": diffusers.CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
    ),
    "Euler": diffusers.EulerDiscreteScheduler(**BETAS),
    "Euler of v": diffusers.EulerDiscreteScheduler(**BETAS, prediction_type="v_prediction", timestep_type="continuous"),
    "DPM": diffusers.DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True),
    "EDM": diffusers.EDMEulerScheduler(),
    "TrigFlow": diffusers.SCMScheduler(),
    "cosine": diffusers.DDPMWuerstchenScheduler(),
}


def dense(scheduler: Any) -> Any:
    """The rule, as a pipeline that goes through its scheduler's own times would have it."""
    if isinstance(scheduler, diffusers.SCMScheduler):
        scheduler.set_timesteps(DENSE, intermediate_timesteps=None, max_timesteps=1.57080)
    else:
        scheduler.set_timesteps(DENSE)
    ends = len(scheduler.timesteps) > DENSE  # with the clean end
    return rule_of(scheduler, scheduler.timesteps[:-1] if ends else scheduler.timesteps)


def perfect(name: str, scheduler: Any, x0: Tensor, eps: Tensor, alpha: float, sigma: float) -> Tensor:
    """What a network that knows the clean sample says."""
    if name == "EDM":
        data, ratio = scheduler.config.sigma_data, sigma / alpha
        skip = data**2 / (ratio**2 + data**2)
        return (x0 - skip * (x0 + ratio * eps)) * math.sqrt(ratio**2 + data**2) / (ratio * data)
    if name.startswith("flow"):
        return x0 - eps if scheduler.config.invert_sigmas else eps - x0
    if name == "TrigFlow":
        return scheduler.config.sigma_data * (alpha * eps - sigma * x0)
    kind = scheduler.config.get("prediction_type", "epsilon")
    return {"epsilon": eps, "sample": x0, "v_prediction": alpha * eps - sigma * x0}[kind]


@pytest.mark.parametrize("name", CASES)
def test_a_perfect_network_is_read_as_it_is(name: str) -> None:
    scheduler = first_order(CASES[name])
    rule = dense(scheduler)
    generator = torch.Generator().manual_seed(0)
    x0, eps = (torch.randn(*SHAPE, generator=generator) for _ in range(2))
    for t in (0.9, 0.5, 0.1):
        time = torch.tensor(t, dtype=torch.float64)
        alpha, sigma = float(rule.alpha(time)), float(rule.sigma(time))
        read = rule.predict(perfect(name, scheduler, x0, eps, alpha, sigma), alpha * x0 + sigma * eps, t)
        torch.testing.assert_close(read.x0, x0, atol=1e-3, rtol=0)
        torch.testing.assert_close(read.eps, eps, atol=1e-3, rtol=0)
        assert alpha**2 + sigma**2 == pytest.approx(1, abs=1e-4) or name.startswith("flow")


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("TrigFlow", "cosine")])
def test_its_times_are_those_that_the_scheduler_steps_through(name: str) -> None:
    """Each own step of a perfect network ends where alpha and sigma of the next of the rule's times say."""
    scheduler = first_order(CASES[name])
    rule = dense(scheduler)
    scheduler.set_timesteps(10)
    own = scheduler.timesteps
    times = rule.times(scheduler, own)
    assert len(times) == len(own) + 1
    assert (times.diff() < 0).all()
    assert times[-1] == 0
    generator = torch.Generator().manual_seed(0)
    x0, eps = (torch.randn(*SHAPE, generator=generator) for _ in range(2))
    scaled = name.startswith("Euler") or name == "EDM"  # their samples grow with the noise
    for i in range(len(own) - 1):
        (alpha, sigma), (later, less) = (
            (float(rule.alpha(time)), float(rule.sigma(time))) for time in (times[i], times[i + 1])
        )  # fmt: skip
        torch.testing.assert_close(rule.own_time(float(times[i])).double(), own[i].double(), atol=1e-2, rtol=1e-4)
        sample = (alpha * x0 + sigma * eps) / (alpha if scaled else 1)
        output = perfect(name, scheduler, x0, eps, alpha, sigma)
        stepped = scheduler.step(output, own[i], sample, return_dict=False)[0]
        expected = (later * x0 + less * eps) / (later if scaled else 1)
        torch.testing.assert_close(stepped, expected, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["TrigFlow", "cosine"])
def test_a_single_step_of_those_that_draw_noise_is_clean(name: str) -> None:
    scheduler = CASES[name]
    rule = dense(scheduler)
    options = {"max_timesteps": 1.57080, "intermediate_timesteps": None} if name == "TrigFlow" else {}
    scheduler.set_timesteps(1, **options)
    x0, eps = (torch.randn(*SHAPE, generator=torch.Generator().manual_seed(i)) for i in range(2))
    alpha, sigma = (float(each(torch.tensor(1.0, dtype=torch.float64))) for each in (rule.alpha, rule.sigma))
    output = perfect(name, scheduler, x0, eps, alpha, sigma)
    sample = (alpha * x0 + sigma * eps) * rule.last_scale
    time = scheduler.timesteps[0]
    done = scheduler.step(output, time.expand(len(x0)) if name == "cosine" else time, sample, return_dict=False)
    torch.testing.assert_close(done[-1] / rule.last_scale, x0, atol=0.02, rtol=0)


def test_sigmas_beyond_a_straight_path_are_refused() -> None:
    """As those of Cosmos, whose scheduler is named like one of a flow."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    scheduler.register_to_config(sigma_max=80.0, sigma_min=0.002)
    with pytest.raises(ValueError, match=r"^FlowMatchEulerDiscreteScheduler begins at sigma=80, .*whole_pipeline"):
        dense(scheduler)
