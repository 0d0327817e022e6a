"""A single prompt or class label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scaling.protocols import Condition


@dataclass(frozen=True)
class One:
    """One class label or one prompt, `copies` times; each copy has its own stream of noises."""

    class_label: int | None = None
    prompt: str | None = None
    copies: int = 1

    def __post_init__(self) -> None:
        if (self.class_label is None) == (self.prompt is None):
            given = "neither" if self.prompt is None else "both"
            raise ValueError(f"conditions=one takes conditions.class_label or conditions.prompt, not {given}")
        if self.class_label is not None and self.class_label < 0:
            raise ValueError(f"conditions.class_label={self.class_label} is negative; the least is 0")
        if self.copies < 1:
            raise ValueError(f"conditions.copies={self.copies}; the least is 1")

    def __len__(self) -> int:
        return self.copies

    def __iter__(self) -> Iterator[Condition]:
        for copy in range(self.copies):
            yield Condition(class_label=self.class_label, prompt=self.prompt, copy=copy)

    def identity(self) -> dict[str, Any]:
        return {
            "conditions": "one",
            "class_label": self.class_label,
            "prompt": self.prompt,
        }
