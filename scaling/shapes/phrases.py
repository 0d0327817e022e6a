"""Prompts as a denoiser takes them: one token a phrase, and a first one that says nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.shapes.grammar import COLORS, COUNTS, KINDS, MOST, RELATIONS, SIZES, parse

TOKENS = 1 + MOST
_FIELDS = (TOKENS, len(COUNTS), 1 + len(SIZES), 1 + len(COLORS), len(KINDS), 1 + len(RELATIONS))
WIDTH = sum(_FIELDS)


def phrases(prompts: Sequence[str]) -> tuple[Float[Tensor, "n tokens width"], Float[Tensor, "n tokens"]]:
    """One-hot place, count, size, color, kind and relation of each phrase, side by side, and 1 where there is a token.

    The empty prompt has the first token alone. A ValueError names what is not in the grammar.
    """
    out, mask = torch.zeros(len(prompts), TOKENS, WIDTH), torch.zeros(len(prompts), TOKENS)
    starts = torch.tensor((0, *_FIELDS[:-1])).cumsum(0)
    out[:, 0, 0] = mask[:, 0] = 1
    for row, text in enumerate(prompts):
        prompt = parse(text) if text else None
        for place, phrase in enumerate(prompt.phrases if prompt else (), start=1):
            size, color = _open(SIZES, phrase.size), _open(COLORS, phrase.color)
            relation = _open(RELATIONS, prompt.relation if prompt else None)
            chosen = (place, phrase.count - 1, size, color, KINDS.index(phrase.kind), relation)
            out[row, place, starts + torch.tensor(chosen)] = 1
            mask[row, place] = 1
    return out, mask


def _open(words: Sequence[str], word: str | None) -> int:
    """0 where it is left open, else its number from 1."""
    return 0 if word is None else 1 + words.index(word)
