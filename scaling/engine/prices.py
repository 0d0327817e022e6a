"""What a forward, a decode, a score and an encoding cost in GFLOPs: each network's, counted without computing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from scaling.budget import Prices
from scaling.engine.batches import Batches
from scaling.engine.placement import networks
from scaling.engine.requests import Request
from scaling.flops import counted
from scaling.identity import digest_of
from scaling.noise import NoiseSpace
from scaling.protocols import Condition, Denoiser, Verifier
from scaling.traits import VerifierTraits

_known: dict[str, float] = {}  # what was counted in this process


def gflops_of(
    searcher: Denoiser, denoiser: Denoiser, verifier: Verifier, condition: Condition, nfe: int, final_nfe: int
) -> Prices:
    """GFLOPs of one row of each part (2 per multiply-add).

    `searcher` is the network that the search solves with, `denoiser` the one that solves winners again, `verifier` the
    guiding one and `condition` any of the study's. Networks with a cache count as over whole solves of `nfe` and
    `final_nfe`.
    """
    return Prices(
        forward=forward_gflops(searcher, nfe),
        decode=_decode(searcher),
        verify=_once("verify", verifier, lambda: _verify(verifier, searcher, condition)),
        encode=_once("encode", searcher, lambda: _encode(searcher, condition)),
        final_forward=None if searcher is denoiser else forward_gflops(denoiser, final_nfe),
        final_per_call=denoiser.forwards_per_call,
        per_call=searcher.forwards_per_call,
        images=VerifierTraits.of(verifier).images,
    )


def forward_gflops(denoiser: Denoiser, nfe: int) -> float:
    """GFLOPs of one forward of one row; of a network with a cache the mean over a whole solve of `nfe`."""
    along = getattr(denoiser, "gflops_along", None)
    gflops = float(denoiser.gflops() if along is None else along(nfe))
    if not 0 <= gflops < math.inf:
        raise ValueError(
            f"{type(denoiser).__name__}.gflops() says {gflops:g}: GFLOPs of a forward, 0 or more, are needed"
        )
    return gflops


def _once(kind: str, part: object, count: Callable[[], float]) -> float:
    """Counted once in a process; 0 where a part has no network of its own, NaN where it cannot be counted."""
    if not networks(part):
        return 0.0
    key = f"{kind} {digest_of(part)}"
    if key not in _known:
        try:
            _known[key] = count()
        except Exception:  # a run that has its results does not end by what a part of others says to a gray image
            _known[key] = math.nan
    return _known[key]


def _decode(searcher: Denoiser) -> float:
    return _once("decode", searcher, lambda: counted(lambda model: model.decode(_latents(model)), searcher))


def _verify(verifier: Verifier, searcher: Denoiser, condition: Condition) -> float:
    traits = VerifierTraits.of(verifier)

    def score(judge: Verifier, model: Denoiser) -> None:
        images = model.decode(_latents(model)) if traits.images else _latents(model)
        judge(images, [condition], images if traits.probes else None)

    return counted(score, verifier, searcher) - (_decode(searcher) if traits.images else 0.0)


def _encode(searcher: Denoiser, condition: Condition) -> float:
    """By the model's own word where it has one: text encoders are there only while prompts are encoded."""
    own = getattr(searcher, "encode_gflops", None)
    conditions: Sequence[Condition] = [condition]
    return own() if own is not None else counted(lambda model: model.encode(conditions), searcher)


def _latents(model: Denoiser) -> torch.Tensor:
    return torch.zeros(1, *model.latent_shape, device=model.device)


def seconds_of(batches: Batches, condition: Condition, space: NoiseSpace) -> Prices:
    """Seconds of one row of each part, measured in full batches here and now: the faster of two, after a first one.

    `batches` have the guiding verifier alone.
    """
    rows, times = batches.batch_size, space.times
    block = batches.encode([condition])
    requests = [
        Request(0, number, noise, times) for number, noise in enumerate(space.start(space.draw("price", range(rows))))
    ]
    costs = [batches.solve(requests, block).cost for _ in range(3)][1:]
    nfe = rows * space.nfe(times)
    return Prices(
        forward=min(cost.solve_seconds for cost in costs) / nfe / batches.denoiser.forwards_per_call,
        decode=min(cost.decode_seconds for cost in costs) / rows / max(batches.images_per_candidate, 1),
        verify=min(cost.verify_seconds for cost in costs) / rows,
        encode=block.seconds,
        per_call=batches.denoiser.forwards_per_call,
        images=batches.images_per_candidate,
    )
