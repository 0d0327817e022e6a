"""Which schedulers of diffusers are known, which of first order takes the place of each, and what rule it follows."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from scaling.models.scheduler_rule import CosineRule, EDMRule, FlowRule, SchedulerRule, TableRule, TrigRule

DENSE = 1000  # steps of the grid that pairs of time and sigma are read from

_DDIM, _EULER, _MULTISTEP = "DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"
_FLOW, _EDM, _COSINE = "FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "DDPMWuerstchenScheduler"
_FIRST_ORDER = {
    **{name: name for name in (_DDIM, _EULER, _FLOW, _EDM, "CogVideoXDDIMScheduler", "SCMScheduler", "LCMScheduler")},
    **dict.fromkeys(("DDIMParallelScheduler", "DDPMScheduler", "DDPMParallelScheduler", "PNDMScheduler"), _DDIM),
    **dict.fromkeys(("EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler"), _EULER),
    **dict.fromkeys(("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"), _EULER),
    **dict.fromkeys((_MULTISTEP, "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"), _MULTISTEP),
    "DEISMultistepScheduler": _MULTISTEP,
    "FlowMatchHeunDiscreteScheduler": _FLOW,
    "EDMDPMSolverMultistepScheduler": _EDM,
    "CogVideoXDPMScheduler": "CogVideoXDDIMScheduler",
    "TCDScheduler": "TCDScheduler",
    _COSINE: _COSINE,
}
DRAWS = ("SCMScheduler", "LCMScheduler", "TCDScheduler", _COSINE)  # their own step draws noise


def first_order(scheduler: Any) -> Any:
    """The deterministic first-order scheduler with the same table and spacing: the searches' samplers do the stepping.

    Raises a ValueError that names a class which is not known.
    """
    import diffusers

    kind = type(scheduler).__name__
    if kind not in _FIRST_ORDER:
        raise ValueError(
            f"model.scheduler: {kind} is not known here; known are {', '.join(sorted(_FIRST_ORDER))} (model.scheduler "
            f"replaces it, and scaling.models.whole_solve.WholePipeline takes any)"
        )
    scheduler = _without_others_keys(scheduler)
    target, changes = _FIRST_ORDER[kind], dict[str, Any]()
    if target == kind != _MULTISTEP:
        return scheduler
    if target == _DDIM:
        if kind == "PNDMScheduler" or "clip_sample" not in scheduler.config:
            changes["clip_sample"] = False  # DDIM's own default is to clip
        if kind != "PNDMScheduler":
            changes["set_alpha_to_one"] = True  # DDPM ends clean, whatever its file says
    if target == _MULTISTEP:
        changes = {"solver_order": 1, "algorithm_type": "dpmsolver++", "euler_at_final": False}
    return _changed(scheduler, getattr(diffusers, target), changes)


def _without_others_keys(scheduler: Any) -> Any:
    """The scheduler as its own class reads its configuration: `from_config` keeps keys of the class it came from."""
    known = _options(type(scheduler))
    odd = [key for key in scheduler.config if key not in known and not key.startswith("_")]
    if not odd:
        return scheduler
    return type(scheduler).from_config({key: value for key, value in scheduler.config.items() if key not in odd})


def _options(kind: type) -> list[str]:
    return [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "kwargs")]  # type: ignore[misc]


def _changed(scheduler: Any, kind: Any, changes: Mapping[str, Any]) -> Any:
    """A scheduler of that class with this one's configuration; what diffusers takes for defaults stays so."""
    config = {**scheduler.config, **changes}
    config["_use_default_values"] = [k for k in config.get("_use_default_values", ()) if k not in changes]
    return kind.from_config(config)


def rule_of(scheduler: Any, own: Tensor) -> SchedulerRule:
    """The rule of a `first_order` scheduler whose timesteps are set to a dense grid, of which `own` are the times."""
    kind = type(scheduler).__name__
    if kind == "SCMScheduler":
        return TrigRule(scheduler, own)
    if kind in (_EDM, _COSINE):
        return (EDMRule if kind == _EDM else CosineRule)(scheduler, own)
    if not hasattr(scheduler, "alphas_cumprod") or scheduler.config.get("use_flow_sigmas"):
        return FlowRule(scheduler, own)
    return TableRule(scheduler, own)


def replaced(scheduler: Any, name: str | None, changes: Mapping[str, Any]) -> Any:
    """The scheduler, as another class of diffusers (None: its own) and with some of its options changed."""
    import diffusers

    kind = type(scheduler) if name is None else getattr(diffusers, name, None)
    if kind is None or not kind.__name__.endswith("Scheduler"):
        raise ValueError(f"model.scheduler={name}: a scheduler of diffusers is needed, as DDIMScheduler")
    for key in changes:
        if key not in (known := _options(kind)):
            nearest = difflib.get_close_matches(key, known, 1, 0)
            raise ValueError(f"model.scheduler_options.{key}: {kind.__name__} has none; did you mean {nearest[0]}?")
    return scheduler if name is None and not changes else _changed(scheduler, kind, changes)
