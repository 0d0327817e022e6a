"""What decides a part's answers, as plain json: its own word, its parameters, and the code where it is not ours.

A part is named by content, so that its name is the same in every process and another one wherever its answers may be.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import json
import sys
import types
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from scaling.contents import by_content, named_by_code
from scaling.digests import body_digest, digest, global_names, tensor_name
from scaling.loaded import content, functions_of
from scaling.parameters import parameters_of
from scaling.source import (
    CACHED,
    code_of,
    file_of,
    files_of,
    is_decorated,
    is_library,
    is_ours,
    layers_in_text,
    sources_digest,
)

Json = dict[str, Any]


def identity_of(part: Any) -> Json:
    """All that decides what a part answers.

    `part` is a search, sampler, schedule, denoiser, conditions, verifier, selector, metric or extractor. Its own
    `identity()` is its answer; without one it is named by its class and parameters. For code outside this package
    the parameters and a digest of the code are added in either case. Raises a ValueError for what has no stable name.
    """
    kind = type(part)
    if isinstance(part, CACHED):
        return identity_of(part.__wrapped__)
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


def digest_of(part: Any) -> str:
    """16 hex digits of a part's identity."""
    return digest(json.dumps(identity_of(part), sort_keys=True, allow_nan=False).encode())


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
        return digest(value)
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
    if (numpy := sys.modules.get("numpy")) and isinstance(value, numpy.generic):
        return named(value.item())
    array = tensor_name(value)
    return identity_of(value) if array is None else array


def _object(part: Any, own_word: bool = False) -> Json:
    """Class, parameters and code of an object; with a word of its own what has no stable name is left to that."""
    kind = type(part)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__ == "builtins" or (not hasattr(part, "__dict__") and not hasattr(kind, "__slots__")):
        return {"name": name, **_reduced(part)}
    parameters: Json = {}
    former: Mapping[str, str] = getattr(kind, "former_parameters", {})  # identities keep the names that they began with
    for key, value in ((former.get(key, key), value) for key, value in parameters_of(part, own_word).items()):
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


def _weights(part: Any) -> Json:
    """The content of a network's parameters, buffers and other parts."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(part, torch.nn.Module):
        return {}
    state = {name: tensor_name(value) for name, value in part.state_dict().items()}
    return {"network": repr(part), "weights": digest(json.dumps(state, sort_keys=True).encode())}


def _callable(part: Any) -> Json:
    """A function, method, class or partial: its name, what it is bound to, and its code."""
    if isinstance(part, functools.partial):
        given = {"arguments": part.args, "keywords": part.keywords}
        return {**identity_of(part.func), **named(given if is_ours(part.func) else by_content("", given))}
    if isinstance(part, types.MethodType):
        return {**_callable(part.__func__), "of": named(part.__self__)}
    name = f"{part.__module__}.{part.__qualname__}"
    if is_decorated(part):
        return {"name": name, **_decorated(part, {id(part)}), **named_by_code(part)}
    inside = _closure(part) if isinstance(part, types.FunctionType) else {}
    return {"name": name, **inside, **_code(part), **named_by_code(part)}


def _decorated(function: types.FunctionType, seen: set[int]) -> Json:
    """What a decorator made of a function: all code behind it, and what it carries where no file says the whole."""
    if layers := layers_in_text(function):
        return {"layers": layers, "code": sources_digest(files_of(function), content)}
    inner = getattr(function, "__wrapped__", None)
    typed = isinstance(inner, types.FunctionType) and file_of(inner) is None
    wraps = {} if inner is None else {"wraps": _typed_in(inner, seen) if typed else named(inner)}
    if is_library(Path(function.__code__.co_filename)):
        return {"by": function.__code__.co_qualname, **_settings(function), **wraps}
    code = {"code": _uses(function, seen)} if file_of(function) is None else _code(function)
    return {**_carried(function, seen), **wraps, "body": body_digest(function.__code__), **code}


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
    """What a function that was made inside another one carries, and which one it is."""
    if "<" not in function.__qualname__:
        return {}
    return {**_carried(function), "body": body_digest(function.__code__)}


def _carried(function: types.FunctionType, seen: Set[int] = frozenset()) -> Json:
    """A function's variables and defaults, but for what it wraps; what was `seen` goes by its name."""
    defaults = [*(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())]
    known = {name: value.__qualname__ if id(value) in seen else value for name, value in _variables(function).items()}
    inside = {"variables": named(known), "defaults": named(defaults)}
    return {key: value for key, value in inside.items() if value}


def _variables(function: types.FunctionType) -> Json:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = {name: cell.cell_contents for name, cell in cells if name != "__class__"}
    inner = getattr(function, "__wrapped__", known) if is_decorated(function) else known
    return {name: value for name, value in known.items() if value is not inner}


def _settings(function: types.FunctionType) -> Json:
    """The plain variables of a library's decorator, and the plain attributes of the objects among them.

    Not the rest, which may be called otherwise in another process; nor what a context found when it was entered.
    """
    found: Json = {}
    for name, value in _variables(function).items():
        within = {key: each for key, each in getattr(value, "__dict__", {}).items() if not key.startswith("prev")}
        plain = {key: each for key, each in {"": value, **within}.items() if _is_plain(each)}
        found |= {f"{name}.{key}".strip("."): named(each) for key, each in plain.items()}
    return {"variables": found} if found else {}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | Mapping):
        return all(map(_is_plain, value.values() if isinstance(value, Mapping) else value))
    if isinstance(value, types.FunctionType):
        return bool(files_of(value))
    return value is None or isinstance(value, bool | int | float | str) or tensor_name(value) is not None


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
    return _decorated(kind, seen) if is_decorated(kind) else _uses(kind, seen)


def _uses(function: types.FunctionType, seen: set[int]) -> Json:
    """What a function that no file holds does, and all that it names outside itself."""
    outside = {}
    for name in global_names(function.__code__):
        value = function.__globals__.get(name)
        value = value.__wrapped__ if isinstance(value, CACHED) else value
        if isinstance(value, types.FunctionType | type) and value.__module__ == function.__module__:
            outside[name] = _typed_in(value, seen)
        elif value is not None:
            outside[name] = named(value)
    return {"body": body_digest(function.__code__), "outside": outside}
