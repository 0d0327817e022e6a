"""A stream of prompts of the shapes world, of one category or of all in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, cycle, islice
from typing import Any

from scaling.noise import keyed_generator
from scaling.protocols import Condition
from scaling.shapes.grammar import CATEGORIES, draw, suggest

PATIENCE = 2000  # draws in a row without a new prompt, after which prompts come again


@dataclass(frozen=True)
class ShapesPrompts:
    """`count` prompts of a category (color, shape, count, relation, complex; or `all`, in turn), prefix-stable.

    Each category deals its prompts without repetition (color 384, shape 120, count 112, relation 1,488, complex
    11,520); what comes again after that are copies 1, 2, ... with their own noises. Words are equally likely.
    `skip` passes over the first ones, so that what is tuned on some prompts can be compared on others.
    """

    count: int
    category: str = "all"
    seed: int = 0
    skip: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"conditions.count={self.count}; the least is 1")
        if self.skip < 0:
            raise ValueError(f"conditions.skip={self.skip}; the least is 0")
        if self.category != "all":
            suggest("conditions.category", self.category, ("all", *CATEGORIES))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Condition]:
        names = CATEGORIES if self.category == "all" else (self.category,)
        streams = {name: self._stream(name) for name in names}
        return islice((next(streams[name]) for name in cycle(names)), self.skip, self.skip + self.count)

    def identity(self) -> dict[str, Any]:
        return {"conditions": "shapes", "category": self.category, "seed": self.seed, "skip": self.skip}

    def _stream(self, category: str) -> Iterator[Condition]:
        dealt: Counter[str] = Counter()
        round_, waited = 1, 0
        for k in count():
            prompt = draw(category, keyed_generator(self.seed, "shapes", category, k))
            text = str(prompt)
            if dealt[text] >= round_:
                waited += 1
                round_, waited = (round_ + 1, 0) if waited == PATIENCE else (round_, waited)
                continue
            waited = 0
            yield Condition(prompt=text, copy=dealt[text], metadata={"category": prompt.category, **asdict(prompt)})
            dealt[text] += 1
