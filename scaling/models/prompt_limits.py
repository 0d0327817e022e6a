"""How much of a prompt a model's text encoders read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def hearing_cuts() -> Iterator[dict[str, int]]:
    """Fills in the texts that a pipeline's tokenizers cut meanwhile, in any thread, with the tokens that are read.

    Whatever limit a pipeline has for itself, it hands it to its tokenizers. A text that one of them reads whole is not
    cut.
    """
    from transformers import PreTrainedTokenizerBase

    found: dict[str, int] = {}
    heard: dict[str, dict[int, int | None]] = {}  # by text and tokenizer: the tokens that were read, None for all
    plain: Any = PreTrainedTokenizerBase.__call__

    def call(self: Any, text: Any = None, *rest: Any, **options: Any) -> Any:
        most = (options.get("max_length") or self.model_max_length) if options.get("truncation") else None
        for each in [text] if isinstance(text, str) else text or ():
            if isinstance(each, str):
                limits = heard.setdefault(each, {})
                limits.setdefault(id(self), None)
                if most is not None:
                    kept = {key: options[key] for key in ("add_special_tokens",) if key in options}
                    limits[id(self)] = most if len(plain(self, each, verbose=False, **kept).input_ids) > most else None
        return plain(self, text, *rest, **options)

    PreTrainedTokenizerBase.__call__ = call  # type: ignore[method-assign]
    try:
        yield found
    finally:
        PreTrainedTokenizerBase.__call__ = plain  # type: ignore[method-assign]
        for text, limits in heard.items():
            known = [limit for limit in limits.values() if limit is not None]
            if len(known) == len(limits):
                found[text] = max(known)
