"""Image encoders from local folders or hub ids, with the preprocessing of their family, on the device, in batches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.hub import digest, find_folder
from scaling.loading.networks import pick_device, weights_folder

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocess:
    """Images in [0, 1] as an encoder takes them: resized (antialiased), cropped to the center, normalized.

    `resize` is the shorter side before the crop; None squashes both sides to `crop`. The order, the rounding and the
    clipping are torchvision's on a PIL image, but in float.
    """

    crop: int
    resize: int | None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bicubic"

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 crop crop"]:
        height, width = images.shape[-2:]
        size = (self.crop, self.crop)
        if self.resize is not None:
            short = min(height, width)
            size = (self.resize * height // short, self.resize * width // short)
        pixels = images.float()
        if size != (height, width):
            pixels = F.interpolate(pixels, size, mode=self.interpolation, antialias=True)
        top, left = (round((side - self.crop) / 2) for side in size)
        pixels = pixels[..., top : top + self.crop, left : left + self.crop].clamp(0, 1)
        mean, std = (pixels.new_tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (pixels - mean) / std


class Dino:
    """DINOv2 in transformers' or timm's format; its feature is the class token after the last norm.

    Images are resized to `resize` and cropped to `crop`, as DINOv2's linear evaluation does.
    """

    def __init__(
        self,
        *,
        path: str = "facebook/dinov2-large",
        resize: int = 256,
        crop: int = 224,
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        files = ("config.json", "model.safetensors")
        folder = find_folder(path, files)
        config = json.loads((folder / "config.json").read_text())
        self.timm = "architecture" in config
        with torch.random.fork_rng(devices=[]):  # what is initialized is overwritten: leave the global state alone
            if self.timm:
                from timm import create_model

                network = create_model(f"local-dir:{folder}", pretrained=True, num_classes=0, img_size=crop)
            elif config.get("model_type") == "dinov2":
                from transformers import Dinov2Model

                network = Dinov2Model.from_pretrained(folder)
            else:
                raise ValueError(
                    f"{path} is neither timm's nor transformers' DINOv2: config.json says {config.get('model_type')}"
                )
        self.preprocess = Preprocess(crop, resize)
        self.network, self.device, self.dtype = _freeze(network, dtype, device)
        self._identity = {"weights": digest(folder, files), "resize": resize, "crop": crop, "dtype": dtype}

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        return self.layers(images, 1)[0][:, 0]

    def layers(self, images: Float[Tensor, "n 3 h w"], count: int) -> list[Float[Tensor, "n 1+p d"]]:
        """The tokens (class first) that leave the last `count` blocks, each after the final norm."""
        pixels = self.preprocess(images.to(self.device)).to(self.dtype)
        if self.timm:
            options = {"norm": True, "output_fmt": "NLC", "intermediates_only": True, "return_prefix_tokens": True}
            pairs = self.network.forward_intermediates(pixels, indices=count, **options)
            return [torch.cat((prefix[:, :1], patches), dim=1).float() for patches, prefix in pairs]
        hidden = self.network(pixels, output_hidden_states=True).hidden_states[-count:]
        return [self.network.layernorm(tokens).float() for tokens in hidden]

    def identity(self) -> dict[str, Any]:
        return {"encoder": "Dino", **self._identity}


class OpenClip:
    """A CLIP or SigLIP in open_clip's format; its feature is the image embedding, not normalized.

    `path` is a local folder, a hub id or a bundled name, with open_clip_config.json, which says the preprocessing too.
    """

    def __init__(
        self, *, path: str = "timm/vit_large_patch14_clip_224.openai", dtype: str = "float32", device: str = "auto"
    ) -> None:
        files = ("open_clip_config.json", "open_clip_model.safetensors")
        bundled = weights_folder() / path
        self.folder = find_folder(bundled if bundled.is_dir() else path, files)

        import open_clip

        with torch.random.fork_rng(devices=[]):
            network = open_clip.create_model(f"local-dir:{self.folder}")
        config = open_clip.get_model_preprocess_cfg(network)
        mode, sides = config.get("resize_mode", "shortest"), config["size"]
        side = sides if isinstance(sides, int) else sides[0]
        if mode not in ("shortest", "squash") or sides not in (side, (side, side), [side, side]):
            raise ValueError(f"{path} resizes by {mode!r} to {sides}: 'shortest' or 'squash' to a square is needed")
        self.preprocess = Preprocess(
            side,
            side if mode == "shortest" else None,
            tuple(config["mean"]),
            tuple(config["std"]),
            config.get("interpolation", "bicubic"),
        )
        self.network, self.device, self.dtype = _freeze(network, dtype, device)
        self.weights = digest(self.folder, files)
        self._dtype = dtype

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        return self.network.encode_image(self.preprocess(images.to(self.device)).to(self.dtype)).float()

    def texts(self, prompts: list[str]) -> Float[Tensor, "n d"]:
        """Text embeddings, not normalized."""
        import open_clip

        tokens = open_clip.get_tokenizer(f"local-dir:{self.folder}")(prompts).to(self.device)
        return self.network.encode_text(tokens).float()

    def identity(self) -> dict[str, Any]:
        return {"encoder": "OpenClip", "weights": self.weights, "dtype": self._dtype}


def _freeze(network: Any, dtype: str, device: str) -> tuple[Any, torch.device, torch.dtype]:
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in kinds:
        raise ValueError(f"encoder dtype={dtype}: one of {', '.join(kinds)} is needed")
    place = pick_device(device)
    return network.to(place, kinds[dtype]).eval().requires_grad_(False), place, kinds[dtype]
