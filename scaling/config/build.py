"""From a composed configuration to built objects; whatever is wrong with it is said before a model is loaded."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from scaling.config.catalog import find
from scaling.config.draft import draft_node, without_draft
from scaling.config.inputs import inputs_of
from scaling.config.renamed import refuse_former
from scaling.config.run_name import Config, run_name
from scaling.config.settings import check_settings, check_types
from scaling.extras import missing_extra
from scaling.protocols import RankSelector, SetSelector, Verifier

_built: dict[str, Any] = {}


class Parts:
    """Makes the parts of a study that take time or memory: its model, its judges, its folder."""

    def __init__(self, config: Config) -> None:
        self._off_device = shares_device(config)

    def model(self, node: Config, where: str = "model") -> Any:
        """The denoiser of a node; `where` is its key."""
        return build(where, node)

    def verifier(self, where: str, node: Config) -> Any:
        """The verifier or selector of a node; `where` is its key."""
        return build(where, node, self._off_device)

    def metric(self, where: str, node: Config) -> Any:
        """The metric or extractor of a node; `where` is its key."""
        return build(where, node, self._off_device)

    def folder(self, path: Path) -> Path:
        """The output folder; a ValueError where it cannot be written."""
        return writable(path)


def study_of(config: Config, overrides: list[str], parts: Parts | None = None) -> Any:
    """Builds a `Study` in the order of what is cheap to refuse; ValueErrors say what is wrong.

    `parts` makes what is expensive; by default it is loaded.
    """
    from scaling.runner.study import Study

    refuse_former(config)
    check_settings(config)
    for group in ("budget", "sampler", "search", "conditions", "verifier", "scorers", "metrics", "model"):
        check_types(group, config[group])
    parts = parts or Parts(config)
    budget, sampler = build("budget", config["budget"]), build("sampler", config["sampler"])
    budget.check(sampler)
    search, conditions = build("search", config["search"]), build("conditions", config["conditions"])
    calibration = _calibration(config, len(conditions))
    output_dir, journal = parts.folder(Path(config["output_dir"])), config["journal"]
    metrics = {kind: _metrics(kind, config, parts) for kind in ("set", "per_sample", "extractors")}
    verifier, scorers, selector, names = _verifiers(config, parts)
    draft = draft_node(config["model"])
    return Study(
        denoiser=parts.model(without_draft(config["model"])),
        conditions=conditions,
        verifier=verifier,
        search=search,
        budget=budget,
        sampler=sampler,
        draft=None if draft is None else parts.model(draft, "model.draft"),
        scorers=scorers,
        selector=selector,
        extractors=metrics["extractors"],
        metrics=metrics["set"],
        per_sample=metrics["per_sample"],
        names=names,
        seed=config["seed"],
        output_dir=output_dir,
        study=config["study"],
        run=run_name(config, overrides),
        batch_size=config["batch_size"],
        block_size=config["block_size"],
        retention=journal["retention"],
        probe_sigma=journal["probe_sigma"],
        limit=journal["limit_gb"] * 1e9,
        patience=journal["patience"],
        samples=config["samples"],
        calibration=calibration,
        order=config.get("order", "conditions"),  # absent where a run was configured before there was a choice
        progress=config["progress"],
    )


def _metrics(kind: str, config: Config, parts: Parts) -> dict[str, Any]:
    nodes = config["metrics"][kind] or {}
    return {name: parts.metric(f"metrics.{kind}.{name}", node) for name, node in nodes.items()}


def shares_device(config: Config) -> bool:
    """Whether the model takes turns on the device with its judges; a ValueError where `phases` still asks for it."""
    if config.get("phases"):
        raise ValueError(
            "phases=true is gone: model.offload=model moves network, decoder and judges on and off the device in "
            "turns, under any search"
        )
    return config["model"].get("offload", "none") != "none"


def labels(config: Config) -> dict[str, str]:
    """How model, verifier and search are called: by their option, or by the class that replaced the option's own."""
    return {part: _label(config["choices"][part], part, config[part]) for part in ("model", "verifier", "search")}


def _label(choice: str, group: str, node: Config) -> str:
    option, target = find(group, choice), str(node.get("_target_", ""))
    if ":" in choice or (choice == "python" and target.endswith("verifiers.python.Python")):  # a function of one's own
        return str(node["function"] if choice == "python" else choice).rpartition(":")[2]
    if option is None:  # a user's own option, with a name of its own
        return choice
    own = option.node.get("_target_")
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


def _verifiers(config: Config, parts: Parts) -> tuple[Verifier, dict[str, Verifier], Any, dict[str, str]]:
    """What guides, what is recorded beside it, what picks afterwards (or None), and how the curve calls the parts."""
    verifier = parts.verifier("verifier", config["verifier"])
    scorers = {name: parts.verifier(f"scorers.{name}", node) for name, node in config["scorers"].items()}
    names = labels(config)
    if not (isinstance(verifier, RankSelector | SetSelector) or getattr(verifier, "selects", False)):
        return verifier, scorers, None, names
    if not scorers:
        raise ValueError(
            f"verifier={names['verifier']} picks afterwards among recorded candidates: list at least one scorer, "
            "e.g. +verifier@scorers.control=control"
        )
    first = next(iter(scorers))
    return scorers.pop(first), scorers, verifier, {**names, "verifier": first, "selector": names["verifier"]}


def build(where: str, node: Any, off_device: bool = False) -> Any:
    """Instantiates a node once per process; equal nodes are one object, so that a multirun loads a model once, and
    anew where a file that it names was edited since.

    With `off_device` its networks leave the device until they are used, for a model that shares it with its judges.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    key = json.dumps([node, inputs_of({where: node}), off_device], sort_keys=True, default=str)
    if key not in _built:
        if isinstance(node, Mapping) and "_target_" in node:
            located(where, node["_target_"])
        try:
            _built[key] = instantiate(node, _convert_="all")
            if off_device:
                from scaling.engine.placement import take_off

                take_off(_built[key])
        except InstantiationException as error:
            cause = error.__cause__ or error
            if isinstance(cause, ValueError | TypeError | OSError):
                raise ValueError(f"{where}: {' '.join(str(cause).split())}") from error
            raise
    return _built[key]


def located(where: str, target: str) -> Any:
    """A class or function by its dotted name; a ValueError says where it was looked for."""
    try:
        return resolve_name(target)
    except Exception as error:  # whatever the user's module raises as it is imported
        if missing_extra(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(
            f"{where}._target_={target} cannot be imported ({reason}); own code is looked for in {os.getcwd()} and on "
            "PYTHONPATH"
        ) from error


def writable(folder: Path) -> Path:
    """The folder, made; a ValueError where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"output_dir={folder} cannot be written to: {error.strerror}") from None
    return Path(os.path.abspath(folder))
