"""From a composed configuration to built objects; whatever is wrong with it is said before a model is loaded."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from scaling.config.compose import CONF
from scaling.journal.stream import digest
from scaling.output.run_folder import slug
from scaling.protocols import RankSelector, SetSelector, Verifier

Config = Mapping[str, Any]

# What decides no result of a run: where, in which order and with how many hands it computes, not what.
ELSEWHERE = (
    "output_dir",
    "study",
    "logger",
    "progress",
    "debug",
    "workers",
    "journal",
    "order",
    "calibration",
    "phases",
    "overrides",  # what was typed, in a run's own config.yaml
)
_built: dict[str, Any] = {}


def run_name(config: Config, overrides: list[str]) -> str:
    """The name of a run's folder: a readable slug of what was overridden, and a digest of all that decides the results.

    A folder of the study that ends in this digest holds the run already, whatever stands before it.
    """
    kept = deciding(config)
    lines = [line.lstrip("+") for line in overrides]
    said = [line for line in lines if _decides(line.lstrip("~").partition("=")[0], config, kept)]
    choices = config["choices"]
    words = slug(said) or "-".join(choices[group] for group in ("model", "verifier", "search"))
    return _present(Path(config["output_dir"]) / config["study"], words, digest(kept))


def _present(study: Path, words: str, ending: str) -> str:
    """The name of the run's folder where there is one, a finished one first; else the name that it gets."""
    name = f"{words}-{ending}"
    found = [] if (study / name).is_dir() else [path for path in study.glob(f"*-{ending}") if path.is_dir()]
    return min(found, key=lambda path: (not (path / "cost.json").is_file(), path.name)).name if found else name


def deciding(config: Config) -> dict[str, Any]:
    """The configuration without what decides no result: folders, logger, devices, memory, patience, spending."""
    kept = {key: _deciding(value) for key, value in config.items() if key not in ELSEWHERE}
    kept["model"].pop("device", None)
    kept["choices"].pop("calibration", None)
    return kept


def _deciding(node: Any) -> Any:
    """A copy without the parameters of which a part's class says that they decide nothing."""
    if isinstance(node, Mapping):
        without = _execution_only(str(node["_target_"])) if "_target_" in node else frozenset()
        return {key: _deciding(value) for key, value in node.items() if key not in without}
    return [_deciding(each) for each in node] if isinstance(node, list) else node


def _execution_only(target: str) -> frozenset[str]:
    """What a class declares as deciding no result; nothing where it cannot be imported."""
    module, _, name = target.rpartition(".")
    try:
        return frozenset(getattr(getattr(import_module(module), name), "execution_only", ()))
    except Exception:  # a module of others may raise anything
        return frozenset()


def _decides(key: str, config: Config, kept: Config) -> bool:
    """Whether an override belongs into a run's name: it is no experiment, and its value is not one that is left out."""
    parts = key.split(".")
    return parts[0] not in (*ELSEWHERE, "experiment") and (not _holds(config, parts) or _holds(kept, parts))


def _holds(node: Any, parts: list[str]) -> bool:
    """Whether a configuration has a value under this dotted key."""
    for part in parts:
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def study_of(config: Config, overrides: list[str]) -> Any:
    """Builds a `Study` in the order of what is cheap to refuse; ValueErrors say what is wrong."""
    budget = build("budget", config["budget"])
    sampler = build("sampler", config["sampler"])
    budget.check(sampler)
    search = build("search", config["search"])
    conditions = build("conditions", config["conditions"])
    calibration = _calibration(config, len(conditions))
    output_dir = writable(Path(config["output_dir"]))
    metrics, shared = config["metrics"], shares_device(config)
    parts = {
        kind: {name: build(f"metrics.{kind}.{name}", node, shared) for name, node in (metrics[kind] or {}).items()}
        for kind in ("set", "per_sample", "extractors")
    }
    verifier, scorers, selector, names = _verifiers(config)
    denoiser = build("model", config["model"])

    from scaling.runner.study import Study

    return Study(
        denoiser=denoiser,
        conditions=conditions,
        verifier=verifier,
        search=search,
        budget=budget,
        sampler=sampler,
        scorers=scorers,
        selector=selector,
        extractors=parts["extractors"],
        metrics=parts["set"],
        per_sample=parts["per_sample"],
        names=names,
        output_dir=output_dir,
        calibration=calibration,
        **_settings(config, overrides),
    )


def shares_device(config: Config) -> bool:
    """Whether the model takes turns on the device with its judges; a ValueError where `phases` still asks for it."""
    if config.get("phases"):
        raise ValueError(
            "phases=true is gone: model.offload=model moves network, decoder and judges on and off the device in "
            "turns, under any search"
        )
    return config["model"].get("offload", "none") != "none"


def _settings(config: Config, overrides: list[str]) -> dict[str, Any]:
    """What a study takes from its configuration as it is."""
    journal = config["journal"]
    return {
        "seed": config["seed"],
        "study": config["study"],
        "run": run_name(config, overrides),
        "batch_size": config["batch_size"],
        "block_size": config["block_size"],
        "keep": journal["keep"],
        "probe": journal["probe"],
        "limit": journal["limit_gb"] * 1e9,
        "patience": journal["patience"],
        "samples": config["samples"],
        "order": config.get("order", "conditions"),  # absent where a run was configured before there was a choice
        "progress": config["progress"],
    }


def outline_of(config: Config, overrides: list[str]) -> Any:
    """A `Study` for planning alone: nothing of it loads weights, statistics or anything from the hub.

    The model is an outline where its class offers one; verifiers, metrics and selectors are known by their
    configuration. Parts that a plan does not need are left out.
    """
    from scaling.runner.study import Study

    budget, sampler = build("budget", config["budget"]), build("sampler", config["sampler"])
    budget.check(sampler)
    conditions = build("conditions", config["conditions"])
    names = labels(config)
    outlines: dict[str, Any] = {name: _Outlined.of(node) for name, node in config["scorers"].items()}
    verifier: Any = _Outlined.of(config["verifier"])
    selector: Any = None
    if verifier.selects and outlines:  # the first scorer guides, as in a real run
        names["selector"], names["verifier"] = names["verifier"], next(iter(outlines))
        verifier, selector = outlines.pop(names["verifier"]), verifier
    return Study(
        denoiser=_model(config["model"]),
        conditions=conditions,
        verifier=verifier,
        search=build("search", config["search"]),
        budget=budget,
        sampler=sampler,
        scorers=outlines,
        selector=selector,
        metrics=dict.fromkeys(config["metrics"]["set"] or {}),  # type: ignore[arg-type]  # their names
        per_sample=dict.fromkeys(config["metrics"]["per_sample"] or {}),  # type: ignore[arg-type]
        names=names,
        output_dir=Path(os.path.abspath(config["output_dir"])),
        calibration=_calibration(config, len(conditions)),
        **_settings(config, overrides),
    )


@dataclass(frozen=True)
class _Outlined:
    """A verifier or selector by its configuration: what it says of itself without being built."""

    node: Config
    selects: bool
    differentiable: bool
    probe: float | None

    @classmethod
    def of(cls, node: Config) -> _Outlined:
        from hydra.utils import get_class

        kind = get_class(node["_target_"])
        selects = hasattr(kind, "pick") or hasattr(kind, "select")
        return cls(node, selects, getattr(kind, "differentiable", True), node.get("probe"))

    def identity(self) -> Config:
        return self.node


def _model(node: Config) -> Any:
    """The outline of a model whose class has one, else the model itself."""
    from hydra.utils import get_class

    kind: Any = get_class(node["_target_"])
    return kind.outline(node) if hasattr(kind, "outline") else build("model", node)


def labels(config: Config) -> dict[str, str]:
    """How model, verifier and search are called: by their option, or by the class that replaced the option's own."""
    return {part: _label(config["choices"][part], part, config[part]) for part in ("model", "verifier", "search")}


def _label(choice: str, group: str, node: Config) -> str:
    from omegaconf import OmegaConf

    option, target = CONF / group / f"{choice}.yaml", str(node.get("_target_", ""))
    if ":" in choice or (choice == "python" and target.endswith("verifiers.python.Python")):  # a function of one's own
        return str(node["function"] if choice == "python" else choice).rpartition(":")[2]
    if not option.is_file():  # a user's own option, with a name of its own
        return choice
    own = dict(OmegaConf.to_container(OmegaConf.load(option))).get("_target_")  # type: ignore[arg-type]
    replaced = target != own if own is not None else not target.startswith("scaling.")
    return target.rpartition(".")[2] if replaced else choice


def clear_cache() -> None:
    """Forgets all parts that were built; the next ones are loaded anew."""
    _built.clear()


def _calibration(config: Config, conditions: int) -> Any:
    """The gate before the study, or None; it is checked by the names alone, before any of them is loaded."""
    from scaling.runner.calibration import Calibration

    node = config.get("calibration")
    if node is None:
        return None
    if unknown := sorted(set(node) - {"metrics", "conditions"}):
        raise ValueError(f"calibration.{unknown[0]} is no key of it; valid: metrics, conditions")
    calibration = Calibration(node.get("metrics", {}), node.get("conditions"))
    judges = [name for kind in ("set", "per_sample") for name in config["metrics"][kind] or {}]
    calibration.check([*judges, *config["scorers"], config["choices"]["verifier"]], conditions)
    return calibration


def _verifiers(config: Config) -> tuple[Verifier, dict[str, Verifier], Any, dict[str, str]]:
    """What guides, what is recorded beside it, what picks afterwards (or None), and how the curve calls the parts."""
    shared = shares_device(config)
    verifier = build("verifier", config["verifier"], shared)
    scorers = {name: build(f"scorers.{name}", node, shared) for name, node in config["scorers"].items()}
    names = labels(config)
    if not isinstance(verifier, RankSelector | SetSelector):
        return verifier, scorers, None, names
    if not scorers:
        raise ValueError(
            f"verifier={names['verifier']} picks afterwards among recorded candidates: list at least one scorer, "
            "e.g. +verifier@scorers.control=control"
        )
    first = next(iter(scorers))
    return scorers.pop(first), scorers, verifier, {**names, "verifier": first, "selector": names["verifier"]}


def build(where: str, node: Any, off_device: bool = False) -> Any:
    """Instantiates a node once per process; equal nodes are one object, so that a multirun loads a model once.

    With `off_device` its networks leave the device until they are used, for a model that shares it with its judges.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    key = json.dumps([node, off_device], sort_keys=True, default=str)
    if key not in _built:
        try:
            _built[key] = instantiate(node, _convert_="all")
            if off_device:
                _take_off(_built[key])
        except InstantiationException as error:
            cause = error.__cause__ or error
            if isinstance(cause, ValueError | TypeError | OSError):
                raise ValueError(f"{where}: {' '.join(str(cause).split())}") from error
            raise
    return _built[key]


def _take_off(part: Any) -> None:
    from scaling.engine.placement import take_off

    take_off(part)


def writable(folder: Path) -> Path:
    """The folder, made; a ValueError where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"output_dir={folder} cannot be written to: {error.strerror}") from None
    return Path(os.path.abspath(folder))
