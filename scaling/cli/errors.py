"""Errors as one line a user can act on, and the list of the jobs that failed."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
import tempfile
import traceback
from pathlib import Path

from scaling.config.renamed import renamed
from scaling.extras import missing_extra
from scaling.source import is_library

_GONE = {"phases": "model.offload=model moves network, decoder and judges on and off the device, under any search"}
_FAILURES = "SCALING_FAILURES"  # a file that the jobs of this command share, whatever process they run in


def one_line(error: BaseException, conf: Path | None = None) -> str:
    """What went wrong, with the nearest valid name where something was misspelt."""
    if hint := missing_extra(error):
        return hint
    text = " ".join(str(error).split())
    cause = error.__cause__
    options = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if missing and options is not None:
        group, _, name = str(missing).rpartition("/")
        local = ""
        if group.startswith("model/"):  # a path
            group, name = "model", str(missing).removeprefix("model/")
            local = f"; a folder of your own is model=pipeline model.path={name}"
        return f"{group}={name} is not there{local}; {_nearest(name, options)}"
    if found := re.search(r"Could not override '([^']+)'", text):
        if found[1] in _GONE:
            return f"{found[1]} is gone: {_GONE[found[1]]}"
        if new := renamed(found[1]):
            return f"{found[1]} is called {new} by now"
        near = _nearest(found[1], _siblings(found[1], _keys(conf)))
        return f"{found[1]} is no key of the configuration; to add it: +{found[1]}=...; {near}"
    if found := re.match(r"Ambiguous value for argument '([^=]+)=(.*?)' 1\. ", text):
        return (
            f"{found[1]}={found[2]} has a comma: quoted twice it is one text, {_quoted(found[1], found[2])}; "
            "with -m it is several values"
        )
    if found := re.match(r"Error parsing override '(.*?)' missing EQUAL", text):
        return f"{found[1]!r} sets nothing: key=value or group=option is needed, and quotes around what has spaces"
    if cause is not None and not isinstance(error, ValueError):
        text = f"{text} ({' '.join(str(cause).split())})"
    if (typed := getattr(error, "override", None)) and "=" in str(typed):  # Hydra's lexer does not take it as it is
        key, _, value = str(typed).partition("=")
        return f"{key}={value} cannot be read as it is; quote the value twice: {_quoted(key, value)}"
    if not isinstance(error, ValueError | OSError) and not type(error).__module__.startswith(("hydra", "omegaconf")):
        return f"{type(error).__name__}: {text}{_place(error)}; debug=true shows where"
    return text


def _quoted(key: str, value: str) -> str:
    """An override as a shell and Hydra both take it, whatever is in the value."""
    escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), value.strip("'"))
    return shlex.quote(f'{key}="{escaped}"')


def _place(error: BaseException) -> str:
    """Where it was raised: the last line that is neither ours nor a library's, else the last one."""
    lines = traceback.extract_tb(error.__traceback__)
    own = [line for line in lines if not is_library(Path(line.filename))]
    return f" (in {own[-1].name}, {own[-1].filename}, line {own[-1].lineno})" if own else ""


def report_failure(line: str, now: bool) -> None:
    """Keeps the line for the end of the command; in a multirun it is said at once as well.

    A RuntimeError with it where this job runs on another machine than the command.
    """
    if now:
        print(f"failed: {line}", file=sys.stderr, flush=True)
    path = os.environ.get(_FAILURES)
    if path is None or not Path(path).is_file():  # on another machine: the launcher takes it from here
        raise RuntimeError(line)
    with open(path, "a") as file:
        file.write(line + "\n")


def failures() -> list[str]:
    """The lines of all jobs of this command that failed, for its end."""
    path = Path(os.environ.pop(_FAILURES, ""))
    if not path.is_file():
        return []
    lines = path.read_text().splitlines()
    path.unlink()
    if len(lines) == 1:
        return [f"scaling: {lines[0]}"]
    return [f"scaling: {len(lines)} jobs failed", *(f"  {line}" for line in lines)] if lines else []


def share_failures() -> None:
    """Opens the list that this command's jobs write to, in whatever process they run."""
    handle, path = tempfile.mkstemp(prefix="scaling-failures-")
    os.close(handle)
    os.environ[_FAILURES] = path


def _nearest(name: str, options: list[str]) -> str:
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    listed = ", ".join(sorted(options))
    return (f"did you mean {near[0]}? " if near else "") + (f"valid: {listed}" if listed else "")


def _siblings(key: str, keys: list[str]) -> list[str]:
    """The keys beside a misspelt one; where its parent is misspelt too, the top level."""
    parent = key.rpartition(".")[0]
    beside = [k for k in keys if k.rpartition(".")[0] == parent and not k.endswith("_target_")]
    return beside or [k for k in keys if "." not in k]


def _keys(conf: Path | None) -> list[str]:
    """The dotted keys of the default configuration."""
    if conf is None:
        return []
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import DictConfig

    from scaling.config.plugins import register

    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        config = compose("config")

    def walk(node: DictConfig, prefix: str) -> list[str]:
        keys = []
        for key in map(str, node):
            keys.append(f"{prefix}{key}")
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
                keys += walk(child, f"{prefix}{key}.")
        return keys

    return walk(config, "")
