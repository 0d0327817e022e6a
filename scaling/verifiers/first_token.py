"""How likely a model begins its answer with some words: exactly on this machine, by log-probabilities elsewhere."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from scaling.pixels import opened
from scaling.stop import check_stop
from scaling.verifiers.local_vlm import LocalVLM
from scaling.verifiers.questions import Judge, NoGrade, Question, count_failures

ALTERNATIVES = 20  # first tokens that an endpoint lists; services allow no more


class Chance(NamedTuple):
    """The probability that an answer's first token is one of some words, and its log-odds, which never saturate."""

    probability: float
    log_odds: float


@dataclass(frozen=True)
class Asked:
    """A question about one picture (a PNG file's bytes), and the first words whose probabilities are summed."""

    text: str
    picture: bytes
    words: tuple[str, ...]


def chances(judge: Judge, asked: Sequence[Asked], on_failure: str = "error") -> list[Chance | None]:
    """How likely each answer begins with one of its words; None where the judge refused and that is to be skipped.

    A model on this machine says it exactly. An endpoint lists its `ALTERNATIVES` likeliest tokens: a word that is not
    among them has at most the least of their probabilities, and is given that bound.

    Args:
        judge: a `LocalVLM` or an `Endpoint`.
        asked: the questions.
        on_failure: "error", or "skip": a refusal costs its own image only, and is counted at the end.

    Raises:
        ValueError: where a model knows none of the words, and for a refusal that is not to be skipped.
    """
    if isinstance(judge, LocalVLM):
        return [_exact(judge, each) for each in asked]
    questions = [Question(each.text, (each.picture,), tokens=1, logprobs=ALTERNATIVES) for each in asked]
    answers = judge.ask_all(questions, json.loads)
    count_failures(questions, answers, on_failure, "questions got no answer", "their images were skipped")
    return [
        None if isinstance(answer, NoGrade) else _listed(json.loads(answer), each.words)
        for answer, each in zip(answers, asked, strict=True)
    ]


def _exact(vlm: LocalVLM, asked: Asked) -> Chance:
    check_stop()
    tokens = vlm.tokens(asked.words)
    logits = vlm.logits([opened(asked.picture)], asked.text)
    chosen = logits[list(tokens)].logsumexp(0)
    others = logits.index_fill(0, torch.tensor(tokens, device=logits.device), -torch.inf).logsumexp(0)
    return Chance(float((chosen - logits.logsumexp(0)).exp()), float(chosen - others))


def _listed(log_probabilities: dict[str, float], words: Sequence[str]) -> Chance:
    found = [value for token, value in log_probabilities.items() if token in words]
    everything = sum(map(math.exp, log_probabilities.values()))
    unseen = max(min(math.exp(min(log_probabilities.values())), 1 - everything), math.exp(-100.0))
    likely = sum(map(math.exp, found)) if found else unseen
    rest = max(1 - likely, math.exp(-100.0)) if found else 1 - likely
    return Chance(likely, math.log(likely) - math.log(rest))
