"""A text-to-image pipeline of diffusers, loaded: its arguments, its prompts, its networks and what they cost."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.extras import require
from scaling.files import user_path
from scaling.loading.devices import dtype_of, move, pick_device
from scaling.loading.hub import cache_folder
from scaling.models.encoding_memo import ENCODERS, EncodingMemo, encodes
from scaling.models.open_call import OpenCall, grid_of, set_scheduler
from scaling.models.pipeline_arguments import Arguments, Asked
from scaling.models.pipeline_networks import LoopNetworks
from scaling.models.repository import Repository
from scaling.models.schedulers import replaced
from scaling.notices import notice
from scaling.protocols import Condition, Encoded

DENOISING = ("transformer", "unet", "vae", "scheduler")  # parts that no prompt is encoded with
PROBE = Asked("a photo")  # the prompt of what is asked before any search


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
        require("transformers")
        repository = Repository(self.path, self.variant)
        if "safety_checker" in repository.parts:
            notice(f"{self.path}: its safety checker is left out, which would blacken images")
        parts = [part for part in repository.parts if part != "safety_checker"]
        encoders = [part for part in parts if part.startswith(ENCODERS)]
        pipe = repository.pipeline(parts, dtype, encoders)
        if getattr(pipe, "watermark", None) is not None:  # of SDXL and Kolors, where a library for it is installed
            pipe.watermark = None
        options = dict(self.options)
        self.arguments = Arguments(pipe, self.guidance_scale, self.height, self.width, self.negative_prompt, options)
        self.guidance_scale = self.arguments.guidance_scale
        if getattr(pipe, "scheduler", None) is None:
            raise ValueError(f"{type(pipe).__name__} has no scheduler of its own: its call cannot be kept open")
        set_scheduler(pipe, replaced(pipe.scheduler, self.scheduler, dict(self.scheduler_options)))
        pipe.set_progress_bar_config(disable=True)
        self.pipe = _with_device(pipe, self.device)
        self.networks = LoopNetworks(pipe.components)
        text = {
            "pipeline": type(pipe).__name__,
            "text": repository.digest(*(part for part in parts if part not in DENOISING)),
            "switches": repository.switches,
            "dtype": self.dtype,
        }
        self._cache = user_path(self.prompt_cache or cache_folder() / "prompts")
        load = functools.partial(repository.load, dtype=dtype)  # holds no model, which ends its calls
        self.memo = EncodingMemo(self.pipe, self.device, self._cache, text, load)
        self._prompts: dict[int, Asked] = {}
        self._declared, self._pairs = 2, False  # steps that a call is told of, and whether it may have two rows
        self._identity = {
            "class": type(self).__name__,
            "pipeline": type(pipe).__name__,
            "weights": repository.digest(*parts),
            "scheduler": {"class": type(pipe.scheduler).__name__, **plain_config(pipe.scheduler.config)},
            "call": self.arguments.identity(),
            "switches": repository.switches,
            "dtype": self.dtype,
        }

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """Numbers of the prompts: the pipeline encodes them itself, once."""
        known = {asked: number for number, asked in self._prompts.items()}
        numbers = [known.setdefault(self.arguments.asked(condition), len(known)) for condition in conditions]
        self._prompts = {number: asked for asked, number in known.items()}
        return {"prompt": torch.tensor(numbers)}

    def prepare(self, conditions: Sequence[Condition]) -> None:
        """Encodes all prompts of a study beforehand: the text encoders are loaded at most once, and then freed."""
        self.encode(conditions)
        with self.memo.encoders():
            for number, asked in enumerate(self._prompts.values()):
                for rows in (1, 2) if number == 0 and self._pairs else (1,):
                    grid_of(self.pipe, self.arguments(asked, rows, self._declared, self.device))

    def gflops(self) -> float:
        """GFLOPs of one forward of one row (2 per multiply-add); fused attention on the CPU counts nothing."""
        return self._gflops

    def encode_gflops(self) -> float:
        """GFLOPs of the text encoders for one prompt."""
        return self.memo.gflops()

    def identity(self) -> dict[str, Any]:
        """All that decides the answers, as plain json."""
        return self._identity

    @property
    def settings(self) -> frozenset[str]:
        """What a condition may set for itself."""
        return self.arguments.settings

    @property
    def vae(self) -> Any:
        """The pipeline's decoder; None where it works on pixels."""
        return getattr(self.pipe, "vae", None)

    def images(self, result: Any) -> Float[Tensor, "n 3 h w"]:
        """The images in a pipeline's result, in [0, 1]."""
        flags = getattr(result, "nsfw_content_detected", None) or getattr(result, "nsfw_detected", None) or ()
        if any(flags):
            raise ValueError(
                f"{type(self.pipe).__name__} blackened an image: its safety checker cannot be left out, and what it "
                "leaves is no sample of the model"
            )
        images = next((getattr(result, name) for name in ("images", "image") if hasattr(result, name)), None)
        if not isinstance(images, Tensor):
            given = "no images" if images is None else type(images).__name__
            among = f" but {', '.join(result)}" if images is None and isinstance(result, Mapping) else ""
            raise ValueError(f"{type(self.pipe).__name__} gives {given}{among} for output_type=pt")
        return images[:, :3].float().clamp(0, 1)  # Qwen-Image 2.1 gives an opacity beside

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
        self._learn()
        return outputs

    def _learn(self) -> None:
        """What is known of the networks only once they were asked."""
        if self.networks.names:
            self.arguments.learn(self.forwards_per_call, getattr(self.pipe, sorted(self.networks.names)[0]))

    @staticmethod
    def _groups(keys: Sequence[Any]) -> list[tuple[Any, list[int]]]:
        """Rows of one key together, in order of the keys' first rows."""
        groups: dict[Any, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key, []).append(row)
        return list(groups.items())


def _with_device(pipe: Any, device: torch.device) -> Any:
    """The pipeline, frozen, on a device: all but its text encoders, which visit it; it is told where it computes."""
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)  # a search's gradients are those of its noise
            if not encodes(name, part):
                move(part, device)
    base = type(pipe)
    known = property(lambda self: device)
    pipe.__class__ = type(base.__name__, (base,), {"device": known, "_execution_device": known})
    return pipe


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as plain json, without what names a version."""
    values = {name: value for name, value in config.items() if not name.startswith("_")}
    return {name: str(v) if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
