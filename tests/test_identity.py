"""A part's name is another one wherever its answers may be, and the same in every process."""

from __future__ import annotations

import functools
import importlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.identity import digest_of, identity_of, named
from scaling.sampling import Euler, Heun
from scaling.schedules import Flow, VariancePreserving
from scaling.search.halving import Halving
from scaling.search.random import Random
from scaling.search.smc import Smc

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Writes files, imports the first as a new process would, and forgets all of them afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def loaded(files: dict[str, str]) -> ModuleType:
        for name, text in files.items():
            path = tmp_path / (name + ".py")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text)
        for name in list(sys.modules):
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return importlib.import_module(next(iter(files)))

    before = sys.dont_write_bytecode
    yield loaded
    sys.dont_write_bytecode = before
    loaded({"nothing": ""})


@pytest.mark.parametrize("search", [Random(), Smc(particles=4)])
def test_parts_of_ours_are_called_by_class_and_parameters_alone(search: Any) -> None:
    kind = type(search)
    later = {"tempering", "funnel"}  # at their defaults
    known = {name: value for name, value in asdict(search).items() if name not in later}
    assert identity_of(search) == {"name": f"{kind.__module__}.{kind.__qualname__}", **known}


def test_an_option_of_a_later_version_is_in_the_name_where_it_is_used() -> None:
    assert identity_of(Smc(funnel=0.5)) == {**identity_of(Smc()), "funnel": 0.5}
    assert "reuse" not in identity_of(Halving()) and identity_of(Halving(reuse=True))["reuse"]


def test_two_schedules_two_samplers_and_two_selectors_differ() -> None:
    parts = [Euler(), Heun(), Flow(), Flow(shift=2.0), VariancePreserving.linear_betas()]
    parts += [VariancePreserving(parts[-1].alphas_cumprod, spacing="leading", offset=k) for k in (0, 1)]
    assert len({digest_of(part) for part in parts}) == len(parts)


MINE = """
from dataclasses import dataclass
import helper
from pkg.inner import thing

class Plain:
    def __init__(self, share=1.0, table=None):
        self.share, self._table = share, table
        self._calls = 0
    def __call__(self, space):
        self._calls += 1
        return helper.f(self.share)

@dataclass(frozen=True)
class Data:
    share: float = 1.0

class Says:
    def __init__(self, w):
        self.weight = self.w = w
        self.counted = 0
        self.lock = __import__("threading").Lock()
    def identity(self):
        return {"class": "Says"}

def generator(space, share=1.0):
    yield share

def other(space, share=1.0):
    yield share

def make(factor):
    return lambda x: factor * x

twice, half = (lambda x: 2 * x), (lambda x: x / 2)
"""
FILES = {
    "mine": MINE,
    "helper": "import deeper\ndef f(x):\n    return x\n",
    "deeper": "A = 1\n",
    "pkg/__init__": "",
    "pkg/inner": "from . import below\nthing = 1\n",
    "pkg/below": "B = 1\n",
}


def parts(module: ModuleType, share: float = 1.0) -> dict[str, Any]:
    return {
        "plain": module.Plain(share),
        "data": module.Data(share),
        "own word": module.Says(share),
        "function": module.generator,
        "partial": functools.partial(module.generator, share=share),
        "closure": module.make(share),
        "lambda": module.twice,
    }


@pytest.mark.parametrize("file", ["mine", "helper", "deeper", "pkg/__init__", "pkg/inner", "pkg/below"])
def test_an_edit_of_the_code_or_of_a_module_that_it_imports_is_another_part(load: Load, file: str) -> None:
    before = {name: identity_of(part) for name, part in parts(load(FILES)).items()}
    assert {name: identity_of(part) for name, part in parts(load(FILES)).items()} == before
    edited = parts(load({**FILES, file: FILES[file] + "\nC = 1\n"}))
    assert not [name for name, part in edited.items() if identity_of(part) == before[name]]


def test_what_is_beside_and_not_imported_decides_nothing(load: Load) -> None:
    before = identity_of(load(FILES).Plain())
    assert identity_of(load({**FILES, "unrelated": "D = 1"}).Plain()) == before


def test_the_folder_decides_nothing(load: Load, tmp_path: Path) -> None:
    before = identity_of(load(FILES).Plain())
    (tmp_path / "deeper.py").rename(tmp_path / "moved.py")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved.py").rename(tmp_path / "elsewhere" / "deeper.py")
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    assert identity_of(sys.modules["mine"].Plain()) == before


@given(st.floats(), st.floats())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_another_parameter_is_another_part_and_an_equal_one_is_not(load: Load, one: float, two: float) -> None:
    module = sys.modules.get("mine") or load(FILES)
    first, second, again = parts(module, one), parts(module, two), parts(module, one)
    for name in first:
        assert digest_of(first[name]) == digest_of(again[name])
        same = repr(one) == repr(two) or name in ("function", "lambda")
        assert (digest_of(first[name]) == digest_of(second[name])) == same


def test_functions_that_differ_are_told_apart(load: Load) -> None:
    module = load(FILES)
    functions = [module.generator, module.other, module.twice, module.half, module.make(1), module.make(2)]
    assert len({digest_of(each) for each in functions}) == len(functions)


def test_what_counts_in_private_stays_what_it_is(load: Load) -> None:
    module = load(FILES)
    part, counting = module.Plain(), module.Says(1.0)
    before = identity_of(part), identity_of(counting)
    part("space")
    counting.counted = 3
    assert (identity_of(part), identity_of(counting)) == before
    part.share = 3.0
    assert identity_of(part) != before[0]


class Network(torch.nn.Module):
    """A verifier with weights, as people write them."""

    execution_only: ClassVar[frozenset[str]] = frozenset({"chunk"})

    def __init__(self, scale: float = 1.0, chunk: int = 8) -> None:
        super().__init__()
        self.layer, self.scale, self.chunk = torch.nn.Linear(2, 1), scale, chunk
        torch.nn.init.constant_(self.layer.weight, 1.0)
        torch.nn.init.constant_(self.layer.bias, 1.0)


def test_networks_are_named_by_their_weights() -> None:
    before, edited = identity_of(Network()), Network()
    assert identity_of(Network()) == before
    assert identity_of(Network(scale=2.0)) != before
    edited.layer.weight.data[0, 1] = 0.0
    assert identity_of(edited) != before


def test_what_a_class_declares_to_be_execution_only_decides_nothing() -> None:
    assert identity_of(Network(chunk=1)) == identity_of(Network(chunk=2))


@dataclass
class Holder:
    value: Any


def test_values_are_named_by_content() -> None:
    values = [1, 1.0, "1", None, True, float("nan"), float("inf"), b"1", (1, 2), {1, 2, 3}, {"a": 1}, np.arange(3)]
    values += [np.arange(3.0), torch.arange(3), torch.arange(3, dtype=torch.bfloat16), torch.float16, Path("a")]
    values += [re.compile("a"), re.compile("b"), Holder(1), Holder(2), np.float32(2.5), torch.zeros(0), range(4), len]
    names = [digest_of(Holder(value)) for value in values]
    assert len(set(names)) == len(names)
    assert names == [digest_of(Holder(value)) for value in values]


@pytest.mark.parametrize("value", [object(), threading.Lock(), (x for x in "a")])
def test_what_has_no_stable_name_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(ValueError, match="has no stable name: give the part that holds it an identity") as caught:
        identity_of(Holder(value))
    assert "\n" not in str(caught.value)


TYPED = """
from scaling.identity import identity_of
import json, math
FACTOR = {factor}
def helper(x): return FACTOR * math.sqrt(x)
class Mine:
    words = frozenset({{"a", "b", "c"}})
    def __init__(self, w=1.0): self.w = w
    @property
    def more(self): return helper(self.w) in {{"x", "y", "z"}}
def generator(space):
    yield Mine().more
print(json.dumps([identity_of(Mine()), identity_of(generator)], sort_keys=True))
"""


def typed(factor: int, text: str = TYPED) -> str:
    done = subprocess.run([sys.executable, "-c", text.format(factor=factor)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout


def test_what_was_typed_in_is_named_by_what_it_does_and_by_all_that_it_uses() -> None:
    first = typed(1)
    assert typed(1) == first  # in another process, with other addresses and another order of sets
    one, two = eval(first), eval(typed(2))
    assert one[0] != two[0] and one[1] != two[1]


DATACLASS = """
import functools, json
from dataclasses import dataclass
from scaling.identity import identity_of
def knowing(cls):
    call = cls.__call__
    @functools.wraps(call)
    def known(self, space): return call(self, space) if isinstance(self, cls) else None
    cls.__call__ = known
    return cls
@knowing
@dataclass(frozen=True, kw_only=True)
class Mine:
    share: float = 0.5
    def __call__(self, space): return space * {factor}
print(json.dumps(identity_of(Mine()), sort_keys=True))
"""


def test_a_dataclass_that_was_typed_in_is_named_whatever_its_own_methods_carry() -> None:
    """A frozen one's carry their class, and so does what this decorator makes."""
    names = [typed(factor, DATACLASS) for factor in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_names_are_plain_json() -> None:
    assert named({"a": (1, 2.0, Path("b"))}) == {"a": [1, 2.0, "b"]}
