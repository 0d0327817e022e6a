"""What an error says to type can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest
from hydra import compose, initialize_config_dir

from scaling.config.compose import CONF

PROMPTS = ["a (red) fox", "狐狸", "🦊 in snow", "a fox's den", 'a "fox"', "a=b", "a red fox, sitting", "{a}"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_quoted_form_that_is_shown_is_read_as_the_text(prompt: str, command: Callable[..., None]) -> None:
    with pytest.raises(SystemExit) as failed:
        command("model=fashion_s", "conditions=one", f"conditions.prompt={prompt}", "logger=none")
    said = str(failed.value)
    assert "\n" not in said
    words = shlex.split(said[said.index("'conditions.prompt=") :].partition(";")[0])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["conditions=one", words[0]])
    assert config.conditions.prompt == prompt
