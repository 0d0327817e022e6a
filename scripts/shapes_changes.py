"""Captions with a single word wrong, or two colors swapped: what a judge that reads must tell from the right one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scaling.shapes.grammar import COLORS, KINDS, SIZES, Prompt

OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
CHANGES = ("color", "kind", "count", "size", "swap", "relation")


def changed(prompt: Prompt, what: str, generator: np.random.Generator) -> Prompt | None:
    """The prompt with its relation reversed, two colors swapped or one word of its first phrase changed; None where it
    has none of that kind."""
    first, rest = prompt.phrases[0], prompt.phrases[1:]
    new = first
    if what == "relation":
        return Prompt(prompt.phrases, OPPOSITE[prompt.relation]) if prompt.relation else None
    if what == "swap":
        if not rest or not first.color or not rest[0].color or first.color == rest[0].color:
            return None
        second = replace(rest[0], color=first.color)
        return Prompt((replace(first, color=rest[0].color), second, *rest[1:]), prompt.relation)
    if what == "color" and first.color:
        new = replace(first, color=str(generator.choice([color for color in COLORS if color != first.color])))
    elif what == "size" and first.size and prompt.shapes < 3:
        new = replace(first, size=SIZES[1 - SIZES.index(first.size)])
    elif what == "count" and not rest and first.size != "large":
        new = replace(first, count=first.count % 3 + 1)
    elif what == "kind":
        used = {phrase.kind for phrase in prompt.phrases}
        new = replace(first, kind=str(generator.choice([kind for kind in KINDS if kind not in used])))
    return Prompt((new, *rest), prompt.relation) if new != first else None
