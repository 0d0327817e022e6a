"""Image encoders from local folders or hub ids, with the preprocessing of their family, on the device, in batches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.contents import digest
from scaling.extras import require
from scaling.loading.checkpoints import check_finite, load_transformers
from scaling.loading.devices import dtype_of, pick_device
from scaling.loading.hub import find_folder
from scaling.loading.weights_file import weights_folder

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
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
        """The images as the encoder takes them, float32; their gradient is kept."""
        from torchvision.transforms import v2

        mode = v2.InterpolationMode(self.interpolation)
        size = [self.crop, self.crop] if self.resize is None else [self.resize]
        pixels = v2.functional.resize(images.float(), size, mode, antialias=True)
        return v2.functional.normalize(
            v2.functional.center_crop(pixels, [self.crop, self.crop]).clamp(0, 1), list(self.mean), list(self.std)
        )


class Dino:
    """DINOv2 in transformers' or timm's format; its feature is the class token after the last norm.

    Images are resized to `resize` and cropped to `crop`, as DINOv2's linear evaluation does.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(
        self,
        *,
        path: str = "facebook/dinov2-large",
        resize: int = 256,
        crop: int = 224,
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        require("torchvision")
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

                network = load_transformers(Dinov2Model, folder)
            else:
                raise ValueError(
                    f"{path} is neither timm's nor transformers' DINOv2: config.json says {config.get('model_type')}"
                )
        check_finite(network, folder)
        self.preprocess = Preprocess(crop, resize)
        self.network, self.device, self.dtype = _freeze(network, dtype, device)
        self._identity = {"weights": digest(folder, files), "resize": resize, "crop": crop, "dtype": dtype}

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The class token that leaves the last block, float32."""
        return self.layers(images, 1)[0][:, 0]

    def layers(self, images: Float[Tensor, "n 3 h w"], count: int) -> list[Float[Tensor, "n tokens d"]]:
        """The tokens (class first) that leave the last `count` blocks, each after the final norm."""
        pixels = self.preprocess(images.to(self.device)).to(self.dtype)
        if self.timm:
            options = {"norm": True, "output_fmt": "NLC", "intermediates_only": True, "return_prefix_tokens": True}
            pairs = self.network.forward_intermediates(pixels, indices=count, **options)
            return [torch.cat((prefix[:, :1], patches), dim=1).float() for patches, prefix in pairs]
        hidden = self.network(pixels, output_hidden_states=True).hidden_states[-count:]
        return [self.network.layernorm(tokens).float() for tokens in hidden]

    def identity(self) -> dict[str, Any]:
        """All that decides the features, as plain json."""
        return {"encoder": "Dino", **self._identity}


class OpenClip:
    """A CLIP or SigLIP in open_clip's format; its feature is the image embedding, not normalized.

    `path` is a local folder, a hub id or a bundled name, with open_clip_config.json, which says the preprocessing too.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(
        self, *, path: str = "timm/vit_large_patch14_clip_224.openai", dtype: str = "float32", device: str = "auto"
    ) -> None:
        require("open_clip", "torchvision")
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
        """Image embeddings, float32, not normalized."""
        return self.network.encode_image(self.preprocess(images.to(self.device)).to(self.dtype)).float()

    def texts(self, prompts: list[str]) -> Float[Tensor, "n d"]:
        """Text embeddings, not normalized."""
        return self.network.encode_text(self._tokenizer(prompts).to(self.device)).float()

    @property
    def longest(self) -> int:
        """The most tokens of a text that are read."""
        return int(self._tokenizer.context_length)

    def tokens(self, prompt: str) -> int:
        """How many tokens a text is, uncut."""
        return open_clip_tokens(self._tokenizer, prompt)

    @cached_property
    def _tokenizer(self) -> Any:
        import open_clip

        return open_clip.get_tokenizer(f"local-dir:{self.folder}")

    def identity(self) -> dict[str, Any]:
        """All that decides the embeddings, as plain json."""
        return {"encoder": "OpenClip", "weights": self.weights, "dtype": self._dtype}


def open_clip_tokens(tokenizer: Any, prompt: str) -> int:
    """How many tokens a text is to one of open_clip's tokenizers, uncut, with those at its ends."""
    if hasattr(tokenizer, "tokenizer"):  # one of transformers
        return len(tokenizer.tokenizer(tokenizer.clean_fn(prompt), verbose=False).input_ids)
    return len(tokenizer.encode(prompt)) + 2


def _freeze(network: Any, dtype: str, device: str) -> tuple[Any, torch.device, torch.dtype]:
    kind, place = dtype_of(dtype, "encoder dtype"), pick_device(device)
    return network.to(place, kind).eval().requires_grad_(False), place, kind
