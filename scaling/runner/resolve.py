"""How much of the candidates to keep: what that takes on disk, said beforehand, and less where it is too much."""

from __future__ import annotations

import math

from scaling.engine.retention import BYTES, size
from scaling.protocols import SearchTraits
from scaling.runner.study import Study


def latents_bytes(study: Study) -> int:
    """An upper estimate of what the clean latents of all candidates take, with the predictions for later verifiers."""
    candidates = sum(fitted.nfe for fitted in study.searches()) // study.budget.nfes_per_iter
    views = 2 if study.probe is not None and SearchTraits.of(study.search).open_loop else 1
    return len(study.conditions) * candidates * views * math.prod(study.denoiser.latent_shape) * BYTES


def what_to_keep(study: Study) -> tuple[str, str]:
    """What the journal keeps, and a line on what that takes; `winners` where all latents would pass the limit."""
    needed = latents_bytes(study)
    if SearchTraits.of(study.search).reads & {"x", "x0"}:
        return study.keep, f"the search reads its candidates again: the journal grows by up to {size(needed)}"
    if study.keep != "latents":
        return study.keep, ""
    if needed <= study.limit:
        return "latents", f"all candidates are kept for later verifiers: up to {size(needed)}"
    return (
        "winners",
        f"all candidates would take {size(needed)}, more than journal.limit_gb={study.limit / 1e9:g}: only winners are "
        "kept, so a later verifier has to denoise again; list it as a scorer now, or raise the limit",
    )
