"""Drives one search by itself, in the open: no journal, no batching, every denoiser call counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from scaling.models.gaussian_mixture import GaussianMixture
from scaling.noise import NoiseSpace
from scaling.protocols import Condition, Proposal, Schedule, Scored
from scaling.sampling import Euler, Sampler
from scaling.schedules import VariancePreserving
from scaling.traits import SearchTraits

COARSE = VariancePreserving.linear_betas(2e-3, 0.4, 50)  # DDPM's path in 50 steps: a short table is a fast test

Score = Callable[[Tensor], Tensor]  # clean samples -> one score a row, differentiable where a gradient is asked for


@dataclass
class Run:
    """What a search proposed and was told, and what that cost: as predicted (`nfe`) and as counted (`calls`)."""

    proposals: list[Proposal] = field(default_factory=list)
    answers: list[Scored] = field(default_factory=list)  # as they were given
    handed: list[Scored] = field(default_factory=list)  # the same, as the search has left them
    nfe: int = 0
    calls: int = 0
    ended: bool = False  # by itself, not closed by the cap
    value: object = None  # what the generator returned

    @property
    def clean(self) -> tuple[Tensor, Tensor, Tensor]:
        """x, score and id of all candidates that ended at time 0 with a score."""
        pairs = zip(self.proposals, self.answers, strict=True)
        done = [a for p, a in pairs if float(p.times[-1]) == 0 and p.score]
        return (
            torch.cat([a.x for a in done]),
            torch.cat([a.scores for a in done]),
            torch.cat([a.ids for a in done]),
        )


def model(schedule: Schedule | None = None) -> GaussianMixture:
    """Three Gaussians in the plane."""
    means = [[-2.0, 0.5], [1.0, 1.5], [1.5, -1.0]]
    return GaussianMixture(means, 0.4, weights=[0.5, 0.3, 0.2], schedule=schedule)


def target(x0: Tensor) -> Tensor:
    """A score that is highest, 0, at (1.5, -1)."""
    return -(x0.flatten(1) - torch.tensor([1.5, -1.0])).square().sum(1)


def space_of(
    denoiser: GaussianMixture, *, sampler: Sampler | None = None, nfe: int = 20, seed: int = 0, key: str | None = None
) -> NoiseSpace:
    condition_key = Condition().key if key is None else key
    return NoiseSpace(seed, condition_key, denoiser.latent_shape, denoiser.schedule, sampler or Euler(), nfe)


def price(space: NoiseSpace, proposal: Proposal) -> int:
    """NFE of one row; a gradient recomputes every call of the solve."""
    return space.nfe(proposal.times, proposal.score) * (2 if proposal.gradient else 1)


def drive(
    search: object,
    space: NoiseSpace,
    denoiser: GaussianMixture | None = None,
    score: Score = target,
    cap: int = 10**9,
    stop_after: int = 10**9,
    condition: Condition = Condition(),  # noqa: B008
) -> Run:
    """Runs a search until it ends, the next proposal would exceed `cap`, or `stop_after` proposals are answered."""
    denoiser = denoiser or model(space.schedule)
    run, generator = Run(), search(space)
    proposal = next(generator, None)
    while proposal is not None and len(run.proposals) < stop_after:
        affordable = (cap - run.nfe) // price(space, proposal)
        if affordable < len(proposal.x):
            if not SearchTraits.of(search).open_loop or affordable == 0:
                break
            proposal = replace(proposal, x=proposal.x[:affordable])
        answer = _answer(denoiser, space, proposal, score, condition, run)
        run.proposals.append(proposal)
        run.answers.append(copied(answer))
        run.handed.append(answer)
        run.nfe += price(space, proposal) * len(proposal.x)
        try:
            proposal = generator.send(answer)
        except StopIteration as end:
            proposal, run.ended, run.value = None, True, end.value
    generator.close()
    return run


def copied(answer: Scored) -> Scored:
    """The same answer in tensors of its own."""
    gradient = None if answer.gradient is None else answer.gradient.clone()
    return Scored(answer.x.clone(), answer.x0.clone(), answer.scores.clone(), answer.ids.clone(), gradient)


def _answer(
    denoiser: GaussianMixture, space: NoiseSpace, proposal: Proposal, score: Score, condition: Condition, run: Run
) -> Scored:
    n = len(proposal.x)
    encoded = denoiser.encode([condition] * n)

    def denoise(x, t):
        def call(x, t):
            run.calls += len(x)
            return denoiser(x, t, encoded)

        return checkpoint(call, x, t, use_reentrant=False) if proposal.gradient else call(x, t)

    x = proposal.x.clone().requires_grad_(proposal.gradient)
    with torch.set_grad_enabled(proposal.gradient):
        solved = space.sampler.advance(denoise, space.schedule, x, proposal.times.expand(n, -1), proposal.score)
        scores = score(solved.x0) if proposal.score else torch.full((n,), torch.nan)
    gradient = torch.autograd.grad(scores.sum(), x)[0] if proposal.gradient else None
    first = sum(len(a.ids) for a in run.answers)
    ids = torch.arange(first, first + n)
    return Scored(solved.x.detach(), solved.x0.detach(), scores.detach(), ids, gradient)
