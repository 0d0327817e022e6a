"""Fixed-shape batches on one device: what is padded alike is answered alike, whatever its company."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from scaling.engine.placement import DECODER, MODEL, Residents, extractor_part, scorer_part
from scaling.identity import identity_of
from scaling.journal.stream import digest
from scaling.protocols import Condition, Denoiser, Encoded, Features, Prediction, Verifier
from scaling.sampling import Sampler
from scaling.stop import check_stop

BATCHES_A_PHASE = 16  # whose images wait on the host, 0.8 GB for 64 rows at 256 px


@dataclass(frozen=True)
class Row:
    """One candidate to compute: its place in the block, its number there, and what was proposed."""

    place: int
    number: int
    x: Tensor  # [*latent] at times[0]
    times: Tensor  # [steps+1] float64
    score: bool = True
    gradient: bool = False
    record: tuple[int | float, ...] = ()  # what the journal says of it beside the answers, see lives.RECORD

    @property
    def shape(self) -> tuple[int, bool, bool, bool]:
        """Rows of one shape may share a batch."""
        return len(self.times), self.score, self.gradient, self.times[-1].item() == 0


@dataclass
class Paid:
    """What this process really spent, padding included."""

    nfe: int = 0
    forwards: int = 0
    backwards: int = 0
    decodes: int = 0
    verifier_calls: int = 0
    padded_rows: int = 0
    rows: int = 0


Columns = dict[str, np.ndarray]
Judge = Callable[[Tensor, list[Condition], Tensor | None], Mapping[str, Tensor]]


class Batches:
    """Denoises, decodes and scores rows of one block in batches of `size`, the last one padded by repetition."""

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: Sampler,
        scorers: Mapping[str, Verifier],
        extractors: Mapping[str, Features],
        size: int,
        probe: float | None = None,
        residents: Residents | None = None,
    ) -> None:
        """`probe` is a noise level whose x0 prediction is given back although no scorer here looks at it.

        With `residents` denoising, decoding and scoring each have the device to themselves, one after the other.
        """
        self.phases, self._bring = residents is not None, residents.bring if residents else _stay
        self.denoiser, self.sampler, self.size = denoiser, sampler, size
        self.shape = size  # rows that really go at a time: halved where the memory ends,
        self.judged = size  # and apart from it, since images need more: rows that are decoded and judged at a time
        self.scorers, self.extractors = dict(scorers), dict(extractors)
        self.score_columns = {name: f"score/{digest(identity_of(v))}" for name, v in self.scorers.items()}
        probes = {v.probe for v in self.scorers.values() if v.probe is not None}
        if len(probes) > 1:
            raise ValueError(f"verifiers of one run must look at one noise level, not at {sorted(probes)}")
        self.probe = next(iter(probes), probe)
        self.views = 1 + bool(probes)  # images that are decoded for a candidate's scores
        self.paid = Paid()
        self.on_halved: Callable[[], None] = lambda: None
        self._conditions: Sequence[Condition] = ()
        self._encoded: Encoded = {}

    @property
    def rows(self) -> int:
        """The fewest rows that went at a time for want of memory; `size` where all fitted."""
        return min(self.shape, self.judged)

    @property
    def reach(self) -> int:
        """Rows that are decoded before they are scored: many where the networks take turns on the device."""
        return self.size * (BATCHES_A_PHASE if self.phases else 1)

    @property
    def probe_column(self) -> str:
        """Where the journal keeps the predictions at the probed noise level."""
        return f"probe/{self.probe:g}"

    def open(self, conditions: Sequence[Condition]) -> None:
        """Encodes the conditions of a block, once for all their candidates."""
        self._conditions = conditions
        with torch.inference_mode():
            self._encoded = self.denoiser.encode(conditions)

    def solve(self, rows: Sequence[Row]) -> Columns:
        """The answers for at most `size` rows of one shape: x, x0, probe, gradient, and each scorer's column."""
        check_stop()
        out = self._in_shape(len(rows), lambda part: self._solve(rows[part]))
        self._check_scores(out)
        return out

    def denoise(self, rows: Sequence[Row]) -> Columns:
        """As `solve` without scores; nothing is decoded, and `rescore` gives them from what was kept."""
        check_stop()
        return self._in_shape(len(rows), lambda part: self._solve(rows[part], scoring=False))

    def rescore(
        self, latents: np.ndarray, places: np.ndarray, names: Sequence[str], probes: np.ndarray | None = None
    ) -> Columns:
        """Scores of kept clean samples, with their kept predictions for a scorer that looks at those."""

        def judge(images: Tensor, conditions: list[Condition], probed: Tensor | None) -> Mapping[str, Tensor]:
            return {self.score_columns[n]: self._score(n, images, conditions, probed) for n in names}

        out = self._judged(latents, places, judge, probes)
        self.paid.verifier_calls += len(latents) * len(names)
        self._check_scores(out)
        return out

    def features(self, latents: np.ndarray, places: np.ndarray) -> Columns:
        """Every extractor's outputs for clean samples, as "<extractor>.<output>" columns."""

        def judge(images: Tensor, conditions: list[Condition], probed: Tensor | None) -> Mapping[str, Tensor]:
            out: dict[str, Tensor] = {}
            for name, extractor in self.extractors.items():
                self._bring(extractor_part(name))
                out |= {f"{name}.{output}": value.float() for output, value in extractor(images, conditions).items()}
            return out

        return self._judged(latents, places, judge)

    def images(self, latents: np.ndarray) -> np.ndarray:
        """Clean samples as images, [n, 3, h, w] in [0, 1]."""
        places = np.zeros(len(latents), np.int64)
        return self._judged(latents, places, lambda images, conditions, probed: {"images": images})["images"]

    def _solve(self, rows: Sequence[Row], scoring: bool = True) -> Columns:
        self._bring(MODEL)
        padded = [rows[min(i, len(rows) - 1)] for i in range(self.shape)]
        x = torch.stack([row.x for row in padded]).to(self.denoiser.device)
        times = torch.stack([row.times for row in padded])
        conditions = [self._conditions[row.place] for row in padded]
        encoded = self._rows_of(padded)
        score, gradient = rows[0].score, rows[0].gradient
        mode = torch.enable_grad() if gradient else torch.inference_mode()
        with mode:
            x.requires_grad_(gradient)
            denoise = self._denoise(encoded, gradient)
            probe = self.probe if score else None
            solved = self.sampler.advance(denoise, self.denoiser.schedule, x, times, score, probe)
            scores = self._scores(solved.x0, solved.probe, conditions, gradient) if score and scoring else {}
            columns = {"x": solved.x.detach(), "x0": solved.x0.detach()}
            if solved.probe is not None:
                columns["probe"] = solved.probe.detach()
            if gradient:
                guiding = next(iter(scores.values()))
                columns["gradient"] = torch.autograd.grad(guiding.sum(), x)[0]
        self._charge(rows, len(padded), bool(scores))
        return {name: value.detach().cpu().numpy()[: len(rows)] for name, value in {**columns, **scores}.items()}

    def _judged(
        self, latents: np.ndarray, places: np.ndarray, judge: Judge, probes: np.ndarray | None = None
    ) -> Columns:
        """What `judge` says of clean samples: all of them are decoded, then all are judged."""
        decoded = {"images": latents} if probes is None else {"images": latents, "probes": probes}
        self._bring(DECODER)
        for name, values in decoded.items():
            decoded[name] = self._mapped(len(latents), [values], lambda _, x0: {"": self.denoiser.decode(x0)})[""]
        self.paid.decodes += len(latents) * len(decoded)

        def compute(index: np.ndarray, images: Tensor, *probed: Tensor) -> Mapping[str, Tensor]:
            return judge(images, [self._conditions[p] for p in places[index]], probed[0] if probed else None)

        return self._mapped(len(latents), list(decoded.values()), compute)

    def _mapped(self, count: int, arrays: list[np.ndarray], compute: Callable[..., Mapping[str, Tensor]]) -> Columns:
        """Rows of some arrays on the device, in padded batches; `compute` is given their index first."""

        def batch(part: slice) -> Columns:
            index = np.minimum(np.arange(part.start, part.start + self.judged), part.stop - 1)
            with torch.inference_mode():
                said = compute(index, *(torch.from_numpy(array[index]).to(self.denoiser.device) for array in arrays))
                return {name: value.cpu().numpy()[: part.stop - part.start] for name, value in said.items()}

        return self._in_shape(count, batch, "judged")

    def _in_shape(
        self, count: int, compute: Callable[[slice], Columns], limit: Literal["shape", "judged"] = "shape"
    ) -> Columns:
        """All of `count` rows in batches of one shape, which halves for good where it does not fit into memory."""
        while True:
            rows: int = getattr(self, limit)
            try:
                parts = [compute(slice(i, min(i + rows, count))) for i in range(0, count, rows)]
                return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise
            setattr(self, limit, rows // 2)
            torch.cuda.empty_cache()
            self.on_halved()

    def _scores(
        self, x0: Tensor, probe: Tensor | None, conditions: list[Condition], gradient: bool
    ) -> Mapping[str, Tensor]:
        """Every scorer's column; where the rows do not fit at once they are judged in parts, not denoised again.

        A gradient needs them all at once.
        """

        def judge(part: slice) -> Columns:
            some = None if probe is None else probe[part]
            return {name: value.cpu().numpy() for name, value in self._scored(x0[part], some, conditions[part]).items()}

        if gradient:
            return self._scored(x0, probe, conditions)
        return {name: torch.from_numpy(value) for name, value in self._in_shape(len(x0), judge, "judged").items()}

    def _scored(self, x0: Tensor, probe: Tensor | None, conditions: list[Condition]) -> dict[str, Tensor]:
        self._bring(DECODER)
        images = self.denoiser.decode(x0)
        probes = self.denoiser.decode(probe) if probe is not None and self.views > 1 else None
        return {column: self._score(n, images, conditions, probes) for n, column in self.score_columns.items()}

    def _score(self, name: str, images: Tensor, conditions: list[Condition], probes: Tensor | None) -> Tensor:
        self._bring(scorer_part(name))
        return self.scorers[name](images, conditions, probes).float()

    def _denoise(self, encoded: Encoded, gradient: bool) -> Callable[[Tensor, Tensor], Prediction]:
        if not gradient:
            return lambda x, t: self.denoiser(x, t, encoded)
        # memory of one call, whatever the number of steps; each call is run again in the backward pass
        return lambda x, t: Prediction(*checkpoint(self.denoiser, x, t, encoded, use_reentrant=False))

    def _rows_of(self, rows: Sequence[Row]) -> Encoded:
        index = torch.tensor([row.place for row in rows])
        return {name: value.index_select(0, index.to(value.device)) for name, value in self._encoded.items()}

    def _charge(self, rows: Sequence[Row], padded: int, scored: bool) -> None:
        solve = self.sampler.nfe(rows[0].times, rows[0].score)
        per_call = self.denoiser.forwards_per_call
        again = 2 if rows[0].gradient else 1
        self.paid.rows += len(rows)
        self.paid.padded_rows += padded - len(rows)
        self.paid.nfe += solve * again * len(rows)
        self.paid.forwards += solve * again * per_call * padded
        self.paid.backwards += solve * per_call * padded * rows[0].gradient
        if scored:
            self.paid.decodes += padded * self.views
            self.paid.verifier_calls += padded * len(self.scorers)

    def _check_scores(self, columns: Columns) -> None:
        for name, column in self.score_columns.items():
            values = columns.get(column)
            if values is not None and not np.isfinite(values).all():
                bad = values[~np.isfinite(values)][0]
                raise ValueError(f"verifier {name} gave the score {bad}; a score must be a finite number")


def _stay(part: str) -> None:
    """All parts are on the device."""
