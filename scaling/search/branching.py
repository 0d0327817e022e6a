"""Stochastic sampling that branches and keeps the best: what svdd, code and beam share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float, Int
from torch import Tensor

from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, SearchRun

Choose = Callable[[Tensor, int], Tensor]  # (scores, step) -> the rows to keep, `width` of them


def branch(
    space: NoiseSpace, *, width: int, children: int, block: int = 1, eta: float = 1.0, choose: Choose
) -> SearchRun:
    """Keeps `width` states; each has `children`, judged by their x0 prediction every `block` steps.

    A child is a stochastic step with `eta` in (0, 1] away; `choose` gives the rows to keep. The first choice is among
    the initial noises. With width = children = 1 it is the plain stochastic sampler: its state is draw 0 of
    `candidate`, its step i takes draw 0 of `step i`.
    """
    times, last = space.times, len(space.times) - 2
    x, parents = space.start(space.draw("candidate", range(width * children))), None
    for i in range(last):
        scored = yield Proposal(x, times[i : i + 1], score=i % block == 0, parents=parents)
        x0, parents = scored.x0, scored.ids
        if i % block == 0:
            kept = choose(scored.scores, i).repeat_interleave(children)
            x, x0, parents = x[kept], x0[kept], parents[kept]
        x = space.step(x, x0, float(times[i]), float(times[i + 1]), space.draw(f"step {i}", range(len(x))), eta)
    yield Proposal(x, times[last:], parents=parents)


def cost(space: NoiseSpace, rows: int) -> int:
    """One evaluation a row and step, whatever is judged; the last is the sampler's."""
    return cost_along(space, [rows] * (len(space.times) - 1))


def cost_along(space: NoiseSpace, rows: Sequence[int]) -> int:
    """The same where each step has rows of its own."""
    return sum(rows[:-1]) + rows[-1] * space.nfe(space.times[-2:])


def best(scores: Float[Tensor, " n"], count: int) -> Int[Tensor, " {count}"]:
    """The rows of the highest scores, best first; ties by order."""
    return scores.argsort(descending=True, stable=True)[:count]
