"""The autoencoder of latent models: latents to images."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.contents import digest
from scaling.loading.devices import dtype_of, pick_device
from scaling.loading.hub import find_folder

PIXELS = 4 * 2**20  # decoded at a time where nothing else is said: 4 images of 1,024 pixels, 64 of 256


def rows_at_once(chunk: int | None, height: int, width: int) -> int:
    """How many images of so many pixels are decoded at a time."""
    return max(PIXELS // (height * width), 1) if chunk is None else chunk


def side_of(option: str, given: int | None, factor: int, multiple: int, trained: int) -> int:
    """Pixels of a side: `factor` to a latent, latents in multiples of `multiple`; None: the `trained` latents.

    Raises:
        ValueError: naming the nearest that latents can hold.
    """
    unit = factor * multiple
    if given is None:
        return int(trained) * factor
    if given < unit or given % unit:
        raise ValueError(
            f"{option}={given} is no multiple of {unit}; the nearest is {max(round(given / unit), 1) * unit}"
        )
    return given


class VAE:
    """diffusers' `AutoencoderKL` from a local folder or a hub id, as a decoder.

    Latents are float32 outside and are divided by `scale` (None: the config's scaling factor; 0.18215 for the
    autoencoders of Stable Diffusion 1) before they are decoded, `chunk` rows at a time (None: as many as make 4
    megapixels). `slicing` and `tiling` are diffusers' ways to save memory; tiles blend at their seams, so tiling
    changes large images a little.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"chunk", "slicing", "device"})

    def __init__(
        self,
        *,
        path: str = "stabilityai/sd-vae-ft-ema",
        subfolder: str = "",
        scale: float | None = None,
        dtype: str = "float32",
        chunk: int | None = None,
        slicing: bool = False,
        tiling: bool = False,
        compile: bool = False,
        device: str = "auto",
    ) -> None:
        from diffusers import AutoencoderKL

        number = dtype_of(dtype, "vae.dtype")
        if chunk is not None and chunk < 1:
            raise ValueError(f"vae.chunk={chunk}; the least is 1")
        files = [str(f"{subfolder}/{f}" if subfolder else f) for f in ("config.json", "diffusion_pytorch_model*")]
        folder = find_folder(path, files)
        network = AutoencoderKL.from_pretrained(folder, subfolder=subfolder, dtype=number)
        for name in ("latents_mean", "latents_std", "shift_factor"):
            if (value := network.config.get(name)) not in (None, 0):
                raise ValueError(f"vae.path={path} has {name}={value}, which class-conditional models know nothing of")
        network = network.to(pick_device(device)).eval().requires_grad_(False)
        if slicing:
            network.enable_slicing()
        if tiling:
            network.enable_tiling()
        self.network = network
        self.scale = float(network.config.scaling_factor if scale is None else scale)
        self.chunk = chunk
        self._decode = torch.compile(network.decode, dynamic=False) if compile else network.decode
        self._identity = {
            "class": "AutoencoderKL",
            "weights": digest(folder, files),
            "scale": self.scale,
            "dtype": dtype,
            "tiling": tiling,
            "compile": compile,
        }

    def decode(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1], float32; gradients flow to the latents where they ask for them."""
        dtype = self.network.dtype
        scaled = (latents.to(self.network.device, torch.float32) / self.scale).to(dtype)
        factor = 2 ** (len(self.network.config.block_out_channels) - 1)
        rows = rows_at_once(self.chunk, factor * latents.shape[-2], factor * latents.shape[-1])
        images = torch.cat([self._decode(chunk, return_dict=False)[0].float() for chunk in scaled.split(rows)])
        return (images / 2 + 0.5).clamp(0, 1)

    def identity(self) -> dict[str, Any]:
        """All that decides the images, as plain json; `chunk` and `slicing` only cut the batch."""
        return dict(self._identity)
