"""A stream of prompts of the shapes world, of one category or of all in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, cycle, islice
from typing import Any

from scaling import checks
from scaling.noise import keyed_generator
from scaling.protocols import Condition
from scaling.shapes.grammar import CATEGORIES, draw, suggest

PATIENCE = 2000  # draws in a row without a new prompt, after which prompts come again


@dataclass(frozen=True)
class ShapesPrompts:
    """Prompts of one category of the shapes world or of all in turn, prefix-stable.

    Each category deals its prompts without repetition (color 384, shape 120, count 112, relation 1,488, complex
    11,520); what comes again after that are copies 1, 2, ... with their own noises. Words are equally likely.

    Args:
        count: how many prompts, at least 1.
        category: color, shape, count, relation, complex, or `all`.
        seed: of the stream.
        skip: prompts passed over first, so that what is tuned on some can be compared on others.

    Raises:
        ValueError: names the parameter, its value and the nearest valid one.
    """

    count: int
    category: str = "all"
    seed: int = 0
    skip: int = 0

    def __post_init__(self) -> None:
        """Checks the parameters."""
        checks.whole_from(1, **{"conditions.count": self.count})
        checks.whole_from(0, **{"conditions.skip": self.skip})
        checks.whole(**{"conditions.seed": self.seed})
        checks.text(**{"conditions.category": self.category})
        if self.category != "all":
            suggest("conditions.category", self.category, ("all", *CATEGORIES))

    def __len__(self) -> int:
        """How many prompts there are."""
        return self.count

    def __iter__(self) -> Iterator[Condition]:
        """The prompts in order, the same each time."""
        names = CATEGORIES if self.category == "all" else (self.category,)
        streams = {name: self._stream(name) for name in names}
        return islice((next(streams[name]) for name in cycle(names)), self.skip, self.skip + self.count)

    def identity(self) -> dict[str, Any]:
        """Category, seed and how many are passed over."""
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
