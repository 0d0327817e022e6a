"""What a search will spend on a condition, found by running it on made-up answers: no model is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from scaling.engine.episode import row_nfe
from scaling.engine.ladder import FittedSearch
from scaling.engine.retention import BYTES
from scaling.protocols import Proposal, Scored, SearchTraits
from scaling.runner.study import Study


@dataclass(frozen=True)
class Spending:
    """Of one condition, up to the cap of a search's last rung."""

    nfe: int
    clean: int  # rows that end clean, with latents to keep
    between: int  # rows that end above time 0


def spending(study: Study, fitted: FittedSearch) -> Spending:
    """Exact where the cost of a search does not follow its scores; all answers are worth the same here."""
    space = study.space(next(iter(study.conditions)))
    run = fitted.search(space)
    nfe = clean = rows = 0
    try:
        proposal = next(run)
        while nfe + (cost := row_nfe(space, proposal) * len(proposal)) <= fitted.nfe:
            nfe, first, rows = nfe + cost, rows, rows + len(proposal)
            clean += len(proposal) * bool(proposal.times[-1] == 0)
            proposal = run.send(_made_up(proposal, first))
    except StopIteration:
        pass
    run.close()
    return Spending(nfe, clean, rows - clean)


def kept_bytes(study: Study, fitted: FittedSearch, spent: Spending, keep: str) -> float:
    """What the journal keeps of a condition's samples; with `winners` the expected number of records in a row."""
    row = math.prod(study.denoiser.latent_shape) * BYTES
    reads = len(SearchTraits.of(fitted.search).reads & {"x", "x0"})
    if reads:
        return (spent.clean + reads * spent.between) * row
    views = 2 if study.probe is not None and SearchTraits.of(fitted.search).open_loop else 1
    records = sum(1 / k for k in range(1, spent.clean + 1))
    return {"latents": spent.clean * views, "winners": records, "scores": 0}[keep] * row


def _made_up(proposal: Proposal, first: int) -> Scored:
    count = len(proposal)
    gradient = torch.zeros_like(proposal.x) if proposal.gradient else None
    return Scored(proposal.x, proposal.x, torch.zeros(count), torch.arange(first, first + count), gradient)
