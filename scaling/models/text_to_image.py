"""Text-to-image models of diffusers, driven from their parts: prompts encoded once, then the network, then the VAE."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scaling import checks
from scaling.extras import require
from scaling.loading.devices import DTYPES, dtype_of, move, pick_device
from scaling.models.blocks import compile_blocks
from scaling.models.dit import guidance_gap, guidance_named, predict
from scaling.models.encoded_prompts import Asked, EncodedPrompts, Encoder, Negative, Row, encode_gflops, loaded, wanted
from scaling.models.repository import Repository
from scaling.models.step_cache import apply_cache, begin, gflops_along
from scaling.models.vae import rows_at_once, side_of
from scaling.protocols import Condition, Encoded, Prediction, Schedule

Offload = Literal["none", "model", "layers"]
_DECIDE_NOTHING = ("path", "network_path", "variant", "chunk", "offload", "prompt_cache", "device")
_NULL = "null."  # before the name of what guidance leads away from
_SCALE = "guidance_scale"  # of each row, where one of them sets its own


@dataclass(kw_only=True, eq=False)
class TextToImage(ABC):
    """Prompts in, latents of a VAE out; a family fills in what is its own.

    `path` is a folder of `save_pretrained` or a hub id; `network_path` another one for the network alone (fine-tunes).
    `guidance_scale` is run as two forwards, or embedded where the family does. `height` and `width` are pixels (None:
    as trained). `dtype` is that of the networks, `vae_dtype` (None: the same, float32 where float16 would overflow)
    that of the VAE, which decodes `chunk` rows at a time (None: 4 megapixels), in tiles with `tiling`. `offload`:
    `model` keeps network and VAE on the device by turns, `layers` the network layer by layer. `compile` is torch's,
    for the network's transformer blocks. `cache`, for drafts: see `scaling.models.step_cache.apply_cache`. All else is
    float32.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"chunk", "offload", "prompt_cache", "device"})
    path: str
    network_path: str | None = None
    variant: str | None = None
    guidance_scale: float = 1.0
    height: int | None = None
    width: int | None = None
    dtype: str = "bfloat16"
    vae_dtype: str | None = None
    tiling: bool = False
    chunk: int | None = None
    offload: Offload = "none"
    compile: bool = False
    prompt_cache: str | None = None
    cache: Mapping[str, Any] = field(default_factory=dict)
    device: Any = "auto"

    pipeline: ClassVar[str]  # diffusers' class
    part: ClassVar[str] = "transformer"  # where its network lies
    prediction: ClassVar[str] = "velocity"
    multiple: ClassVar[int] = 1  # latents come in multiples of this

    def __post_init__(self) -> None:
        dtype_of(self.dtype, "model.dtype")
        if self.vae_dtype is not None:
            dtype_of(self.vae_dtype, "model.vae_dtype")
        checks.one_of(get_args(Offload), **{"model.offload": self.offload})
        if self.cache and (self.compile or self.offload == "layers"):
            raise ValueError("model.cache goes with neither model.compile=true nor model.offload=layers")
        if self.compile and self.offload == "layers":
            raise ValueError("model.compile=true needs a network that stays whole: not model.offload=layers")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"model.chunk={self.chunk}; the least is 1")
        self.device = pick_device(self.device)
        self.guidance_scale = float(self.guidance_scale)
        require("transformers")
        self.repository = Repository(self.path, self.variant)
        self.repository.check(self.pipeline)
        self.config = self.repository.config(self.part)
        self.vae_config = self.repository.config("vae")
        odd = [name for name in ("latents_mean", "latents_std") if self.vae_config.get(name) is not None]
        if odd and type(self).image is TextToImage.image:
            raise ValueError(f"model.path={self.path}: its VAE has {odd[0]}, which model=pipeline obeys")
        factor, trained = self.vae_factor, self.config.get("sample_size", 128)
        self.height = side_of("model.height", self.height, factor, self.multiple, trained)
        self.width = side_of("model.width", self.width, factor, self.multiple, trained)
        self.latent_shape: tuple[int, ...] = (self.channels(), self.height // factor, self.width // factor)
        self.schedule: Schedule = self.noise_schedule(self.repository.config("scheduler"))
        self.forwards_per_call = 2 if self.guides() else 1
        text = {"text": self.repository.digest(*self.repository.text_parts), **self._options(), "dtype": self.dtype}
        text |= self.repository.unusual
        for name in ("guidance_scale", "height", "width", "vae_dtype", "tiling", "spacing", "compile", "cache"):
            text.pop(name, None)
        self._prompts = EncodedPrompts(self.prompt_cache, text)
        self._gflops: dict[int | None, float] = {}  # of a forward, by the steps of a solve with a cache
        self._there: set[str] = set()  # parts on the device: to ask every parameter takes SDXL 24 ms a call

    # What a family fills in.

    @abstractmethod
    def noise_schedule(self, config: Mapping[str, Any]) -> Schedule:
        """The schedule that the scheduler's configuration describes."""

    @abstractmethod
    def text(self, pipe: Any, prompt: str) -> Row:
        """A prompt as the network takes it, by the pipeline's own text encoders."""

    @abstractmethod
    def forward(self, network: Any, x: Tensor, t: Tensor, encoded: Encoded) -> Float[Tensor, "n *latent"]:
        """One pass of the network, in the layout of the latents."""

    def null(self, pipe: Any, prompt: str | None) -> Row:
        """What guidance leads away from: the family's own (None), or a negative prompt."""
        return self.text(pipe, prompt or "")

    def guides(self) -> bool:
        """Whether guidance is run, with a second forward: at 1 and below diffusers runs none."""
        return self.guidance_scale > 1

    def guide(self, conditioned: Tensor, null: Tensor, scale: Tensor | float) -> Tensor:
        """null + scale (conditioned - null) (Ho & Salimans 2207.12598)."""
        return null + scale * (conditioned - null)

    def channels(self) -> int:
        """Channels of a latent."""
        return int(self.config["in_channels"])

    @property
    def vae_factor(self) -> int:
        """Pixels a latent."""
        return 2 ** (len(self.vae_config["block_out_channels"]) - 1)

    def image(self, vae: Any, x0: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        """Decoded images in [-1, 1]."""
        latents = x0 / self.vae_config["scaling_factor"] + (self.vae_config.get("shift_factor") or 0.0)
        return vae.decode(latents.to(vae.dtype), return_dict=False)[0]

    # The denoiser.

    @property
    def settings(self) -> frozenset[str]:
        """What a condition may set for itself: nothing where guidance is not run."""
        return frozenset({"negative_prompt", "guidance_scale"} if self.forwards_per_call == 2 else ())

    def prepare(self, conditions: Sequence[Condition]) -> None:
        """Encodes all prompts of a study beforehand, so that the text encoders are loaded once and then freed."""
        prompts, negatives = self._wanted(conditions)
        self._prompts.rows([*prompts, *negatives], self._text_encoders)

    def encode(self, conditions: Sequence[Condition]) -> Encoded:
        """The encoded prompts, one row a condition; a ValueError names a condition that has none."""
        prompts, negatives = self._wanted(conditions)
        distinct: list[Asked] = list(dict.fromkeys((*prompts, *negatives)))
        rows = dict(zip(distinct, self._prompts.rows(distinct, self._text_encoders), strict=True))
        encoded = self.batch([rows[prompt] for prompt in prompts])
        if negatives:
            null = self.batch([rows[negative] for negative in negatives])
            encoded |= {_NULL + name: value for name, value in null.items()}
        scales = [dict(condition.settings).get("guidance_scale") for condition in conditions]
        if any(scale is not None for scale in scales):
            encoded[_SCALE] = torch.tensor([self.guidance_scale if scale is None else scale for scale in scales])
        return {name: value.to(self.device) for name, value in encoded.items()}

    def batch(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Rows side by side."""
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def __call__(self, x: Float[Tensor, "n *latent"], t: Float[Tensor, " n"], encoded: Encoded) -> Prediction:
        """x0 and eps at the times t, in float32; gradients flow to x where it asks for them."""
        x, t = x.float(), t.to(x.device)
        self._bring(self.part)
        output, gap = self._guided(self.network, x, t, encoded)
        return predict(output, x, t, self.schedule, self.prediction)._replace(gap=gap)

    def begin_solve(self) -> None:
        """What follows are the steps of a new solve, of whatever rows."""
        if self.cache:
            begin(self.network)

    def decode(self, x0: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1], float32."""
        self._bring("vae")
        assert self.height is not None and self.width is not None  # since __post_init__
        chunks = x0.to(self.device, torch.float32).split(rows_at_once(self.chunk, self.height, self.width))
        images = torch.cat([self.image(self.vae, chunk).float() for chunk in chunks])
        return (images / 2 + 0.5).clamp(0, 1)

    def gflops(self) -> float:
        """GFLOPs of one network forward of one row (2 per multiply-add)."""
        return self._gflops_along(None)

    def gflops_along(self, nfe: int) -> float:
        """The same on average over the forwards of a solve of so many NFE, of which a cache leaves some out."""
        return self._gflops_along(nfe if self.cache else None)

    def encode_gflops(self) -> float:
        """GFLOPs of the text encoders for one prompt, counted without their weights."""
        return encode_gflops(self.repository, self._row_of)

    def identity(self) -> dict[str, Any]:
        """All that decides the answers, as plain json."""
        repository = self.repository
        guided = type(self).guides is TextToImage.guides  # by a second forward, not by an embedded number
        guidance = {"guidance_scale": guidance_named(self.guidance_scale)} if guided else {}
        return {
            "class": type(self).__name__,
            "network": repository.digest(self.part, path=self.network_path),
            "others": repository.digest("vae", *repository.text_parts),
            **self._options(),
            **repository.unusual,
            **guidance,
        }

    def release(self) -> None:
        """Leaves the device to others until the next call."""
        self._bring(None)

    def _gflops_along(self, nfe: int | None) -> float:
        """Counted on the meta device, which takes seconds: once each, whatever the runs of a sweep. None: no cache."""
        if nfe not in self._gflops:
            with torch.device("meta"):
                network = self.repository.build(self.part).to(DTYPES[self.dtype])
            encoded = {name: value.to("meta") for name, value in self.encode([Condition(prompt="")]).items()}
            row = {name: value for name, value in encoded.items() if not name.startswith(_NULL)}

            def forward() -> Tensor:
                return self.forward(network, torch.empty(1, *self.latent_shape), torch.empty(1), row)

            cache = {} if nfe is None else self.cache
            self._gflops[nfe] = gflops_along(network, forward, cache, 1 if nfe is None else nfe)
        return self._gflops[nfe]

    @cached_property
    def network(self) -> nn.Module:
        """The denoising network, loaded at its first use: after the text encoders have gone."""
        network = self.repository.load(self.part, DTYPES[self.dtype], self.network_path)
        if self.offload == "layers":
            from accelerate import cpu_offload

            return cpu_offload(network, self.device)
        if self.compile:
            compile_blocks(network)
        if self.cache:
            apply_cache(network, self.cache)
        return network

    @cached_property
    def vae(self) -> Any:
        """The decoder, loaded at its first use, in float32 where it overflows in half precision."""
        overflows = self.dtype == "float16" and self.vae_config.get("force_upcast", False)
        dtype = self.vae_dtype or ("float32" if overflows else self.dtype)
        vae: Any = self.repository.load("vae", DTYPES[dtype])
        if self.tiling:
            vae.enable_tiling()
        return vae

    def _guided(self, network: nn.Module, x: Tensor, t: Tensor, encoded: Encoded) -> tuple[Tensor, Tensor | None]:
        """The output, and how far guidance moved it where it is run."""
        conditioned = {name: value for name, value in encoded.items() if not name.startswith((_NULL, _SCALE))}
        if self.forwards_per_call == 1:
            return self.forward(network, x, t, conditioned).float(), None
        both = {name: torch.cat((value, encoded[_NULL + name])) for name, value in conditioned.items()}
        output = self.forward(network, torch.cat((x, x)), torch.cat((t, t)), both).float()
        scale = encoded[_SCALE].view(-1, *[1] * (x.ndim - 1)) if _SCALE in encoded else self.guidance_scale
        one, other = output.chunk(2)
        return self.guide(one, other, scale), guidance_gap(one, other, t, self.schedule, self.prediction)

    def _bring(self, part: str | None) -> None:
        """Puts a network on the device; where they take turns, the other one off it first."""
        kept = {self.part: "network", "vae": "vae"}
        for name in [*self._there]:
            if part is None or (self.offload == "model" and name != part):
                move(getattr(self, kept[name]), torch.device("cpu"))
                self._there.remove(name)
        if part is None or part in self._there or (part == self.part and self.offload == "layers"):
            return
        move(getattr(self, kept[part]), self.device)
        self._there.add(part)

    def _text_encoders(self) -> AbstractContextManager[Encoder]:
        """The text encoders, while they are needed."""
        self._bring(None)
        longest = getattr(self, "max_tokens", None)
        return loaded(self.repository, DTYPES[self.dtype], self.device, self._row_of, longest)

    def _row_of(self, pipe: Any, asked: Asked) -> Row:
        return self.null(pipe, asked.prompt) if isinstance(asked, Negative) else self.text(pipe, asked)

    def _wanted(self, conditions: Sequence[Condition]) -> tuple[list[str], list[Negative]]:
        return wanted(conditions, self.guidance_scale, self.forwards_per_call == 2)

    def _options(self) -> dict[str, Any]:
        options = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _DECIDE_NOTHING}
        return options if self.cache else {name: value for name, value in options.items() if name != "cache"}
