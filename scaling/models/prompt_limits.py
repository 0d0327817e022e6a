"""How much of a prompt a model's text encoders read."""

from __future__ import annotations

from typing import Any


def cut_at(pipe: Any, prompt: str, longest: int | None) -> int | None:
    """The tokens that a model reads of a prompt, where all of its tokenizers find more in it; None where one reads all.

    CLIP's tokenizers say themselves how much is read; others read `longest`, or all where that is None.
    """
    limits = []
    for name, tokenizer in pipe.components.items():
        if name.startswith("tokenizer") and tokenizer is not None:
            limit = tokenizer.model_max_length if "CLIP" in type(tokenizer).__name__ else longest
            if limit is None or len(tokenizer(prompt, verbose=False).input_ids) <= limit:
                return None
            limits.append(limit)
    return max(limits, default=None)
