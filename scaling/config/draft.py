"""The model whose solves a search looks at in the model's place: `model.draft`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from scaling.config.catalog import find
from scaling.config.places import CONF

CARRIED = ("guidance_scale", "device")  # what another option takes over from the model, where both have it


def without_draft(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model's own options."""
    return {key: value for key, value in model.items() if key != "draft"}


def draft_node(model: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the draft is built from; None where there is none.

    `model.draft` names another option of the group (`sit_b` for `sit_xl`), or says which of the model's options are
    other ones: `{guidance_scale: 1}`. A ValueError names what is neither.
    """
    said, own = model.get("draft"), without_draft(model)
    if said is None:
        return None
    if isinstance(said, Mapping):
        if said.get("_target_", own["_target_"]) == own["_target_"]:
            return own | dict(said)
        return dict(said)
    other = _option(str(said))
    return _resolved(other | {key: own[key] for key in CARRIED if key in own and key in other})


def _resolved(model: dict[str, Any]) -> dict[str, Any]:
    """With what refers to other options of the model (`${model.device}`) in its place."""
    from omegaconf import OmegaConf

    node: Any = OmegaConf.to_container(OmegaConf.create({"model": model}), resolve=True)
    return dict(node["model"])


def _option(name: str) -> dict[str, Any]:
    """The model of an option, with what it inherits from others of its group."""
    option = find("model", name)
    if option is None:
        known = sorted(each.stem for each in (CONF / "model").glob("*.yaml"))
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise ValueError(f"model.draft={name} is no option of model; the nearest is {near[0]}")
    return option.whole
