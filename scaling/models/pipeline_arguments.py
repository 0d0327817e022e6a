"""The arguments of a pipeline's call: what it takes, by the names that it has for them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from scaling.notices import notice
from scaling.protocols import Condition

_TRUE = "true_cfg_scale"  # guidance by a second forward, where another name has the embedded one
OURS = {  # names of the call that are not options, and what to say instead
    "prompt": "conditions", "latents": "nothing: noise is the search's", "generator": "seed", "output_type": "nothing",
    "num_inference_steps": "budget.nfes_per_iter", "timesteps": "model.scheduler", "sigmas": "model.scheduler",
    "height": "model.height", "width": "model.width", "guidance_scale": "model.guidance_scale",
    _TRUE: "model.guidance_scale", "negative_prompt": "model.negative_prompt", "return_dict": "nothing",
    "num_images_per_prompt": "conditions.copies",
}  # fmt: skip
GUIDANCE = ("guidance_scale", _TRUE, "distilled_guidance_scale", "decoder_guidance_scale")
_NULL_OF_TRUE_GUIDANCE = " "  # what Qwen-Image's authors lead away from


@dataclass(frozen=True)
class Asked:
    """What the call is asked for: a prompt, and what its condition sets for itself alone (None: as the model)."""

    prompt: str
    negative_prompt: str | None = None
    guidance_scale: float | None = None


class Arguments:
    """Checks the options against the call's signature, and makes the call's arguments."""

    def __init__(
        self,
        pipe: Any,
        guidance_scale: float | None,
        height: int | None,
        width: int | None,
        negative_prompt: str | None,
        options: Mapping[str, Any],
    ) -> None:
        self._name, self.embedded = type(pipe).__name__, False
        self._leads_away, self._negative = True, negative_prompt  # whether it can act, as far as it is known
        self.alone = False  # some take a prompt alone, and no list of one
        self.takes = inspect.signature(type(pipe).__call__).parameters
        if lacking := {"prompt", "num_inference_steps", "output_type"} - set(self.takes):
            raise ValueError(f"{self._name} takes no {', '.join(sorted(lacking))}: it is no text-to-image pipeline")
        if {"num_frames", "video_length", "frames"} & set(self.takes):
            raise ValueError(
                f"{self._name} makes videos: a sample here has the axes channels, height, width, no frames"
            )
        self.call: dict[str, Any] = {}
        self._prompts = {}
        for name, value in (("height", height), ("width", width)):
            if value is not None:
                self._need(name, f"model.{name}")
                self.call[name] = value
        self.guidance_name = self._guidance_name()
        self._check(options)
        if guidance_scale is not None:
            self._guide(float(guidance_scale))
        elif "guidance_schedule" in self.takes:
            raise ValueError(f"{self._name} changes its guidance from step to step: give model.guidance_scale, as 7")
        guided = self.guidance_name
        self.guidance_scale = float(self.call.get(guided, self.takes[guided].default) or 1.0) if guided else 1.0
        if negative_prompt is None and self.guidance_name == _TRUE and self.guidance_scale > 1:
            negative_prompt = _NULL_OF_TRUE_GUIDANCE
        if negative_prompt is not None:
            self._need("negative_prompt", "model.negative_prompt")
            self._prompts["negative_prompt"] = negative_prompt
        if "use_kv_cache" in self.takes:
            self.call["use_kv_cache"] = False  # filled at a first step, which an open call may not make
        self.call |= options

    def identity(self) -> dict[str, Any]:
        """What of the call decides its answers, as plain json."""
        return {**self.call, **self._prompts}

    @property
    def settings(self) -> frozenset[str]:
        """What a condition may set for itself."""
        guided = {"guidance_scale"} if self.guidance_name else set()
        return frozenset(guided | ({"negative_prompt"} & set(self.takes) if self._leads_away else set()))

    def asked(self, condition: Condition) -> Asked:
        """What a condition asks for; a ValueError where it has no prompt, or a guidance of other forwards."""
        if condition.prompt is None:
            raise ValueError(f"condition {condition.class_label}: a text-to-image model needs a prompt")
        own: dict[str, Any] = {name: value for name, value in condition.settings if name in self.settings}
        scale = own.get("guidance_scale", self.guidance_scale)
        if not self.embedded and (scale > 1) != (self.guidance_scale > 1):
            raise ValueError(
                f"condition {condition.prompt!r} sets guidance_scale={scale:g}, which makes other forwards than "
                f"model.guidance_scale={self.guidance_scale:g}: both above 1 or both at most 1 are needed"
            )
        return Asked(condition.prompt, **own)

    def __call__(
        self, asked: Asked, rows: int, steps: int, device: torch.device, output_type: str = "pt"
    ) -> dict[str, Any]:
        """The call for so many rows of one prompt."""
        own = {} if asked.negative_prompt is None else {"negative_prompt": asked.negative_prompt}
        texts = {"prompt": asked.prompt, **self._prompts, **own}
        call = {
            **{name: text if self.alone and rows == 1 else [text] * rows for name, text in texts.items()},
            "num_inference_steps": steps,
            "output_type": output_type,
            **self.call,
        }
        if asked.guidance_scale is not None and self.guidance_name:
            call[self.guidance_name] = asked.guidance_scale
        if "generator" in self.takes:
            call["generator"] = torch.Generator(device).manual_seed(0)
        if "intermediate_timesteps" in self.takes and steps != 2:
            call.setdefault("intermediate_timesteps", None)  # SANA-Sprint's default is for two steps alone
        return call

    def learn(self, forwards: int, network: Any) -> None:
        """Takes in how many forwards a step makes; says where guidance was asked for and is not run.

        A ValueError where a negative prompt can do nothing.
        """
        keys = ("guidance_embeds", "time_cond_proj_dim", "use_meanflow")
        self.embedded = forwards == 1 and any(network.config.get(key) for key in keys)
        self._leads_away = forwards > 1
        if forwards == 1 and self._negative is not None:
            raise ValueError(
                f"model.negative_prompt={self._negative!r}: {self._name} makes one forward a step here, in which it "
                f"does nothing{self._remedy}"
            )
        if forwards == 1 and self.call.get(_TRUE, 1) > 1 and self.guidance_name != _TRUE:
            raise ValueError(f"model.options.{_TRUE}: {self._name} leads away from nothing: give model.negative_prompt")
        if self.guidance_scale > 1 and forwards == 1 and not self.embedded:
            notice(
                f"{self._name} makes one forward a step: model.guidance_scale={self.guidance_scale} does nothing here"
            )

    def _guidance_name(self) -> str | None:
        takes = [name for name in GUIDANCE if name in self.takes]
        if takes[:2] == ["guidance_scale", _TRUE] and self.takes["guidance_scale"].default is None:
            return _TRUE  # Qwen-Image; FLUX's own is embedded
        return takes[0] if takes else None

    def _guide(self, scale: float) -> None:
        if self.guidance_name is None:
            if scale != 1:
                raise ValueError(f"model.guidance_scale={scale}: {self._name} takes none; give null")
            return
        self.call[self.guidance_name] = scale
        if "guidance_schedule" in self.takes:  # Ideogram's, which stands in for the scale
            self.call["guidance_schedule"] = None

    @property
    def _remedy(self) -> str:
        beside = _TRUE in self.takes and self.guidance_name != _TRUE  # FLUX.1 embeds its own guidance
        return f"; give model.options.{_TRUE}, as 4" if beside else "; model.guidance_scale above 1 runs guidance"

    def _need(self, name: str, key: str) -> None:
        if name not in self.takes:
            raise ValueError(f"{key}: {self._name} takes no {name}")

    def _check(self, options: Mapping[str, Any]) -> None:
        plain = [name for name, p in self.takes.items() if p.kind is not p.VAR_KEYWORD and name != "self"]
        for name in options:
            if name == _TRUE and self.guidance_name not in (None, _TRUE):
                continue
            if name in OURS:
                raise ValueError(f"model.options.{name} is set elsewhere: {OURS[name]}")
            if name not in plain:
                nearest = difflib.get_close_matches(name, plain, 1, 0)
                raise ValueError(f"model.options.{name}: {self._name} takes none; did you mean {nearest[0]}?")
