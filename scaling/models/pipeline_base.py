"""A text-to-image pipeline of diffusers, loaded: its arguments, its prompts, its networks and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.loading.devices import dtype_of, pick_device
from scaling.models.encoding_memo import EncodingMemo
from scaling.models.open_call import OpenCall
from scaling.models.pipeline_arguments import Arguments
from scaling.models.pipeline_networks import LoopNetworks
from scaling.models.repository import Repository
from scaling.models.scheduler_rule import replaced
from scaling.notices import notice
from scaling.protocols import Condition, Encoded

DENOISING = ("transformer", "unet", "vae", "scheduler")  # parts that no prompt is encoded with
PROBE = "a photo"  # the prompt of what is asked before any search


@dataclass(kw_only=True, eq=False)
class PipelineBase:
    """`path` is the folder or hub id of a text-to-image pipeline of diffusers.

    `guidance_scale` (null: the pipeline's own) goes to the argument that its call has for it; where diffusers runs
    none, at 1 and below, none is run. `scheduler` is another class of diffusers, `scheduler_options` change the
    configuration of either. `options` are further arguments of the call.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"prompt_cache", "device"})
    path: str
    guidance_scale: Any = None  # a number, once it is loaded
    negative_prompt: str | None = None
    height: int | None = None
    width: int | None = None
    scheduler: str | None = None
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    variant: str | None = None
    prompt_cache: str | None = None
    dtype: str = "bfloat16"
    device: Any = "auto"

    def __post_init__(self) -> None:
        dtype = dtype_of(self.dtype, "model.dtype")
        self.device = pick_device(self.device)
        repository = Repository(self.path, self.variant)
        if "safety_checker" in repository.parts:
            notice(f"{self.path}: its safety checker is left out, which would blacken images")
        parts = [part for part in repository.parts if part != "safety_checker"]
        pipe = repository.pipeline(parts, dtype)
        options = dict(self.options)
        self.arguments = Arguments(pipe, self.guidance_scale, self.height, self.width, self.negative_prompt, options)
        self.guidance_scale = self.arguments.guidance_scale
        if getattr(pipe, "scheduler", None) is None:
            raise ValueError(f"{type(pipe).__name__} has no scheduler of its own: its call cannot be kept open")
        pipe.scheduler = replaced(pipe.scheduler, self.scheduler, dict(self.scheduler_options))
        pipe.set_progress_bar_config(disable=True)
        self.pipe = _with_device(pipe, self.device)
        self.networks = LoopNetworks(pipe.components)
        text = {
            "pipeline": type(pipe).__name__,
            "text": repository.digest(*(part for part in parts if part not in DENOISING)),
            "dtype": self.dtype,
        }
        self.memo = EncodingMemo(self.pipe, self.device, self.prompt_cache, text)
        self._prompts: dict[int, str] = {}
        self._identity = {
            "class": type(self).__name__,
            "pipeline": type(pipe).__name__,
            "weights": repository.digest(*parts),
            "scheduler": {"class": type(pipe.scheduler).__name__, **_plain(pipe.scheduler.config)},
            "call": self.arguments.identity(),
            "dtype": self.dtype,
        }

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """Numbers of the prompts: the pipeline encodes them itself, once."""
        known = {prompt: number for number, prompt in self._prompts.items()}
        numbers = []
        for condition in conditions:
            if condition.prompt is None:
                raise ValueError(f"condition {condition.class_label}: a text-to-image model needs a prompt")
            number = known.setdefault(str(condition.prompt), len(known))
            self._prompts[number] = str(condition.prompt)
            numbers.append(number)
        return {"prompt": torch.tensor(numbers)}

    def gflops(self) -> float:
        """GFLOPs of one forward of one row (2 per multiply-add); fused attention on the CPU counts nothing."""
        return self._gflops

    def identity(self) -> dict[str, Any]:
        """All that decides the answers, as plain json."""
        return self._identity

    @property
    def vae(self) -> Any:
        """The pipeline's decoder; None where it works on pixels."""
        return getattr(self.pipe, "vae", None)

    def images(self, result: Any) -> Float[Tensor, "n 3 h w"]:
        """The images in a pipeline's result, in [0, 1]."""
        images = result.images if hasattr(result, "images") else result.image
        if not isinstance(images, Tensor):
            raise ValueError(f"{type(self.pipe).__name__} gives {type(images).__name__} for output_type=pt")
        return images.float().clamp(0, 1)

    def _probe(self) -> list[Any]:
        """Runs one step of one row: what its networks are, answer and cost, and the shape of its latents."""
        self.networks.flops = []
        call = OpenCall(self.pipe, self.arguments(PROBE, 1, 2, self.device), self.networks)
        with self.networks.heard() as outputs:
            _, self._latents = call.begin()
        call.close()
        self.latent_shape: tuple[int, ...] = tuple(self._latents.shape[1:])
        self.forwards_per_call = self.networks.rows
        self._gflops = sum(self.networks.flops) / max(self.networks.rows, 1) / 1e9
        self.networks.flops = None
        if len(self._latents) != 1:
            raise ValueError(f"{type(self.pipe).__name__} has {len(self._latents)} rows in its loop for an image")
        if self.networks.names:
            self.arguments.warn(self.networks.rows, getattr(self.pipe, sorted(self.networks.names)[0]))
        return outputs

    @staticmethod
    def _groups(keys: Sequence[Any]) -> list[tuple[Any, list[int]]]:
        """Rows of one key together, in order of the keys' first rows."""
        groups: dict[Any, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key, []).append(row)
        return list(groups.items())


def _with_device(pipe: Any, device: torch.device) -> Any:
    """The pipeline on a device, all but its text encoders, which visit it; so it is told where it computes."""
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module) and not name.startswith(("text_encoder", "vision_language_encoder")):
            torch.nn.Module.to(part, device)
    base = type(pipe)
    known = property(lambda self: device)
    pipe.__class__ = type(base.__name__, (base,), {"device": known, "_execution_device": known})
    return pipe


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as plain json, without what names a version."""
    values = {name: value for name, value in config.items() if not name.startswith("_")}
    return {name: str(v) if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
