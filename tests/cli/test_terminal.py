"""An image is written into a terminal only where it says that it can show one."""

from __future__ import annotations

import base64
import io
import re

import pytest

from scaling.cli.terminal import inline_image


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


PNG = bytes(range(256)) * 40


@pytest.mark.parametrize(
    "environment",
    [{}, {"TERM": "xterm-256color"}, {"TERM": "xterm-kitty", "TMUX": "1"}, {"TERM_PROGRAM": "Apple_Terminal"}],
)
def test_others_get_nothing(environment: dict[str, str]) -> None:
    assert inline_image(PNG, Terminal(), environment) == ""


def test_a_file_gets_nothing() -> None:
    assert inline_image(PNG, io.StringIO(), {"TERM": "xterm-kitty"}) == ""


@pytest.mark.parametrize("environment", [{"TERM": "xterm-kitty"}, {"TERM": "xterm", "KITTY_WINDOW_ID": "1"}])
def test_kitty_gets_it_in_pieces(environment: dict[str, str]) -> None:
    said = inline_image(PNG, Terminal(), environment)
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", said)
    assert pieces[0][0] == "a=T,f=100,m=1"
    assert [head[-3:] for head, _ in pieces] == ["m=1"] * (len(pieces) - 1) + ["m=0"]
    assert max(len(data) for _, data in pieces) <= 4096
    assert base64.b64decode("".join(data for _, data in pieces)) == PNG


def test_iterm_gets_it_whole() -> None:
    said = inline_image(PNG, Terminal(), {"TERM_PROGRAM": "iTerm.app"})
    found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([^\a]*)\a\n", said)
    assert found is not None
    assert "inline=1" in found[1]
    assert base64.b64decode(found[2]) == PNG
