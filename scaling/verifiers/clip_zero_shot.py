"""CLIP as a zero-shot classifier (Radford et al. 2103.00020, section 3.1.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.files import replacing, user_path
from scaling.loading.encoders import OpenClip
from scaling.loading.hub import cache_folder
from scaling.loading.labels import class_labels
from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier


class ClipZeroShot(SampleVerifier):
    """Scores an image by the cosine in [-1, 1] between its embedding and the column of its class.

    A column is the normalized mean of the normalized embeddings of the class in every template.

    Args:
        encoder: a CLIP.
        names: of the classes, in their order. None: open_clip's of ImageNet.
        templates: texts with `{}` for the name. None: OpenAI's 80.
        cache: the folder that keeps the columns, by the hash of all that decides them. None: XDG_CACHE_HOME, ~/.cache.

    Raises:
        ValueError: names a template without `{}`.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"cache"})
    differentiable = True

    def __init__(
        self,
        *,
        encoder: OpenClip,
        names: Sequence[str] | None = None,
        templates: Sequence[str] | None = None,
        cache: str | None = None,
    ) -> None:
        prompts = _prompts(names, templates)
        key = hashlib.sha256(repr((encoder.identity(), prompts)).encode()).hexdigest()
        folder = user_path(cache) / "scaling" if cache else cache_folder()
        self.encoder = encoder
        self.columns = _kept_columns(folder / f"clip_zero_shot-{key[:32]}.safetensors", encoder, prompts)
        self._identity = {"class": "ClipZeroShot", "columns": key, **encoder.identity()}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """Cosines of images in [0, 1] with the columns of their classes; a ValueError names a condition without one."""
        features = F.normalize(self.encoder(images), dim=1)
        labels = class_labels(conditions, len(self.columns))
        return (features * self.columns[labels.to(self.columns.device)]).sum(dim=1)


def _prompts(names: Sequence[str] | None, templates: Sequence[str] | None) -> list[list[str]]:
    """The prompts of each class."""
    import open_clip

    if templates is None:
        templates = [template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    if wrong := [template for template in templates if "{}" not in template]:
        raise ValueError(f"the template {wrong[0]!r} has no {{}} for the name of the class")
    names = open_clip.IMAGENET_CLASSNAMES if names is None else names
    return [[template.replace("{}", name) for template in templates] for name in names]


def _kept_columns(file: Path, encoder: OpenClip, prompts: list[list[str]]) -> Float[Tensor, "classes d"]:
    from safetensors.torch import load_file, save_file

    if not file.is_file():
        with replacing(file) as part:  # several workers may start at once
            save_file({"columns": torch.stack([_column(encoder, texts) for texts in prompts]).cpu()}, part)
    return load_file(file)["columns"].to(encoder.device)


@torch.no_grad()
def _column(encoder: OpenClip, texts: list[str]) -> Float[Tensor, " d"]:
    return F.normalize(F.normalize(encoder.texts(texts), dim=1).mean(dim=0), dim=0)
