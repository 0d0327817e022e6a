"""The denoiser's view of a prompt: no two prompts look alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scaling.shapes.grammar import CATEGORIES, draw
from scaling.shapes.phrases import TOKENS, WIDTH, phrases


def test_a_token_a_phrase_and_a_first_one() -> None:
    tokens, mask = phrases(["", "a ring", "a red ring left of a cross", "a ring and a cross and a square"])
    assert tokens.shape == (4, TOKENS, WIDTH)
    assert mask.sum(1).tolist() == [1, 2, 3, 4]
    assert tokens.sum(2).tolist() == [[1, 0, 0, 0], [1, 6, 0, 0], [1, 6, 6, 0], [1, 6, 6, 6]]


def test_different_prompts_have_different_tokens() -> None:
    generator = np.random.default_rng(0)
    texts = sorted({str(draw(CATEGORIES[i % 5], generator)) for i in range(3000)})
    tokens, _ = phrases(texts)
    assert len(torch.unique(tokens.flatten(1), dim=0)) == len(texts) > 1000


def test_a_prompt_out_of_the_grammar_is_refused() -> None:
    with pytest.raises(ValueError, match="'squircle'"):
        phrases(["a squircle"])
