"""The code behind decorated functions and classes: all of it names them, not the decorator's file alone."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from scaling.identity import identity_of

DECORATORS = """
import functools
def scaled(factor):
    def outer(function):
        @functools.wraps(function)
        def inner(*given):
            return factor * function(*given)
        return inner
    return outer
def disguised(function):
    def inner(*given):
        return function(*given)
    inner.__name__, inner.__qualname__, inner.__module__ = function.__name__, function.__qualname__, function.__module__
    return inner
def doubled(kind):
    class Doubled(kind):
        def __call__(self, *given):
            return 2 * super().__call__(*given)
    return Doubled
class Traced:
    def __init__(self, times=1):
        self.times = times
    def __call__(self, function):
        functools.update_wrapper(self, function)
        self._function = function
        return self
"""
PARTS = """
import contextlib, functools
import torch
from decorators_of_mine import disguised, doubled, scaled, Traced
from jaxtyping import jaxtyped
FACTOR = 1.0
@torch.no_grad()
def no_grad(images): return images
@torch.inference_mode()
def inference(images): return images
@torch.autocast("cpu")
def cast(images): return images
@functools.lru_cache
def cached(images): return images
@functools.cache
def cached_too(images): return images
@scaled(1.0)
def wrapped(images): return images
@functools.cache
@scaled(1.0)
def cached_and_wrapped(images): return images
@contextlib.contextmanager
def around(): yield
@around()
def in_context(images): return images
@jaxtyped(typechecker=None)
def typed(images): return images
@disguised
def hidden(images): return images
@Traced(2)
def traced(images): return images
called_otherwise = scaled(2.0)(no_grad)
@doubled
class Judge:
    @torch.no_grad()
    def __call__(self, images): return images
judge = Judge()
def plain(images): return images
"""
NAMES = ("no_grad", "inference", "cast", "cached", "cached_too", "wrapped", "cached_and_wrapped", "in_context", "typed")
NAMES = (*NAMES, "hidden", "traced", "called_otherwise", "judge")
Load = Callable[[str, str], ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Writes both files and imports the parts as a new process would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def loaded(parts: str, decorators: str = DECORATORS) -> ModuleType:
        for name, text in {"decorated_parts": parts, "decorators_of_mine": decorators}.items():
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("decorated_parts")

    yield loaded
    for name in ("decorated_parts", "decorators_of_mine"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_of_what_is_decorated_and_of_the_decorator_is_another_part(load: Load, name: str) -> None:
    before = identity_of(getattr(load(PARTS, DECORATORS), name))
    assert identity_of(getattr(load(PARTS, DECORATORS), name)) == before
    for parts, decorators in (
        (PARTS.replace(": return images", ": return -images"), DECORATORS),
        (PARTS, "\n" + DECORATORS),
    ):
        assert identity_of(getattr(load(parts, decorators), name)) != before


def test_another_argument_of_the_decorator_is_another_part(load: Load) -> None:
    before = identity_of(load(PARTS, DECORATORS).wrapped)
    assert identity_of(load(PARTS.replace("@scaled(1.0)", "@scaled(-3.0)"), DECORATORS).wrapped) != before


def test_weights_that_a_decorated_function_names_are_its(load: Load, tmp_path: Path) -> None:
    parts, weights = PARTS + "HEAD = 'head.pt'\n", tmp_path / "head.pt"
    weights.write_text("one")
    before = identity_of(load(parts, DECORATORS).no_grad)
    weights.write_text("two")
    assert identity_of(load(parts, DECORATORS).no_grad) != before


def test_decorated_while_a_program_runs_each_is_a_part_of_its_own(load: Load) -> None:
    module = load(PARTS, DECORATORS)
    scaled = sys.modules["decorators_of_mine"].scaled
    parts = [scaled(1.0)(module.plain), scaled(2.0)(module.plain), module.plain, module.no_grad]
    parts += [torch.no_grad()(module.plain), module.no_grad.__wrapped__, module.wrapped, module.called_otherwise]
    parts += [torch.autocast("cpu", dtype)(module.plain) for dtype in (torch.float16, torch.bfloat16)]
    parts += [torch.vmap(module.plain), torch.vmap(module.plain, in_dims=1)]
    identities = [identity_of(part) for part in parts]
    assert all(one != other for k, one in enumerate(identities) for other in identities[:k])
    assert [identity_of(part) for part in parts] == identities
    parts[8](torch.zeros(1))  # its context remembers what it found
    assert identity_of(parts[8]) == identities[8]


@pytest.mark.parametrize("text", ["for k in (1.0, 2.0):\n    {}\n", "first = None\n{}\n{}\n"])
def test_a_name_that_is_given_anew_says_nothing(load: Load, text: str) -> None:
    again = "plain = scaled(FACTOR)(plain)"
    module = load(PARTS.replace("def plain", "@scaled(1.0)\ndef plain") + text.format(again, again), DECORATORS)
    assert "variables" in identity_of(module.plain)


def test_what_no_decorator_touched_is_called_as_ever(load: Load) -> None:
    module = load(PARTS, DECORATORS)
    assert identity_of(module.plain).keys() == {"name", "code"}
    assert identity_of(sys.modules["decorators_of_mine"].Traced()).keys() == {"name", "times", "code"}


TYPED = """
import functools, json, torch
from scaling.identity import identity_of
def scaled(factor):
    def outer(function):
        @functools.wraps(function)
        def inner(x): return factor * function(x)
        return inner
    return outer
@functools.cache
def again(x): return again(x - 1) if x else {1}
@torch.no_grad()
def helper(x): return {2} * again(x)
@scaled({0})
def judge(x): return helper(x)
@torch.no_grad()
def other(x): return helper(x) + other(x)
print(json.dumps([identity_of(judge), identity_of(other)], sort_keys=True))
"""


def typed(*values: float) -> list[Any]:
    text = TYPED.replace("{0}", str(values[0])).replace("{1}", str(values[1])).replace("{2}", str(values[2]))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_what_was_typed_in_and_decorated_is_named_by_all_of_it() -> None:
    before = typed(1, 2, 3)
    assert typed(1, 2, 3) == before
    assert typed(9, 2, 3)[0] != before[0]
    for one, two in (typed(1, 9, 3), before), (typed(1, 2, 9), before):
        assert one[0] != two[0] and one[1] != two[1]
