"""Text rendering: whether an image shows the words that its prompt quotes, read by an OCR of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scaling.pixels import pil
from scaling.protocols import Condition
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.sample_verifier import SampleVerifier

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|(?<!\w)'([^']+)'(?!\w)")
MARGIN = 16  # pixels of the picture's mean color around it: the detector misses text at an edge


class OCR(SampleVerifier):
    """Scores 1 - d(read, quoted) / the longer of the two, by the edit distance d, in [0, 1]; case and spaces aside.

    Quoted is what stands in a prompt between "...", '...', “...” or «...», read is all text found in the image, both
    from left to right and top to bottom. RapidOCR's networks (PP-OCRv4, Apache-2.0) come with its package.
    """

    def __init__(self) -> None:
        from rapidocr_onnxruntime import RapidOCR

        self._read = RapidOCR(intra_op_num_threads=torch.get_num_threads())
        self._identity = {"class": "OCR", "rapidocr": version("rapidocr-onnxruntime")}  # whose networks it has

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores, float32 on the images' device; a ValueError names a prompt that quotes nothing."""
        wanted = [plain(quoted(prompt)) for prompt in prompts_of(conditions)]
        scores = [likeness(plain(self.read(image)), text) for image, text in zip(images, wanted, strict=True)]
        return torch.tensor(scores, dtype=torch.float32, device=images.device)

    def read(self, image: Float[Tensor, "3 h w"]) -> str:
        """All text in an image, line by line."""
        pixels = np.asarray(pil(image))
        pixels = np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
        found = self._read(pixels[:, :, ::-1])[0]  # as OpenCV orders colors
        return " ".join(str(text) for _, text, _ in found or [])


def quoted(prompt: str) -> str:
    """The words that a prompt quotes, joined by spaces; a ValueError names one that quotes nothing."""
    parts = [next(filter(None, match.groups())) for match in _QUOTED.finditer(prompt)]
    if not parts:
        raise ValueError(f"the prompt {prompt!r} quotes no text that an image could show")
    return " ".join(parts)


def plain(text: str) -> str:
    """A text without case and white space."""
    return "".join(text.casefold().split())


def likeness(read: str, wanted: str) -> float:
    """One minus the edit distance over the longer length, in [0, 1]."""
    return 1 - edit_distance(read, wanted) / max(len(read), len(wanted), 1)


def edit_distance(first: str, second: str) -> int:
    """The fewest insertions, deletions and replacements of a letter (Levenshtein) that make one text the other."""
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (letter != other))
    return row[-1]
