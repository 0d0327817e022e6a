"""What the command line cannot read is shown as it must be typed."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from scaling.cli.errors import one_line

TYPED = [
    "runs/epoch=12-step=3000.ckpt",
    "一只红狐狸",
    "a fox 🦊",
    "a dog's bowl",
    "my prompts (v2).txt",
    "python judge.py --k=3",
    'a sign that says "open", and a dog\'s bowl',
    "a\\b = c",
    "[a fox",
    "{",
]


@pytest.mark.parametrize("value", TYPED)
def test_an_override_that_cannot_be_read_is_shown_quoted_and_reads_so(value: str) -> None:
    parser = OverridesParser.create()
    with pytest.raises(OverrideParseException) as caught:
        parser.parse_overrides([f"conditions.prompt={value}"])
    said = one_line(caught.value)
    assert "\n" not in said and "hydra.cc" not in said
    quoted = said.partition("quote the value twice: ")[2]
    [word] = shlex.split(quoted)
    override = parser.parse_override(word)
    assert (override.key_or_group, override.value()) == ("conditions.prompt", value)
