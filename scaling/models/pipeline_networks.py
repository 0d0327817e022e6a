"""The networks that a pipeline asks in its loop: counted, and answered for where only the way there is wanted."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from scaling.models.row_trees import grown, growth


class LoopNetworks:
    """All networks of a pipeline, told apart by who is asked between a time and its step.

    `rows` are the rows of all forwards so far; while `flops` is a list, each forward appends its own.
    """

    def __init__(self, components: Mapping[str, Any]) -> None:
        self.rows = 0
        self.flops: list[int] | None = None
        self.names: set[str] = set()  # of those that were asked in the loop
        self._in_loop = False
        self._known: frozenset[str] | None = None
        self._heard: list[Any] | None = None
        self.memory: list[list[Any]] = []  # answers, and their growths
        self._answers: Iterator[Any] | None = None
        for name, part in components.items():
            if isinstance(part, nn.Module):
                part.forward = self._wrapped(name, part.forward)

    def enter(self) -> None:
        """The pipeline is on its way to a step: what it asks now is a network of its loop."""
        self._in_loop = True

    def leave(self) -> None:
        """What is called from here on is outside the pipeline's loop."""
        self._in_loop = False

    @contextmanager
    def whole_call(self) -> Iterator[None]:
        """A call of the pipeline's own, in which the networks that are known to be the loop's are counted."""
        self._known = frozenset(self.names)
        self.enter()
        try:
            yield
        finally:
            self.leave()
            self._known = None

    @contextmanager
    def heard(self) -> Iterator[list[Any]]:
        """The outputs of what is asked in here, in order."""
        self._heard = []
        try:
            yield self._heard
        finally:
            self._heard = None

    def remember(self, one: list[Any], two: list[Any] | None) -> bool:
        """What an evaluation of one row and one of two rows answered (None: two are never asked for).

        Returns whether answers for other numbers of rows follow from them.
        """
        growths = [None] * len(one) if two is None else [growth(a, b) for a, b in zip(one, two, strict=True)]
        self.memory = [[answer, how] for answer, how in zip(one, growths, strict=True)]
        return two is None or None not in growths

    @contextmanager
    def answering(self, rows: int) -> Iterator[None]:
        """No network runs: each answers with what it answered before, for so many rows."""
        answers = [one if how is None else grown(one, how, rows) for one, how in self.memory]
        self._answers = iter(answers)
        try:
            yield
        finally:
            self._answers = None

    def _wrapped(self, name: str, forward: Any) -> Any:
        @functools.wraps(forward)  # some ask for its signature
        def answer(*args: Any, **options: Any) -> Any:
            if not self._in_loop or (self._known is not None and name not in self._known):
                return forward(*args, **options)
            if self._answers is not None:
                return next(self._answers)
            self.names.add(name)
            output = self._asked(forward, args, options)
            self.rows += leading(output)
            if self._heard is not None:
                self._heard.append(output)
            return output

        return answer

    def _asked(self, forward: Any, args: Any, options: Any) -> Any:
        if self.flops is None:
            return forward(*args, **options)
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:  # here, since a mode is its thread's
            output = forward(*args, **options)
        self.flops.append(counter.get_total_flops())
        return output


def leading(output: Any) -> int:
    """The rows of a network's output: tuples and dictionaries are fields, lists have an entry a row."""
    if isinstance(output, torch.Tensor):
        return output.shape[0] if output.ndim else 1
    if isinstance(output, Mapping):
        return leading(next(iter(output.values())))
    return len(output) if isinstance(output, list) else leading(output[0])
