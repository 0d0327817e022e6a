"""DiT (Peebles & Xie 2212.09748) from a folder in the format of diffusers' `DiTPipeline`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from scaling.contents import digest
from scaling.files import user_path
from scaling.loading.devices import dtype_of, pick_device
from scaling.loading.hub import find_folder
from scaling.models.blocks import compile_blocks
from scaling.models.class_latents import ClassLatents
from scaling.models.dit import guidance_named
from scaling.models.outline import Outline, published
from scaling.models.vae import VAE
from scaling.schedules import Spacing, VariancePreserving

_FILES = ("transformer/config.json", "transformer/diffusion_pytorch_model*", "scheduler/*.json")
_SHAPES = (
    "num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "num_layers", "sample_size",
    "patch_size", "num_embeds_ada_norm", "norm_eps", "attention_bias",
)  # fmt: skip


class LatentDiT(ClassLatents):
    """`facebook/DiT-XL-2-256`, `-512` and their like: class labels in, latents of a VAE out, predicting the noise.

    `path` is a folder of `DiTPipeline.save_pretrained` or a hub id. `spacing` cuts time otherwise than the folder's
    scheduler says. `guided_channels` are the first channels that guidance acts on: None is all of them, as in
    diffusers, 3 is the authors' code. `vae` replaces the folder's own. Weights are in `dtype`, all else fp32.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    predicts = "eps"
    schedule: VariancePreserving

    def __init__(
        self,
        *,
        path: str = "facebook/DiT-XL-2-256",
        vae: VAE | None = None,
        guidance_scale: float = 1.0,
        guided_channels: int | None = None,
        spacing: Spacing | None = None,
        dtype: str = "float32",
        compile: bool = False,
        device: str = "auto",
    ) -> None:
        from diffusers import DiTTransformer2DModel

        number = dtype_of(dtype, "model.dtype")
        folder = find_folder(path, _FILES)
        self.schedule = VariancePreserving.from_scheduler(_scheduler(folder), spacing)
        self.device = pick_device(device)
        self.vae = VAE(path=path, subfolder="vae", dtype=dtype, device=device) if vae is None else vae
        self.guidance_scale = float(guidance_scale)
        self.forwards_per_call = 1 if self.guidance_scale <= 1 else 2
        network = DiTTransformer2DModel.from_pretrained(folder, subfolder="transformer", dtype=number)
        network = network.to(self.device).eval().requires_grad_(False)
        self._architecture = {key: network.config[key] for key in _SHAPES}
        if compile:
            compile_blocks(network)
        self._network = network
        self._dtype, self._guided_channels = number, guided_channels
        size = network.config.sample_size
        self.latent_shape: tuple[int, ...] = (network.config.in_channels, size, size)
        self._identity = {
            "class": "LatentDiT",
            "weights": digest(folder, _FILES),
            "spacing": self.schedule.spacing,
            "guidance_scale": guidance_named(self.guidance_scale),
            "guided_channels": guided_channels,
            "dtype": dtype,
            "compile": compile,
        }

    @classmethod
    def outline(cls, options: Mapping[str, Any]) -> Outline:
        """What a plan reads of the model that these options would load."""
        folder, spacing = user_path(options["path"]), options["spacing"]
        if folder.is_dir():
            config = json.loads((folder / "transformer" / "config.json").read_text())
            known, scheduler = {key: config[key] for key in _SHAPES if key in config}, _scheduler(folder)
        else:
            known, scheduler = published(options["path"]), {}
        schedule = VariancePreserving.from_scheduler(scheduler, spacing)
        return Outline(known, schedule, float(options["guidance_scale"]), options)

    def _forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """The noise, from one pass of the network; a learned variance (twice the channels) is dropped."""
        timestep = self.schedule.timestep(t)
        out = self._network(x.to(self._dtype), timestep=timestep, class_labels=labels, return_dict=False)[0]
        return out[:, : x.shape[1]].float()


def _scheduler(folder: Path) -> dict[str, Any]:
    """The scheduler's config; a ValueError where it is of another parametrization."""
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    if config.get("prediction_type", "epsilon") != "epsilon" or config.get("clip_sample"):
        kind = config.get("prediction_type"), config.get("clip_sample")
        raise ValueError(f"{folder}/scheduler predicts {kind[0]} (clip_sample={kind[1]}): unclipped epsilon is needed")
    return config
