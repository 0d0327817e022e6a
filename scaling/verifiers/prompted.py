"""Prompts of conditions, what is computed once for each of them, and what judges share that compare with them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.notices import notice
from scaling.protocols import Condition
from scaling.verifiers.sample_verifier import SampleVerifier


def prompts_of(conditions: Sequence[Condition]) -> list[str]:
    """The prompts; a ValueError names a condition that has none."""
    for condition in conditions:
        if condition.prompt is None:
            raise ValueError(f"condition {condition.class_label}: this verifier compares with a prompt, there is none")
    return [str(condition.prompt) for condition in conditions]


def token_count(tokenizer: Any) -> Callable[[str], int]:
    """How many tokens a tokenizer of transformers makes of a prompt, uncut, its own marks included."""
    return lambda prompt: len(tokenizer(prompt, verbose=False).input_ids)


class TokenLimit:
    """Says at the end of a command how many prompts a judge did not read to their end.

    Args:
        judge: its name.
        most: tokens that it reads, its own marks included.
        tokens: how many tokens a prompt is, uncut, with those marks.
    """

    def __init__(self, judge: str, most: int, tokens: Callable[[str], int]) -> None:
        self._judge, self._most, self._tokens = judge, most, tokens
        self._cut: dict[str, bool] = {}

    def prompts_of(self, conditions: Sequence[Condition]) -> list[str]:
        """The prompts, those that are cut counted each time anew; a ValueError names a condition that has none."""
        prompts = prompts_of(conditions)
        for prompt in prompts:
            if prompt not in self._cut:
                self._cut[prompt] = self._tokens(prompt) > self._most
        cut = [prompt for prompt in prompts if self._cut[prompt]]
        notice(f"{{n}} prompts were cut: {self._judge} reads {self._most} tokens, and they have more", cut)
        return prompts


class PerPrompt:
    """Text embeddings, computed once a prompt and kept on their device; prompts that are cut are counted."""

    def __init__(self, embed: Callable[[list[str]], Float[Tensor, "n d"]], limit: TokenLimit | None = None) -> None:
        self._embed, self._limit = embed, limit
        self._known: dict[str, Tensor] = {}

    def __call__(self, conditions: Sequence[Condition]) -> Float[Tensor, "n d"]:
        """The embeddings of the conditions' prompts; a ValueError names a condition without one."""
        prompts = prompts_of(conditions) if self._limit is None else self._limit.prompts_of(conditions)
        if missing := [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]:
            with torch.inference_mode(False), torch.no_grad():
                self._known.update(zip(missing, self._embed(missing), strict=True))
        return torch.stack([self._known[prompt] for prompt in prompts])

    def notice_cut_prompts(self, conditions: Sequence[Condition]) -> None:
        """Counts the prompts that are cut, embedding none."""
        if self._limit is not None:
            self._limit.prompts_of(conditions)


class PromptCosine(SampleVerifier):
    """A verifier that compares the embedding of an image with that of its prompt, by their cosine.

    Args:
        texts: the prompts' embeddings, normalized.
        identity: all that decides the scores beside the class.
    """

    differentiable = True

    def __init__(self, texts: PerPrompt, identity: Mapping[str, Any]) -> None:
        self._texts, self._identity = texts, {"class": type(self).__name__, **identity}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores, on the network's device, with a gradient to the images, which are in [0, 1]."""
        embedded = F.normalize(self.embed(images), dim=1)
        return self.scaled((embedded * self._texts(conditions)).sum(dim=1))

    def notice_cut_prompts(self, conditions: Sequence[Condition]) -> None:
        """Counts the prompts of a study that are cut, also where all its scores are there already."""
        self._texts.notice_cut_prompts(conditions)

    @abstractmethod
    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The images' embeddings, of any length."""

    def scaled(self, cosine: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The score of a cosine."""
        return cosine
