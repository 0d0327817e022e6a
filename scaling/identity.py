"""What decides a part's answers, as plain json: its own word, its parameters, and the code where it is not ours.

A part is named by content, so that its name is the same in every process and another one wherever its answers may be.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import inspect
import json
import sys
import types
from collections.abc import Mapping, Set
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Any

from scaling.contents import by_content, named_by_code
from scaling.loaded import functions_of
from scaling.source import code_of, is_ours

Json = dict[str, Any]
_ADDED = "added"


def identity_of(part: Any) -> Json:
    """All that decides what a part answers.

    `part` is a search, sampler, schedule, denoiser, conditions, verifier, selector, metric or extractor. Its own
    `identity()` is its answer; without one it is named by its class and parameters. For code outside this package
    the parameters and a digest of the code are added in either case. Raises a ValueError for what has no stable name.
    """
    kind = type(part)
    if isinstance(part, types.FunctionType | types.MethodType | functools.partial | type):
        return _callable(part)
    own = dict(part.identity()) if callable(getattr(part, "identity", None)) else None
    if is_ours(kind):
        versioned = {"version": version} if (version := vars(kind).get("version", 1)) != 1 else {}
        return (_object(part) if own is None else own) | versioned
    return _object(part) if own is None else {**own, "made_by": _object(part, own_word=True)}


def judge_identity(judge: Any, metadata: tuple[str, str] = ("", "")) -> Json:
    """All that decides what a verifier or extractor says of an image and its condition.

    `metadata` are digests of what conditions carry beside prompts: columns, and names of files. One of ours declares
    `reads_metadata`; others, which are given the whole condition, may read the columns.
    """
    identity, (columns, files) = identity_of(judge), metadata
    if getattr(type(judge), "reads_metadata", False):
        return {**identity, "metadata": [columns, files]} if columns or files else identity
    return {**identity, "metadata": columns} if columns and not is_ours(type(judge)) else identity


def added(default: Any) -> Any:
    """A dataclass's field that a later version added: at its default it is no part of the identity.

    So what was finished before keeps its name.
    """
    return field(default=default, metadata={_ADDED: True})


def left_at_default(kind: Any, given: Mapping[str, Any]) -> frozenset[str]:
    """Which of the given parameters a class got in a later version (`added`) and has at their default here."""
    later = [each for each in fields(kind) if _ADDED in each.metadata] if is_dataclass(kind) else []
    return frozenset(each.name for each in later if each.name in given and given[each.name] == each.default)


def digest_of(part: Any) -> str:
    """16 hex digits of a part's identity."""
    return _digest(json.dumps(identity_of(part), sort_keys=True, allow_nan=False).encode())


def named(value: Any) -> Any:
    """A parameter's value as plain json: numbers and words as they are, tensors and networks by their content.

    Raises a ValueError for what has no stable name.
    """
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return _digest(value)
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): named(each) for key, each in value.items()}
    if isinstance(value, Set):
        return sorted((named(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    if isinstance(value, list | tuple | range):
        return [named(each) for each in value]
    if isinstance(value, complex | slice | types.EllipsisType):
        return repr(value)
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, types.BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    content = _tensors(value)
    return identity_of(value) if content is None else content


def _object(part: Any, own_word: bool = False) -> Json:
    """Class, parameters and code of an object; with a word of its own what has no stable name is left to that."""
    kind = type(part)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__ == "builtins" or (not hasattr(part, "__dict__") and not hasattr(kind, "__slots__")):
        return {"name": name, **_reduced(part)}
    parameters: Json = {}
    former: Mapping[str, str] = getattr(kind, "former_parameters", {})  # identities keep the names that they began with
    for key, value in ((former.get(key, key), value) for key, value in _parameters(part, own_word).items()):
        try:
            parameters[key] = named(value if is_ours(kind) else by_content(key, value))
        except ValueError:
            if not own_word:
                raise
    return {"name": name, **parameters, **_weights(part), **_code(kind), **named_by_code(kind)}


def _reduced(part: Any) -> Json:
    """What a library's object, which has no attributes to be read, is pickled as."""
    kind = type(part)
    try:
        reduce = copyreg.dispatch_table.get(kind, lambda it: it.__reduce_ex__(4))
        made = reduce(part) if kind is not object else None
    except TypeError:
        made = None
    if made is None:
        raise ValueError(
            f"a {kind.__module__}.{kind.__qualname__} has no stable name: give the part that holds it an identity() "
            "that says what decides its answers"
        )
    return {"made": made if isinstance(made, str) else [named(each) for each in made[1:3]]}


def _parameters(part: Any, own_word: bool) -> Json:
    """A dataclass's fields; else the attributes named like the constructor's parameters and all public ones.

    Where a parameter is kept under another name, all attributes. With a word of its own an object may count in public.
    """
    how: frozenset[str] = getattr(type(part), "execution_only", frozenset())
    if is_dataclass(part):
        named_by = {each.name: getattr(part, each.name) for each in fields(part) if each.name not in how}
        unused = left_at_default(type(part), named_by)
        return {name: value for name, value in named_by.items() if name not in unused}
    known = _attributes(part)
    asked = _asked(type(part)) - how
    kept = {name: name if name in known else f"_{name}" for name in asked}
    if all(name in known for name in kept.values()):
        given = {name: known[at] for name, at in kept.items()}
        if own_word:
            return given
        public = {name: value for name, value in known.items() if not name.startswith("_")}
        known = {**public, **given}
    return {name: value for name, value in known.items() if name not in how}


def _asked(kind: type) -> set[str]:
    """The names of a constructor's parameters."""
    if kind.__init__ is object.__init__:  # type: ignore[misc]
        return set()
    return {p.name for p in list(inspect.signature(kind.__init__).parameters.values())[1:]}  # type: ignore[misc]


def _attributes(part: Any) -> Json:
    known = dict(getattr(part, "__dict__", {}))
    for kind in type(part).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(part, name):
                known[name] = getattr(part, name)
    if (torch := sys.modules.get("torch")) and isinstance(part, torch.nn.Module):
        state = {*vars(torch.nn.Module()), *known.get("_defaults", ())}  # a torchmetrics Metric's state is no parameter
        known = {name: value for name, value in known.items() if name not in state}
    return known


def _weights(part: Any) -> Json:
    """The content of a network's parameters, buffers and other parts."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(part, torch.nn.Module):
        return {}
    state = {name: _tensors(value) for name, value in part.state_dict().items()}
    return {"network": repr(part), "weights": _digest(json.dumps(state, sort_keys=True).encode())}


def _tensors(value: Any) -> Any:
    """The name of an array, a tensor or what describes them; None for anything else."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None:
        if isinstance(value, torch.dtype | torch.device | torch.Size):
            return list(value) if isinstance(value, torch.Size) else str(value)
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous()
            data = plain.flatten().view(torch.uint8) if plain.numel() else plain
            return f"{value.dtype}{list(value.shape)} {_digest(data.numpy().tobytes())}"
    if numpy is not None:
        if isinstance(value, numpy.generic):
            return named(value.item())
        if isinstance(value, numpy.ndarray):
            return f"{value.dtype}{list(value.shape)} {_digest(numpy.ascontiguousarray(value).tobytes())}"
        if isinstance(value, numpy.dtype):
            return str(value)
    return None


def _callable(part: Any) -> Json:
    """A function, method, class or partial: its name, what it is bound to, and its code."""
    if isinstance(part, functools.partial):
        given = {"arguments": part.args, "keywords": part.keywords}
        return {**identity_of(part.func), **named(given if is_ours(part.func) else by_content("", given))}
    if isinstance(part, types.MethodType):
        return {**_callable(part.__func__), "of": named(part.__self__)}
    name = f"{part.__module__}.{part.__qualname__}"
    inside = _closure(part) if isinstance(part, types.FunctionType) else {}
    return {"name": name, **inside, **_code(part), **named_by_code(part)}


def _code(kind: Any) -> Json:
    """The digest of code that is not ours."""
    if is_ours(kind) or kind.__module__ == "builtins":
        return {}
    found = code_of(kind)
    inner = functions_of(kind) if isinstance(kind, type) else {}
    closures = {name: variables for name, each in inner.items() if (variables := _closure(each).get("variables"))}
    if found is None:
        return {"code": _typed_in(kind, set())}
    return {"code": found, **({"closures": closures} if closures else {})}


def _closure(function: types.FunctionType) -> Json:
    """What a function that was made inside another one carries: its variables, its defaults, and which one it is."""
    if "<" not in function.__qualname__:
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    variables = {name: cell.cell_contents for name, cell in cells if name != "__class__"}
    defaults = [*(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())]
    inside = {"variables": named(variables), "defaults": named(defaults)}
    return {**{key: value for key, value in inside.items() if value}, "body": _body(function.__code__)}


def _body(code: types.CodeType) -> str:
    """A digest of what a function does, whatever file it is in."""
    constants = [_body(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    text = repr((code.co_code, constants, code.co_names, code.co_varnames))
    return _digest(text.encode())


def _constant(value: Any) -> str:
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _typed_in(kind: Any, seen: set[int]) -> Any:
    """Code that no file holds, as in a notebook: bodies of its functions, and all that they name outside themselves."""
    if id(kind) in seen:
        return kind.__qualname__
    seen.add(id(kind))
    if isinstance(kind, type):
        bases = [_typed_in(base, seen) for base in kind.__bases__ if base.__module__ == kind.__module__]
        functions = {name: _typed_in(each, seen) for name, each in functions_of(kind).items()}
        others = {name: each for name, each in vars(kind).items() if name[:2] != "__" and name not in functions}
        return {"bases": bases, "functions": functions, "values": named(others)}
    outside = {}
    for name in _global_names(kind.__code__):
        value = kind.__globals__.get(name)
        if isinstance(value, types.FunctionType | type) and value.__module__ == kind.__module__:
            outside[name] = _typed_in(value, seen)
        elif value is not None:
            outside[name] = named(value)
    return {"body": _body(kind.__code__), "outside": outside}


def _global_names(code: types.CodeType) -> list[str]:
    inner = [name for c in code.co_consts if isinstance(c, types.CodeType) for name in _global_names(c)]
    return sorted({*code.co_names, *inner})


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
