"""Any text-to-image pipeline of diffusers by its id, step by step: for every search.

Latents are in the layout that the pipeline's own loop has (packed tokens, where it packs them).
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scaling.models.open_call import OpenCall, grid_of, set_scheduler
from scaling.models.pipeline_arguments import Asked
from scaling.models.pipeline_base import PROBE, PipelineBase, plain_config
from scaling.models.pipeline_facts import Facts, OwnCall, check, facts_file, read_facts, write_facts
from scaling.models.scheduler_rule import SchedulerRule
from scaling.models.schedulers import DENSE, first_order, rule_of
from scaling.models.vae import rows_at_once
from scaling.protocols import Encoded, Prediction, Schedule

KEPT = 64  # calls that stay open, the least recently used closed first: a batch's prompts at least


@dataclass(kw_only=True, eq=False)
class Pipeline(PipelineBase):
    """A denoiser over a pipeline's own call, kept open; see `PipelineBase` for its arguments.

    Rows of one prompt and one time go together, those of different prompts apart: some pipelines answer differently
    in company. Whole solves with Euler are the pipeline's own where its scheduler is deterministic and of first order;
    another is replaced by the one of first order with the same table and spacing. When it is loaded it is held against
    the pipeline's own call (`check=false` leaves that out).
    """

    version: ClassVar[int] = 2  # 1 cut parts of a solve otherwise, and heeded options of other schedulers' classes
    execution_only: ClassVar[frozenset[str]] = frozenset({"chunk", "prompt_cache", "device"})
    chunk: int | None = None
    check: bool = True

    def __post_init__(self) -> None:
        if "eta" in self.options:
            raise ValueError(
                "model.options.eta: the search steps here; the scheduler's own steps are model=whole_pipeline's"
            )
        super().__post_init__()
        set_scheduler(self.pipe, first_order(self.pipe.scheduler))
        self._open: OrderedDict[tuple[int, int], OpenCall] = OrderedDict()
        limit = self.pipe.scheduler.config.get("original_inference_steps")  # of LCM and TCD
        self._declared = min(DENSE, limit or DENSE, int(self.pipe.scheduler.config.get("num_train_timesteps") or DENSE))
        if self._declared < 4:
            self._declared = DENSE  # OmniGen counts its training in one timestep
        schedule = self._own_schedule()
        self.schedule: Schedule = schedule
        self.rule = schedule.rule
        self._identity |= {"steps": "open call", "solver": type(self.pipe.scheduler).__name__}
        weakref.finalize(self, _close, self._open)
        path = facts_file(self._cache, {**self._identity, "device": self.device.type, "check": self.check})
        facts = read_facts(path, self.device)
        if facts is None:
            self._find_out()
            write_facts(path, self._facts)
        else:
            self._recall(facts)
        self._pairs = self._facts.rows > 1

    def _own_schedule(self) -> PipelineSchedule:
        """By the pipeline's own grids; one that fails is asked again with a prompt alone, not a list of one."""
        arguments, device = self.arguments, self.device  # no reference to this model, which would keep it alive

        def call(steps: int) -> dict[str, Any]:
            return arguments(PROBE, 1, steps, device)

        try:
            return PipelineSchedule(self.pipe, call, self._declared)
        except ValueError:
            arguments.alone = True
            return PipelineSchedule(self.pipe, call, self._declared)

    def _find_out(self) -> None:
        rows, seen = self._remember(), self.networks
        self._facts = Facts(
            self._latents, sorted(seen.names), self.forwards_per_call, self._gflops, seen.memory, rows, None, [1, 1]
        )  # fmt: skip
        with torch.no_grad():
            size = list(self._decoded(self._latents.float().clone())[0].shape[-2:])
        self._facts = replace(self._facts, size=size)
        own = OwnCall(self.pipe, self.networks, lambda steps: self._call(PROBE, 1, steps), self.images)
        noise = self._latents.float() / self.rule.last_scale * self.rule.first_scale  # that its own call begins with
        together, decoded = check(self, own, PROBE.prompt, noise, self.dtype) if self.check else (True, True)
        self._facts = replace(self._facts, rows=rows if together else 1, decoded=None if decoded else 1)
        _close(self._open)

    def _recall(self, facts: Facts) -> None:
        self._facts, self._latents, self.latent_shape = facts, facts.latents, tuple(facts.latents.shape[1:])
        self.forwards_per_call, self._gflops = facts.forwards_per_call, facts.gflops
        self.networks.names, self.networks.memory = set(facts.names), facts.memory
        self._learn()

    def __call__(self, x: Float[Tensor, "n *latent"], t: Float[Tensor, " n"], encoded: Encoded) -> Prediction:
        """x0 and eps at the times t, in float32; gradients flow to x where it asks for them."""
        if t.ndim != 1:
            raise ValueError("model=pipeline is asked at a time a row: whole solves are WholePipeline's")
        x = x.to(self.device, torch.float32)
        groups = self._groups(list(zip(encoded["prompt"].tolist(), t.tolist(), strict=True)))
        most = self._facts.rows
        parts = [(key, rows[i : i + most]) for key, rows in groups for i in range(0, len(rows), most)]
        answers = [self._ask(prompt, x[rows], time) for (prompt, time), rows in parts]
        order = torch.tensor([row for _, rows in parts for row in rows], device=x.device).argsort()
        return Prediction(*(torch.cat(values)[order] for values in zip(*(a[:2] for a in answers), strict=True)))

    def decode(self, x0: Float[Tensor, "n *latent"]) -> Float[Tensor, "n 3 h w"]:
        """Images in [0, 1], float32, as the pipeline decodes them; no network of its loop runs."""
        rows = min(
            rows_at_once(self.chunk, *self._facts.size), self._facts.decoded or self._facts.rows, self._facts.rows
        )
        parts = x0.to(self.device, torch.float32).split(rows)
        return torch.cat([self._decoded(part) for part in parts])

    def _call(self, prompt: Asked, rows: int, steps: int) -> dict[str, Any]:
        return self.arguments(prompt, rows, steps, self.device)

    def _ask(self, prompt: int, x: Tensor, t: float) -> Prediction:
        call, before = self._opening(prompt, len(x)), self.networks.rows
        try:
            output = call(self.rule.handed(x, t), self.rule.own_time(t).to(self.device))
        except BaseException:
            self._open.pop((prompt, len(x)), None)
            raise
        made = self.networks.rows - before
        if made != len(x) * self.forwards_per_call:
            raise ValueError(
                f"{type(self.pipe).__name__} made {made} forwards at time {t:.3f} for {len(x)} rows, where "
                f"{len(x) * self.forwards_per_call} were expected: its guidance changes with time; switch that off in "
                f"model.options, or take scaling.models.whole_solve.WholePipeline"
            )
        return self.rule.predict(output.float(), x, t)

    def _opening(self, prompt: int, rows: int) -> OpenCall:
        """The open call for so many rows of a prompt, at a step."""
        call = self._open.pop((prompt, rows), None)
        if call is not None and call.evaluations >= self._declared - 1:  # as far as its own loop would go
            call.close()
            call = None
        if call is None:
            call = self._begun(self._prompts[prompt], rows)
        self._open[prompt, rows] = call
        while len(self._open) > KEPT:
            self._open.popitem(last=False)[1].close()
        return call

    def _begun(self, prompt: Asked, rows: int) -> OpenCall:
        call = OpenCall(self.pipe, self._call(prompt, rows, self._declared), self.networks)
        with self.networks.answering(rows):
            call.begin()
        return call

    def _decoded(self, x0: Tensor) -> Tensor:
        return self.images(self._begun(PROBE, len(x0)).finish(x0 * self.rule.last_scale))

    def _remember(self) -> int:
        """Hears one row and two rows of a first step; returns how many rows a call may have."""
        one, two = self._probe(), None
        call = OpenCall(self.pipe, self._call(PROBE, 2, 2), self.networks)
        try:
            with self.networks.heard() as two:
                call.begin()
        except ValueError:
            two = None  # some cannot take two prompts
        call.close()
        grows = two is not None and len(two) == len(one) and self.networks.remember(one, two)
        if not grows:
            self.networks.remember(one, None)
        return DENSE if grows else 1


class PipelineSchedule:
    """A scheduler's rule with the grids that the pipeline and its scheduler cut for whole solves."""

    def __init__(self, pipe: Any, call: Callable[[int], dict[str, Any]], declared: int) -> None:
        """`call` gives the arguments for so many steps; the rule is read from the grid of `declared` ones."""
        self._pipe, self._call, self._most = pipe, call, declared
        self.rule: SchedulerRule = rule_of(*grid_of(pipe, call(declared)))
        self.first_scale = self.rule.first_scale
        self._grids: dict[int, Tensor] = {}

    def __repr__(self) -> str:
        """By content, since runs are named by it, in every process."""
        config = json.dumps(plain_config(self._pipe.scheduler.config), sort_keys=True, default=str)
        digest = hashlib.sha256(config.encode()).hexdigest()[:32]
        return f"PipelineSchedule({type(self._pipe.scheduler).__name__}, {digest})"

    def alpha(self, t: Tensor) -> Tensor:
        """The rule's signal coefficient at times t."""
        return self.rule.alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        """The rule's noise coefficient at times t."""
        return self.rule.sigma(t)

    def grid(self, steps: int, start: float = 1.0, stop: float = 0.0) -> Float[Tensor, " {steps}+1"]:
        """Its own for a whole solve; a part has equal strides, along such a grid where that bends time.

        A ValueError where its own does not fall strictly, or begins far under time 1.
        """
        if (start, stop) != (1.0, 0.0):
            if not self.rule.bends:
                return torch.linspace(start, stop, steps + 1, dtype=torch.float64)
            whole = round(steps / (start - stop))  # in proportion: some bend time by their number of steps
            return _part(self.grid(min(whole, self._most)), steps, start, stop)
        if steps not in self._grids:
            grid = self.rule.times(*grid_of(self._pipe, self._call(steps)))
            covers = min(0.75, 1 - 2 / steps) <= float(grid[0]) < 1 + 1e-6
            if len(grid) != steps + 1 or bool((grid.diff() >= 0).any()) or not covers:
                shown = [round(float(t), 3) for t in grid[:3]]
                raise ValueError(
                    f"{type(self._pipe.scheduler).__name__} cuts {steps} steps into {len(grid) - 1} that begin with "
                    f"{shown}: take another number, or model.scheduler_options.timestep_spacing=trailing"
                )
            self._grids[steps] = grid.clamp(max=1)
        return self._grids[steps]


def _part(whole: Tensor, steps: int, start: float, stop: float) -> Tensor:
    """Equal strides along a grid, from start to stop."""
    known, places = whole.flip(0).numpy(), np.linspace(0, 1, len(whole))
    ends = np.interp([start, stop], known, places)
    part = torch.from_numpy(np.interp(np.linspace(float(ends[0]), float(ends[1]), steps + 1), places, known))
    part[0], part[-1] = start, stop
    return part


def _close(calls: OrderedDict[tuple[int, int], OpenCall]) -> None:
    while calls:
        calls.popitem()[1].close()
