"""A single prompt or class label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scaling import checks
from scaling.protocols import Condition


@dataclass(frozen=True)
class One:
    """One class label or one prompt; each copy has its own stream of noises.

    Args:
        class_label: from 0, or None where there is a prompt.
        prompt: not empty, or None where there is a class label.
        copies: how many conditions, at least 1.

    Raises:
        ValueError: names the parameter and its value; a number as a prompt is quoted on the command line.
    """

    class_label: int | None = None
    prompt: str | None = None
    copies: int = 1

    def __post_init__(self) -> None:
        """Checks the parameters."""
        if (self.class_label is None) == (self.prompt is None):
            given = "neither" if self.prompt is None else "both"
            raise ValueError(f"conditions=one takes conditions.class_label or conditions.prompt, not {given}")
        if self.class_label is not None:
            checks.whole_from(0, **{"conditions.class_label": self.class_label})
        if self.prompt is not None:
            checks.text(**{"conditions.prompt": self.prompt})
        checks.whole_from(1, **{"conditions.copies": self.copies})

    def __len__(self) -> int:
        """How many copies there are."""
        return self.copies

    def __iter__(self) -> Iterator[Condition]:
        """The copies in order."""
        for copy in range(self.copies):
            yield Condition(class_label=self.class_label, prompt=self.prompt, copy=copy)

    def identity(self) -> dict[str, Any]:
        """The class label or the prompt."""
        return {
            "conditions": "one",
            "class_label": self.class_label,
            "prompt": self.prompt,
        }
