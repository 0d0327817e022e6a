"""The grammar of the shapes world: prompts of one to three shapes as data, as words, and drawn at random.

    prompt  = phrase | phrase relation phrase | phrase "and" phrase ["and" phrase]
    phrase  = ("a" | "two" | "three") [size] [color] kind

The phrases of a prompt name different kinds, three shapes are small ones (larger would not fit): so every prompt can
be drawn, and what it says of a scene is decided by grouping the scene's shapes by kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

KINDS = ("square", "ring", "triangle", "cross")
COLORS = ("red", "blue", "green", "yellow", "purple", "cyan")
SIZES = ("small", "large")
COUNTS = ("a", "two", "three")
RELATIONS = ("left of", "right of", "above", "below")
CATEGORIES = ("color", "shape", "count", "relation", "complex")
MOST = 3  # shapes in a scene


@dataclass(frozen=True)
class Phrase:
    """So many shapes of a kind; a color or size of None is left open."""

    kind: str
    count: int = 1
    color: str | None = None
    size: str | None = None

    def __str__(self) -> str:
        kind = self.kind if self.count == 1 else plural(self.kind)
        return " ".join(word for word in (COUNTS[self.count - 1], self.size, self.color, kind) if word)


@dataclass(frozen=True)
class Prompt:
    """One to three phrases of different kinds; a relation holds between all shapes of the first and of the second."""

    phrases: tuple[Phrase, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        kinds = [phrase.kind for phrase in self.phrases]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"{str(self)!r} names a kind twice: say how many there are instead")
        if self.relation and len(self.phrases) != 2:
            raise ValueError(f"{str(self)!r}: a relation is between two phrases")
        if not 1 <= self.shapes <= MOST:
            raise ValueError(f"{str(self)!r} has {self.shapes} shapes; a scene has 1 to {MOST}")
        if self.shapes == MOST and any(phrase.size == "large" for phrase in self.phrases):
            raise ValueError(f"{str(self)!r}: {MOST} shapes do not fit unless all are small")

    def __str__(self) -> str:
        return f" {self.relation or 'and'} ".join(map(str, self.phrases))

    @property
    def shapes(self) -> int:
        """How many shapes a scene of this prompt has."""
        return sum(phrase.count for phrase in self.phrases)

    @property
    def category(self) -> str:
        """What the prompt is a test of: everything at once is `complex`, else a relation, a count, colors or shapes."""
        colored = all(phrase.color for phrase in self.phrases)
        sized = any(phrase.size for phrase in self.phrases)
        if len(self.phrases) > 1 and (self.shapes == MOST or (colored and sized)):
            return "complex"
        if self.relation:
            return "relation"
        if self.shapes > len(self.phrases):
            return "count"
        return "color" if colored else "shape"


def plural(kind: str) -> str:
    """squares, rings, triangles, crosses."""
    return kind + ("es" if kind.endswith("s") else "s")


def parse(text: str) -> Prompt:
    """The prompt that the words say; a ValueError names the first word that does not fit and the nearest that does."""
    relation = next((r for r in RELATIONS if f" {r} " in text), None)
    parts = text.split(f" {relation or 'and'} ")
    return Prompt(tuple(_phrase(part, text) for part in parts), relation)


def _phrase(part: str, text: str) -> Phrase:
    words = part.split()
    count = COUNTS.index(_one_of(words, COUNTS, text)) + 1
    size = words.pop(0) if words[:1] and words[0] in SIZES else None
    color = words.pop(0) if words[:1] and words[0] in COLORS else None
    names = KINDS if count == 1 else tuple(map(plural, KINDS))
    kind = KINDS[names.index(_one_of(words, names, text))]
    if words:
        raise ValueError(f"prompt {text!r}: {' '.join(words)!r} is too much; see scaling.shapes.grammar")
    return Phrase(kind, count, color, size)


def _one_of(words: list[str], valid: Sequence[str], text: str) -> str:
    word = words.pop(0) if words else ""
    suggest(f"prompt {text!r}", word, valid)
    return word


def suggest(where: str, word: str, valid: Sequence[str]) -> None:
    """Raises a ValueError with the nearest valid word unless the word is valid."""
    if word not in valid:
        nearest = get_close_matches(word, valid, n=1, cutoff=0.0)[0]
        raise ValueError(f"{where}: {word!r} is none of {', '.join(valid)}; the nearest is {nearest!r}")


def draw(category: str, generator: np.random.Generator, skew: float = 0.0) -> Prompt:
    """A random prompt of the category; `skew` makes later words rarer (the i-th by i^-skew), as in captions of data."""
    suggest("category", category, CATEGORIES)
    kinds, colors = _ranked(KINDS, generator, skew), _ranked(COLORS, generator, skew)
    coin, relation = generator.random(4), RELATIONS[generator.integers(len(RELATIONS))]
    sizes = [SIZES[i] if c < 0.6 else None for i, c in zip(generator.integers(2, size=2), coin[:2], strict=True)]
    if category == "color":
        few = 1 if coin[3] < 0.2 else 2
        return Prompt(tuple(Phrase(kinds[i], color=colors[i]) for i in range(few)))
    if category == "shape":
        few = 1 if coin[3] < 0.1 else 2
        return Prompt(tuple(Phrase(kinds[i], size=sizes[i]) for i in range(few)))
    if category == "count":
        count = 2 + int(coin[3] < 0.5)
        size = sizes[0] if count == 2 else None
        return Prompt((Phrase(kinds[0], count, colors[0] if coin[2] < 0.7 else None, size),))
    if category == "relation":
        named = colors if coin[3] < 0.5 else (None, None)
        return Prompt(tuple(Phrase(kinds[i], color=named[i]) for i in range(2)), relation)
    if coin[3] < 0.3:
        return Prompt(tuple(Phrase(kinds[i], color=colors[i]) for i in range(3)))
    if coin[3] < 0.65:
        pair = (Phrase(kinds[0], 2, colors[0]), Phrase(kinds[1], 1, colors[1]))
        return Prompt(pair if coin[2] < 0.5 else pair[::-1], relation)
    both = generator.integers(2, size=2)
    return Prompt(tuple(Phrase(kinds[i], 1, colors[i], SIZES[both[i]]) for i in range(2)), relation)


def _ranked(words: Sequence[str], generator: np.random.Generator, skew: float) -> list[str]:
    """All words in random order without repetition, frequent ones first."""
    weights = np.arange(1, len(words) + 1) ** -skew
    return [words[i] for i in generator.choice(len(words), len(words), replace=False, p=weights / weights.sum())]
