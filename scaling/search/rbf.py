"""Rollover budget forcing: spend what easy steps leave over (Kim et al. 2503.19385)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.noise import NoiseSpace
from scaling.protocols import Proposal, Scored, SearchRun


@dataclass(frozen=True, kw_only=True)
class Rbf:
    """Tries one child after the other and goes on with the first whose x0 prediction beats the best so far.

    The budget that the first noises leave is shared equally by the steps. What a step leaves over is the next one's; a
    step without a better child goes on with its best and leaves nothing; the last step takes all that is left. The step
    is an SDE with g = diffusion t^2 and the marginals of the ODE.

    Args:
        budget: NFE, at least 1; set by the budget.
        initial: noises judged first, at least 1 (fewer where the budget is small).
        diffusion: above 0.
        convert: whether a flow model takes the times, the scale and the g of a variance-preserving path (beta 0.1 to
            20); other schedules have nothing to convert.

    Cost: budget, and at least the steps.
    Reads: x0, and the order of the scores.
    Source: Kim et al. 2503.19385, RBF.
    """

    size_parameter: ClassVar[str] = "budget"
    reads: ClassVar[frozenset[str]] = frozenset({"x0"})
    requires: ClassVar[frozenset[str]] = frozenset({"stochastic"})

    budget: int = 500
    initial: int = 25
    diffusion: float = 3.0
    convert: bool = True

    def __post_init__(self) -> None:
        """A ValueError names the first parameter that is out of its range."""
        checks.whole_from(1, budget=self.budget, initial=self.initial)
        checks.above(0, diffusion=self.diffusion)

    def cost(self, space: NoiseSpace) -> int:
        """Search NFE of one condition; a ValueError where it has fewer than 2 steps."""
        steps = len(space.times) - 1
        if steps < 2:
            raise ValueError(f"rbf needs at least 2 steps; nfes_per_iter={space.nfes_per_iter} gives {steps}")
        return max(self.budget, steps)

    def __call__(self, space: NoiseSpace) -> SearchRun:
        """One run in this noise space."""
        left, rounds = self.cost(space), len(space.times) - 2
        times, scales = self._grid(space)
        initial = min(self.initial, left - rounds)
        x = space.start(space.draw("candidate", range(initial)))
        state = _State(x, (yield Proposal(x, times[:1])))
        record, left = state.score, left - initial
        quota, over = left // rounds, 0
        for i in range(rounds):
            final, best = i == rounds - 1, None
            allowed, over = left if final else quota + over, 0
            for k in range(allowed):
                x = self._child(space, state, times[i : i + 2], scales[i : i + 2], space.draw(f"step {i}", k))
                child = _State(x, (yield Proposal(x, times[i + 1 : i + 3 if final else i + 2], parents=state.id)))
                left -= 1
                best = child if best is None or child.score > best.score else best
                if child.score > record:
                    record = child.score
                    if not final:
                        over = allowed - 1 - k
                        break
            assert best is not None, "every step has a child to try"
            state = best

    def _grid(self, space: NoiseSpace) -> tuple[Float[Tensor, " times"], Float[Tensor, "times 2"]]:
        """The times, and beside each the time that g sees and the scale of the space that g acts in."""
        times, schedule = space.times, space.schedule
        straight = bool(torch.allclose(schedule.alpha(times) + schedule.sigma(times), torch.ones_like(times)))
        if not (self.convert and straight):
            return times, torch.stack([times, torch.ones_like(times)], dim=1)
        r = torch.linspace(1, 0, len(times), dtype=torch.float64)
        alpha = torch.exp(-(r**2) * (20 - 0.1) / 4 - r * 0.1 / 2)
        sigma = (1 - alpha**2).sqrt()
        converted = sigma / (alpha + sigma)  # the flow time of the same signal to noise
        converted[0], converted[-1] = 1.0, 0.0
        return converted, torch.stack([r, alpha + sigma], dim=1)

    def _child(self, space: NoiseSpace, state: _State, times: Tensor, scales: Tensor, noise: Tensor) -> Tensor:
        """One step of the SDE: fresh noise of std g sqrt(dt), at most all of sigma; the rest of sigma is kept."""
        t, s = float(times[0]), float(times[1])
        (seen, _), (below, scale) = scales.tolist()
        fresh = self.diffusion * seen**2 * (seen - below) ** 0.5 / scale
        nothing = torch.zeros(1)
        ancestral = float(space.step(nothing, nothing, t, s, torch.ones(1)))  # the std that eta = 1 would add
        largest = float(space.schedule.sigma(times[1]))
        return space.step(state.x, state.x0, t, s, noise, eta=min(fresh, largest) / ancestral)


class _State:
    """The best row of an answer."""

    def __init__(self, x: Tensor, scored: Scored) -> None:
        best = int(scored.scores.argmax())
        self.x, self.x0, self.id = x[best : best + 1], scored.x0[best : best + 1], scored.ids[best : best + 1]
        self.score = float(scored.scores[best])
