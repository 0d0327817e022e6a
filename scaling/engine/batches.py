"""Batches of one size on one device: results do not depend on which rows share a batch, only on its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from scaling.budget import Cost
from scaling.engine import checks
from scaling.engine.placement import on_device
from scaling.engine.requests import Answers, EncodedBlock, Request
from scaling.engine.rows import Rows
from scaling.engine.stopwatch import Stopwatch
from scaling.identity import judge_identity
from scaling.journal.block import Keys
from scaling.journal.stream import digest
from scaling.protocols import Condition, Denoiser, Encoded, Features, Prediction, Verifier, begin_solve
from scaling.sampling import Sampler
from scaling.source import is_ours
from scaling.stop import check_stop
from scaling.traits import VerifierTraits

Judge = Callable[[Tensor, list[Condition], Tensor | None], Mapping[str, Tensor]]


class Batches:
    """Denoises, decodes and scores candidates in batches of `batch_size`, the last one padded by repetition.

    Where memory does not suffice for a batch it goes in parts (`rows`).
    """

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: Sampler,
        scorers: Mapping[str, Verifier],
        extractors: Mapping[str, Features],
        batch_size: int,
        probe_sigma: float | None = None,
        metadata: tuple[str, str] = ("", ""),
        prepared: float = 0.0,
    ) -> None:
        """`probe_sigma` is a noise level whose x0 prediction is given back although no scorer here looks at it.

        `metadata` are digests of what conditions carry beside prompts, for the names of what reads it. `prepared` are
        the seconds in which the conditions of all blocks were encoded beforehand; the first block has them in its
        account.
        """
        self.denoiser, self.sampler = denoiser, sampler
        self.batch_size, self.rows = batch_size, Rows(batch_size)
        self.scorers, self.extractors = dict(scorers), dict(extractors)
        self.score_columns = {n: f"score/{digest(judge_identity(v, metadata))}" for n, v in self.scorers.items()}
        self.features_tag = f"features/{digest({n: judge_identity(e, metadata) for n, e in self.extractors.items()})}/"
        self.traits = {name: VerifierTraits.of(verifier) for name, verifier in self.scorers.items()}
        probes = {v.probe_sigma for v in self.scorers.values() if v.probe_sigma is not None}
        if len(probes) > 1:
            raise ValueError(f"verifiers of one run must look at one noise level, not at {sorted(probes)}")
        self.probe_sigma = next(iter(probes), probe_sigma)
        self.images_per_candidate = max((each.images for each in self.traits.values()), default=1)  # for its scores
        self._watch, self._prepared = Stopwatch(denoiser.device), prepared

    @property
    def probe_column(self) -> str:
        """Where the journal keeps the predictions at the probed noise level."""
        return f"probe/{self.probe_sigma:g}"

    def encode(self, conditions: Sequence[Condition], first: int = 0) -> EncodedBlock:
        """The conditions of a block, encoded; the first of them is number `first` of the study."""
        with torch.inference_mode(), self._watch.part("encode"):
            tensors = self.denoiser.encode(conditions)
        seconds, self._prepared = self._prepared + self._watch.read().encode_seconds, 0.0
        return EncodedBlock(conditions, tensors, first, seconds)

    def solve(self, requests: Sequence[Request], block: EncodedBlock) -> Answers:
        """The answers for at most `batch_size` requests of one group: x, x0, probe, gradient, each scorer's column."""
        check_stop()
        answers = self.rows.in_parts(
            "denoise",
            len(requests),
            lambda part: self._solve(requests[part], block),
            lambda part: self._cost(requests[part], self.rows.denoise_batch),
        )
        checks.answers(
            answers.columns,
            self.score_columns,
            lambda i: block.describe(requests[i].condition_index, requests[i].candidate_id),
        )
        return answers

    def rescore(
        self,
        latents: np.ndarray,
        keys: Keys,
        block: EncodedBlock,
        name: str,
        probes: np.ndarray | None = None,
    ) -> Answers:
        """One scorer's scores of kept clean samples, with their kept predictions where it looks at those."""

        def judge(images: Tensor, conditions: list[Condition], probed: Tensor | None) -> Mapping[str, Tensor]:
            return {self.score_columns[name]: self._score(name, images, conditions, probed)}

        decoded = self.traits[name].images > 0
        return self._judged(latents, keys, block, judge, probes, calls=1, decoded=decoded)

    def features(self, latents: np.ndarray, keys: Keys, block: EncodedBlock) -> Answers:
        """Every extractor's outputs for clean samples, as "<extractor>.<output>" columns."""

        def judge(images: Tensor, conditions: list[Condition], probed: Tensor | None) -> Mapping[str, Tensor]:
            out: dict[str, Tensor] = {}
            for name, extractor in self.extractors.items():
                with on_device(extractor, self.denoiser):
                    outputs = checks.features(name, extractor(_lent(images, extractor), conditions), conditions)
                    out |= {f"{name}.{output}": value for output, value in outputs.items()}
            return out

        return self._judged(latents, keys, block, judge)

    def images(self, latents: np.ndarray, keys: Keys, block: EncodedBlock) -> Answers:
        """Clean samples as images, the column `images`: [n, 3, h, w] in [0, 1]."""
        return self._judged(latents, keys, block, lambda images, conditions, probed: {"images": images})

    def _solve(self, requests: Sequence[Request], block: EncodedBlock) -> Answers:
        padded = [requests[min(i, len(requests) - 1)] for i in range(self.rows.denoise_batch)]
        x = torch.stack([request.x for request in padded]).to(self.denoiser.device)
        times = torch.stack([request.times for request in padded])
        index = [request.condition_index for request in padded]
        score, gradient = requests[0].score, requests[0].gradient
        with torch.enable_grad() if gradient else torch.inference_mode():
            x.requires_grad_(gradient)
            denoise = self._denoise(block.rows(index), gradient)
            probe_sigma = self.probe_sigma if score else None
            begin_solve(self.denoiser)
            with self._watch.part("solve"):
                solved = self.sampler.advance(denoise, self.denoiser.schedule, x, times, score, probe_sigma)
            if not getattr(self.sampler, "ends_in_images", False):
                checks.solved(solved.x, (len(padded), *self.denoiser.latent_shape))
            conditions = [block.conditions[i] for i in index]
            scores = self._scores(solved.x0, solved.probe, conditions, gradient) if score else {}
            columns = {"x": solved.x.detach(), "x0": solved.x0.detach()}
            if solved.probe is not None:
                columns["probe"] = solved.probe.detach()
            if solved.gap is not None:
                columns["gap"] = solved.gap.detach()
            if gradient:
                with self._watch.part("solve"):
                    columns["gradient"] = self._gradient(scores, x)
        host = {name: value.detach().cpu().numpy()[: len(requests)] for name, value in {**columns, **scores}.items()}
        return Answers(host, self._cost(requests, len(padded)) + self._watch.read())

    def _gradient(self, scores: Mapping[str, Tensor], x: Tensor) -> Tensor:
        guide, column = next(iter(self.score_columns.items()))
        if not scores[column].requires_grad:
            raise ValueError(f"verifier {guide} says that it is differentiable, and its scores have no gradient")
        return torch.autograd.grad(scores[column].sum(), x)[0]

    def _judged(
        self,
        latents: np.ndarray,
        keys: Keys,
        block: EncodedBlock,
        judge: Judge,
        probes: np.ndarray | None = None,
        calls: int = 0,
        decoded: bool = True,
    ) -> Answers:
        """What `judge` says of clean samples, `decoded` for it or not; `calls` are the verifier's of a row."""
        arrays = [latents] if probes is None else [latents, probes]
        device = self.denoiser.device

        def compute(part: slice) -> Answers:
            index = np.minimum(np.arange(part.start, part.start + self.rows.decode_batch), part.stop - 1)
            with torch.inference_mode():
                samples = [torch.from_numpy(array[index]).to(device) for array in arrays]
                images, *probed = map(self._decode, samples) if decoded else samples
                conditions = [block.conditions[i] for i in keys[index, 0]]
                answers = {
                    **judge(images, conditions, probed[0] if probed else None),
                    checks.IMAGES_SOUND: checks.soundness(images, decoded),
                }
                host = {name: value.cpu().numpy()[: part.stop - part.start] for name, value in answers.items()}
            return Answers(host, cost(part) + self._watch.read())

        def cost(part: slice) -> Cost:
            rows = part.stop - part.start
            return Cost(decodes=rows * len(arrays) * decoded, verifier_calls=rows * calls)

        answers = self.rows.in_parts("decode", len(latents), compute, cost)
        checks.answers(answers.columns, self.score_columns, lambda i: block.describe(*keys[i].tolist()))
        return answers

    def _scores(
        self, x0: Tensor, probe: Tensor | None, conditions: list[Condition], gradient: bool
    ) -> Mapping[str, Tensor]:
        """Every scorer's column; where the rows do not fit at once they are scored in parts, not denoised again.

        A gradient needs them all at once.
        """

        def score(part: slice) -> Answers:
            some = None if probe is None else probe[part]
            scores = self._scored(x0[part], some, conditions[part])
            return Answers({name: value.cpu().numpy() for name, value in scores.items()})

        if gradient:
            return self._scored(x0, probe, conditions)
        columns = self.rows.in_parts("decode", len(x0), score).columns
        return {name: torch.from_numpy(value) for name, value in columns.items()}

    def _scored(self, x0: Tensor, probe: Tensor | None, conditions: list[Condition]) -> dict[str, Tensor]:
        scores, images, probes = dict[str, Tensor](), x0, None
        if self.images_per_candidate:
            images = self._decode(x0)
            scores[checks.IMAGES_SOUND] = checks.soundness(images)
        if self.images_per_candidate > 1 and probe is not None:
            probes = self._decode(probe)
        for name, column in self.score_columns.items():
            shown = (images, probes) if self.traits[name].images else (x0, probe)
            scores[column] = self._score(name, shown[0], conditions, shown[1])
        return scores

    def _decode(self, x0: Tensor) -> Tensor:
        with self._watch.part("decode"):
            return checks.images(self.denoiser.decode(x0), len(x0))

    def _score(self, name: str, images: Tensor, conditions: list[Condition], probes: Tensor | None) -> Tensor:
        with self._watch.part("verify"), on_device(self.scorers[name], self.denoiser):
            judge = self.scorers[name]
            shown = None if probes is None else _lent(probes, judge)
            return checks.scores(name, judge(_lent(images, judge), conditions, shown), conditions)

    def _denoise(self, encoded: Encoded, gradient: bool) -> Callable[[Tensor, Tensor], Prediction]:
        if not gradient:
            return lambda x, t: checks.prediction(self.denoiser(x, t, encoded), x, t)
        # memory of one call, whatever the number of steps; each call is run again in the backward pass
        return lambda x, t: Prediction(*checkpoint(self.denoiser, x, t, encoded, use_reentrant=False))

    def _cost(self, requests: Sequence[Request], padded: int) -> Cost:
        first, rows = requests[0], len(requests)
        solve = self.sampler.nfe(first.times, first.score)
        per_call = self.denoiser.forwards_per_call
        calls = solve * (2 if first.gradient else 1)  # a gradient runs every call twice
        return Cost(
            nfe=calls * rows,
            forwards=calls * per_call * padded,
            backwards=solve * per_call * padded * first.gradient,
            decodes=padded * self.images_per_candidate * first.score,
            verifier_calls=padded * len(self.scorers) * first.score,
            padded_rows=padded - rows,
            rows=rows,
        )


def _lent(samples: Tensor, judge: Any) -> Tensor:
    """Samples for somebody's judge: a copy where it is not ours, since it may write into what it is given."""
    return samples if is_ours(type(judge)) else samples.clone()
