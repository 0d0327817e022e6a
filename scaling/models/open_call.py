"""A pipeline's own call, kept open: a function (x, own time) -> guided output, for a fixed batch of prompts.

Only the scheduler is replaced. Its `timesteps` go on for as long as they are asked for, its `step` hands the guided
output out and takes the next sample in; guidance, masks, packing and signs between them stay the pipeline's own.
Leaving the loop with a clean sample decodes it as the pipeline decodes.
"""

from __future__ import annotations

import copy
import functools
import inspect
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from scaling.models.pipeline_networks import LoopNetworks

PATIENCE = 10.0  # seconds that a call is given to end when it is closed
ANSWER = 3600.0  # seconds that a call is given from one step to the next

NextTime = Callable[["Tensor"], Tensor | None]  # from the real timesteps to the next of the loop; None ends it
Step = Callable[[Tensor, Tensor], Tensor]  # (guided output, sample) -> the next sample


class _Closed(BaseException):
    """Thrown inside the pipeline, so that no `except Exception` of its own keeps it."""


class _Stepped(tuple[Any, Any]):
    """What a step gives, in both of the forms that pipelines read."""

    prev_sample = pred_original_sample = denoised = property(lambda self: self[0])


class _Times:
    """Stands for the scheduler's timesteps in the loop; whatever else is asked of it, the real ones answer."""

    def __init__(self, real: Tensor, next_time: NextTime) -> None:
        self._real, self._next = real, next_time

    def __len__(self) -> int:
        return len(self._real)

    def __iter__(self) -> Iterator[Tensor]:
        while (time := self._next(self._real)) is not None:
            yield time

    def __getitem__(self, key: Any) -> Any:
        return _Times(self._real[key], self._next) if isinstance(key, slice) else self._real[key]

    def to(self, *args: Any, **options: Any) -> _Times:
        return _Times(self._real.to(*args, **options), self._next)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def opened_scheduler(scheduler: Any, next_time: NextTime, step_with: Step) -> Any:
    """A copy of a scheduler whose loop and steps are in other hands; of a subclass, so that pipelines know it."""
    base = type(scheduler)

    class Opened(base):  # type: ignore[misc, valid-type]
        init_noise_sigma = 1.0

        @property
        def timesteps(self) -> Any:
            real = self.__dict__["_real"]
            return _Times(real, next_time) if self.__dict__.get("_ready") else real

        @timesteps.setter
        def timesteps(self, value: Any) -> None:
            self.__dict__["_real"] = value

        @functools.wraps(base.set_timesteps)
        def set_timesteps(self, *args: Any, **options: Any) -> None:
            self.__dict__["_ready"] = False
            base.set_timesteps(self, *args, **options)
            self.__dict__["_ready"] = True

        def scale_model_input(self, sample: Tensor, *args: Any, **options: Any) -> Tensor:
            return sample

        @functools.wraps(base.step)
        def step(self, model_output: Any, timestep: Any, sample: Any, *args: Any, **options: Any) -> Any:
            x = step_with(model_output, sample)
            return _Stepped((x, x))

    Opened.__name__ = base.__name__
    opened = copy.deepcopy(scheduler)
    real = opened.__dict__.pop("timesteps", None)
    opened.__class__ = Opened
    opened.timesteps = real
    return opened


def set_scheduler(pipe: Any, scheduler: Any) -> None:
    """Gives a pipeline another scheduler, and the pipelines within it (of two stages) that went by the same."""
    for part in _within(pipe).values():
        part.scheduler = scheduler
    pipe.scheduler = scheduler


def shell(pipe: Any, scheduler: Any) -> Any:
    """The same networks under a scheduler of its own: the loop of an open call reads the pipeline's at every step."""
    own = copy.copy(pipe)
    for name, part in _within(pipe).items():
        setattr(own, name, shell(part, scheduler))
    own.scheduler = scheduler
    return own


def _within(pipe: Any) -> dict[str, Any]:
    scheduler, parts = pipe.scheduler, vars(pipe).items()
    return {name: part for name, part in parts if name != "scheduler" and getattr(part, "scheduler", 0) is scheduler}


def grid_of(pipe: Any, arguments: Mapping[str, Any]) -> tuple[Any, Tensor]:
    """The scheduler, its timesteps set, and the times that a call goes through; it is left before its first forward.

    Raises a ValueError with the pipeline's name for whatever the call raises.
    """
    seen: queue.Queue[Tensor | BaseException] = queue.Queue()

    def leave(real: Tensor) -> None:
        seen.put(real)
        raise _Closed

    def call() -> None:
        torch.set_grad_enabled(False)
        try:
            _called(shell(pipe, scheduler), arguments)
            seen.put(ValueError("it went through no timesteps of its scheduler"))
        except _Closed:
            pass
        except BaseException as error:
            seen.put(error)

    scheduler = opened_scheduler(pipe.scheduler, leave, lambda output, sample: sample)
    threading.Thread(target=call, daemon=True).start()
    found = _awaited(seen, pipe)
    if isinstance(found, BaseException):
        raise said(pipe, found, _wanting(pipe, arguments)) from found
    return scheduler, found.detach().cpu()


def _wanting(pipe: Any, arguments: Mapping[str, Any]) -> str:
    """What a call that fails before its first step may lack: some take images that no search here gives."""
    takes = {"image", "control_image"} & set(inspect.signature(type(pipe).__call__).parameters) - set(arguments)
    return f" (its call takes {' and '.join(sorted(takes))}, which nothing here gives)" if takes else ""


def _awaited(answers: queue.Queue[Any], pipe: Any) -> Any:
    try:
        return answers.get(timeout=ANSWER)
    except queue.Empty:
        raise ValueError(f"{type(pipe).__name__} has come to no step in {ANSWER:g} seconds") from None


def said(pipe: Any, error: BaseException, more: str = "") -> BaseException:
    """An exception of a call as one line with the pipeline's name; what asks for less memory stays as it is."""
    if isinstance(error, torch.OutOfMemoryError) or not isinstance(error, Exception):
        return error
    text = " ".join(str(error).split())[:300]
    name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return ValueError(f"{type(pipe).__name__}: {name}{text}{more}")


class OpenCall:
    """One call in a thread of its own, which waits in the scheduler's step between two evaluations."""

    def __init__(self, pipe: Any, arguments: Mapping[str, Any], networks: LoopNetworks) -> None:
        """`arguments` are those of the call, prompts included, which fix the batch; nothing runs yet."""
        self._arguments, self._networks = arguments, networks
        self._pipe = shell(pipe, opened_scheduler(pipe.scheduler, self._next_time, self._step))
        self._inbox: queue.Queue[tuple[Tensor, Tensor | None, bool] | None] = queue.Queue()
        self._outbox: queue.Queue[tuple[str, Any, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._time: Tensor | None = None
        self._begun, self._stepped = False, True
        self.evaluations = 0

    def begin(self) -> tuple[Tensor, Tensor]:
        """Goes to the first step; returns the output and the sample there, which are the pipeline's own."""
        self._thread.start()
        _, output, sample = self._answer(more=_wanting(self._pipe, self._arguments))
        return output, sample

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        """The guided output for a sample as the loop has it, at a time of the scheduler's; gradients pass."""
        self.evaluations += 1
        self._inbox.put((x, time, torch.is_grad_enabled()))
        return self._answer()[1]

    def finish(self, x0: Tensor) -> Any:
        """Leaves the loop with a clean sample and returns what the pipeline makes of it."""
        self._inbox.put((x0, None, torch.is_grad_enabled()))
        _, result, _ = self._answer(last=True)
        self._thread.join(PATIENCE)
        return result

    def close(self) -> None:
        """Ends the call, wherever it is."""
        if self._thread.is_alive():
            self._inbox.put(None)
            self._thread.join(PATIENCE)

    def _answer(self, last: bool = False, more: str = "") -> tuple[str, Any, Any]:
        kind, first, second = _awaited(self._outbox, self._pipe)
        if kind == "error":
            raise said(self._pipe, first, more) from first
        if (kind == "done") != last:
            name = type(self._pipe).__name__
            raise ValueError(f"{name} {'left its loop early' if kind == 'done' else 'does not leave its loop'}")
        return kind, first, second

    # In the pipeline's thread.

    def _run(self) -> None:
        torch.set_grad_enabled(False)
        try:
            self._outbox.put(("done", _called(self._pipe, self._arguments), None))
        except _Closed:
            pass
        except BaseException as error:
            self._networks.leave()
            self._outbox.put(("error", error, None))

    def _next_time(self, real: Tensor) -> Tensor | None:
        if not self._begun:
            self._begun, self._time = True, real[0]
        elif not self._stepped:
            raise ValueError("its loop goes on without a step of its scheduler")
        self._stepped = False
        if self._time is not None:
            self._networks.enter()
        return self._time

    def _step(self, output: Tensor, sample: Tensor) -> Tensor:
        self._networks.leave()
        self._stepped = True
        self._outbox.put(("step", output, sample))
        item = self._inbox.get()
        if item is None:
            raise _Closed
        x, self._time, gradient = item
        torch.set_grad_enabled(gradient)
        # tensors of inference mode, which ends at the thread, would refuse a pipeline that writes into its latents
        return x.to(sample.device, sample.dtype).clone() if x.is_inference() else x.to(sample.device, sample.dtype)


def _called(pipe: Any, arguments: Mapping[str, Any]) -> Any:
    """The pipeline's call without its `no_grad`; lists are copied, since some pipelines write into them."""
    call = getattr(type(pipe).__call__, "__wrapped__", type(pipe).__call__)
    return call(pipe, **{k: [*v] if isinstance(v, list) else v for k, v in arguments.items()})
