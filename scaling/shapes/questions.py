"""A prompt as yes-or-no questions about an image, as words for a network and as answers that a scene gives.

One question a phrase ("are there exactly two, all of them red rings?"), one for a relation, and one that closes the
list: "is that all, and is every shape whole?". A prompt is right where every answer is yes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.shapes.grammar import COLORS, COUNTS, KINDS, RELATIONS, SIZES, Phrase, Prompt
from scaling.shapes.scenes import Scene, related

_PHRASE = (1 + len(COUNTS), 1 + len(SIZES), 1 + len(COLORS), 1 + len(KINDS))  # 0: left open
PHRASE = sum(_PHRASE)
WORDS = 2 * PHRASE + 1 + len(RELATIONS)  # two phrases and a relation
MOST = 4  # questions of a prompt: three phrases, or two and a relation, and the closing one


@dataclass(frozen=True)
class Question:
    """About one kind (`relation` None), about two kinds in a relation, or about `shapes` in all."""

    phrases: tuple[Phrase, ...] = ()
    relation: str | None = None
    shapes: int = 0

    def words(self) -> Float[Tensor, " words"]:
        """One-hot count, size, color and kind of up to two phrases, and the relation."""
        fields: list[tuple[int, int]] = []
        for place in range(2):
            phrase = self.phrases[place] if place < len(self.phrases) else None
            kind = phrase.kind if phrase else None
            if phrase is None or self.relation:  # a relation is between all shapes of two kinds, whatever else they are
                numbers = (self.shapes * (place == 0), 0, 0, _number(KINDS, kind))
            else:
                named = _number(SIZES, phrase.size), _number(COLORS, phrase.color)
                numbers = (phrase.count, *named, _number(KINDS, kind))
            fields += zip(_PHRASE, numbers, strict=True)
        fields.append((1 + len(RELATIONS), _number(RELATIONS, self.relation)))
        return torch.cat([torch.eye(width)[chosen] for width, chosen in fields])

    def answer(self, scene: Scene) -> bool:
        """What is so in the scene."""
        if self.shapes:
            return len(scene) == self.shapes
        groups = [[thing for thing in scene if thing.kind == phrase.kind] for phrase in self.phrases]
        if self.relation:
            return all(groups) and all(related(a, b, self.relation) for a in groups[0] for b in groups[1])
        (phrase,), (group,) = self.phrases, groups
        alike = all(phrase.color in (None, t.color) and phrase.size in (None, t.size) for t in group)
        return len(group) == phrase.count and alike


def questions(prompt: Prompt) -> list[Question]:
    """All questions of a prompt, the closing one last."""
    asked = [Question((phrase,)) for phrase in prompt.phrases]
    if prompt.relation:
        asked.append(Question(prompt.phrases, prompt.relation))
    return [*asked, Question(shapes=prompt.shapes)]


def ask(prompts: Sequence[Prompt]) -> tuple[Float[Tensor, "n m words"], Float[Tensor, "n m"]]:
    """The questions of each prompt, MOST places a prompt, and 1 where there is one."""
    words, mask = torch.zeros(len(prompts), MOST, WORDS), torch.zeros(len(prompts), MOST)
    for row, prompt in enumerate(prompts):
        asked = questions(prompt)
        words[row, : len(asked)] = torch.stack([question.words() for question in asked])
        mask[row, : len(asked)] = 1
    return words, mask


def _number(valid: Sequence[str], word: str | None) -> int:
    """0 where it is left open, else its number from 1."""
    return 0 if word is None else 1 + valid.index(word)
