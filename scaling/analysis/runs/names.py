"""What tells runs apart: their labels say what differs, and the same method looks the same in every panel."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from scaling.analysis.figures.style import Look, look, pretty, rank, shade
from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.made import made_of, words_of
from scaling.budget import UNITS

COMPARED = ("model", "sampler", "conditions", "verifier", "search", "budget")  # config groups that decide a line
NO_SEARCH = ("steps", "none")


class Key(NamedTuple):
    """What a line compares; a run's seed is no comparison, and without a search nothing is verified."""

    search: str
    verifier: str
    model: str
    guidance_scale: float
    settings: str
    made: str = ""  # what its parts were made of, where that tells runs of equal settings apart (`made_of`)
    part: str = ""  # which runs of a line, where these have other rungs than the rest

    @property
    def described(self) -> dict[str, Any]:
        """Its model, guidance and settings, for words that tell it from others."""
        return {"model": self.model, "guidance_scale": self.guidance_scale, **json.loads(self.settings)}


def keys_of(runs: Sequence[Run], key: Callable[[Run], Key] | None = None) -> dict[Path, Key]:
    """The line of each of some runs, by its folder; `key` says what they have in common (default: `key_of`)."""
    alike: dict[Key, list[Run]] = {}
    for run in runs:
        alike.setdefault((key or key_of)(run), []).append(run)
    made = {key: zip(group, made_of(group), strict=True) for key, group in alike.items()}
    return {run.path: key._replace(made=each) for key, pairs in made.items() for run, each in pairs}


def key_of(run: Run) -> Key:
    """The line that a run belongs to by its settings."""
    point = run.identity
    verifier = "" if point.search in NO_SEARCH else point.verifier
    settings = {name: value for name, value in settings_of(run).items() if verifier or not name.startswith("verifier")}
    return Key(point.search, verifier, point.model, point.guidance_scale, json.dumps(settings, sort_keys=True))


def method_of_key(run: Run) -> Key:
    """The line that a run belongs to whatever verifier guides it: one method under several judges."""
    key = key_of(run)
    settings = {name: value for name, value in settings_of(run).items() if not name.startswith("verifier")}
    return key._replace(verifier="", settings=json.dumps(settings, sort_keys=True))


def settings_of(run: Run) -> dict[str, Any]:
    """The flattened config of the parts that decide a line, e.g. `search.neighbors: 2`."""
    flat: dict[str, Any] = {}
    for group in COMPARED:
        _flatten(group, run.config.get(group), flat)
    ladder = [f"budget.{unit}" for unit in UNITS]  # where the line is sampled, not which line it is
    return {name: value for name, value in flat.items() if name not in ladder}


def method_of(run: Run) -> str:
    """A search with its size, as the paper names it: zero_order_2, paths_4, random_50_nfes_per_iter is just random."""
    size = {"zero_order": "neighbors", "paths": "width"}.get(run.identity.search, "")
    value = settings_of(run).get(f"search.{size}")
    return f"{run.identity.search}_{value}" if value is not None else run.identity.search


@dataclass(frozen=True)
class Names:
    """Labels and looks for runs that are shown together."""

    runs: tuple[Run, ...]

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Which of search, verifier, model and guidance scale differ between the runs that search."""
        keys = list(self._keys.values())
        searching = [key for key in keys if key.search not in NO_SEARCH] or keys
        informed = [key for key in searching if key.verifier != "control"] or searching
        return tuple(name for name in Key._fields[:4] if len({getattr(key, name) for key in informed}) > 1)

    @cached_property
    def labels(self) -> dict[Key, str]:
        """A label for every line, of what varies alone."""
        by_key = {self.key(run): run for run in self.runs}
        found = {key: self._label(key, by_key) for key in by_key}
        for key, words in [pair for same in _sharing(found).values() for pair in words_apart(same, least=1).items()]:
            found[key] = ", ".join([found[key], *words])
        return found

    def key(self, run: Run) -> Key:
        """The line of a run that is shown, or of one that it was joined of."""
        return self._keys[run.path]

    @cached_property
    def _keys(self) -> dict[Path, Key]:
        keys = _by_rungs(self.runs, keys_of(self.runs))
        return {each.path: keys[run.path] for run in self.runs for each in getattr(run, "runs", (run,))}

    @cached_property
    def looks(self) -> dict[Key, Look]:
        """A look for every line: its method's color, shaded where several lines share one."""
        base = {key: self._look(key) for key in self.labels}
        sharing: dict[Look, list[Key]] = {}
        for key in sorted(base, key=order):
            sharing.setdefault(base[key], []).append(key)
        return {key: shade(each, place, len(keys)) for each, keys in sharing.items() for place, key in enumerate(keys)}

    def _label(self, key: Key, by_key: Mapping[Key, Run]) -> str:
        parts = [_pretty_field(name, getattr(key, name)) for name in self.varying]
        if key.verifier == "control":
            parts = [pretty("control"), *(_pretty_field(n, getattr(key, n)) for n in self.varying if n != "verifier")]
        elif key.search in NO_SEARCH:
            parts = [
                pretty("steps"),
                *(_pretty_field(n, getattr(key, n)) for n in self.varying if n in Key._fields[2:]),
            ]
        alike = {other: run for other, run in by_key.items() if other[:4] == key[:4]}
        plain = {_plain_key(other): settings_of(run) for other, run in alike.items()}
        parts += words_apart(plain)[_plain_key(key)]
        label = ", ".join(part for part in parts if part) or f"{pretty(key.search)} search"
        twins = {other: words_of(other.made) for other in alike if _plain_key(other) == _plain_key(key)}
        return ", ".join(part for part in (label, *words_apart(twins, least=1)[key], key.part) if part)

    def _look(self, key: Key) -> Look:
        if key.search in NO_SEARCH:
            return look("search", "steps")
        if key.verifier == "control":
            return look("verifier", "control")
        kind = next((name for name in ("search", "verifier", "model") if name in self.varying), "search")
        return look(kind, getattr(key, kind))


def _by_rungs(runs: Sequence[Run], keys: Mapping[Path, Key]) -> dict[Path, Key]:
    """The lines, those runs apart that have other rungs than most of their line (a seed that is not finished)."""
    lines: dict[Key, dict[tuple[float, ...], list[Run]]] = {}
    for run in runs:
        rungs = {point.rung: point.nfe for point in run.curve}
        lines.setdefault(keys[run.path], {}).setdefault(tuple(rungs.values()), []).append(run)
    found = dict(keys)
    for key, ladders in lines.items():
        whole = max(ladders, key=lambda ladder: (len(ladder), len(ladders[ladder])))
        for ladder, group in ladders.items():
            if ladder != whole:
                seeds = sorted({run.identity.seed for run in group})
                part = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}, {len(ladder)} rung"
                found |= {run.path: key._replace(part=part + "s" * (len(ladder) > 1)) for run in group}
    return found


def _sharing(labels: Mapping[Key, str]) -> dict[str, dict[Key, dict[str, Any]]]:
    """The lines whose labels are the same, with all that may tell them apart (baselines of several models)."""
    by_label: dict[str, dict[Key, dict[str, Any]]] = {}
    for key, label in labels.items():
        by_label.setdefault(label, {})[key] = {"search": key.search, "verifier": key.verifier, **key.described}
    return {label: same for label, same in by_label.items() if len(same) > 1}


def _plain_key(key: Key) -> Key:
    """The key of all runs of its settings."""
    return key._replace(made="", part="")


def words_apart(described: Mapping[Key, Mapping[str, Any]], least: int = 2) -> dict[Key, list[str]]:
    """What differs in the settings of lines that are otherwise the same: `least` of it, more where two share that."""
    texts = {
        name: _texts([each.get(name) for each in described.values()]) for each in described.values() for name in each
    }
    words = {
        key: [_word(name, texts[name][json.dumps(value)]) for name, value in each.items() if len(texts[name]) > 1]
        for key, each in described.items()
    }
    return {
        key: mine[: _enough(mine, [words[other] for other in words if other != key], least)]
        for key, mine in words.items()
    }


def _enough(mine: Sequence[str], others: Sequence[Sequence[str]], least: int) -> int:
    """How many of one's words nobody else begins with; all where there are none such."""
    counts = range(least, len(mine) + 1)
    return next((count for count in counts if all(each[:count] != mine[:count] for each in others)), len(mine))


def _texts(values: Sequence[Any]) -> dict[str, str]:
    """How the values of a setting are written, by their json, which is written itself where two would look the same."""
    plain = {json.dumps(value): _plain(value) for value in values}
    return plain if len(set(plain.values())) == len(plain) else {text: text for text in plain}


def _word(name: str, text: str) -> str:
    if name in Key._fields:
        return f"guidance {text}" if name == "guidance_scale" else text
    return f"{pretty(name.rsplit('.', 1)[-1])} {text}"


def _pretty_field(name: str, value: Any) -> str:
    return f"guidance {value:g}" if name == "guidance_scale" else pretty(value)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else pretty(str(value))


def order(key: Key) -> tuple:
    """Sorts lines: searches before baselines, as the style lists them, settings by their numbers (2 before 16)."""
    settings = json.loads(key.settings)
    numbers = [value for value in settings.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    baseline = (key.search in NO_SEARCH) + 2 * (key.verifier == "control")
    names = (rank(kind, getattr(key, kind)) for kind in ("search", "verifier", "model"))
    return (baseline, *names, key.guidance_scale, numbers, key.settings, key.part)


def _flatten(prefix: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for name, each in value.items():
            _flatten(f"{prefix}.{name}", each, into)
    elif value is not None:
        into[prefix] = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
