"""Soft-TIFA, GenEval 2's judge (Kamath et al. 2512.16853): how sure a model is of each of a prompt's atoms."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.files import user_path
from scaling.pixels import png
from scaling.protocols import Condition
from scaling.verifiers.first_token import Asked, chances
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.questions import Judge, checked_failure
from scaling.verifiers.sample_verifier import SampleVerifier

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
YES = ("Yes", "yes", " yes", " Yes")
BELOW = -1.0  # an image that was skipped: below every score
Atoms = tuple[tuple[str, str], ...]


class SoftTifa(SampleVerifier):
    """Scores the mean of the probabilities of the right first words, over the questions of a prompt, in [0, 1].

    Args:
        vlm: a `LocalVLM`, or an `Endpoint` that gives log-probabilities.
        questions: json lines, each with `prompt` and `vqa_list`, pairs of a question and its answer: the benchmark's
            own file, or one of that form.
        mean: geometric, so that one missing atom counts, or arithmetic.
        on_failure: what an endpoint's refusal means: error, or skip (the image never wins; the end says how many).

    Raises:
        ValueError: where an option has no meaning, and for a line of the file that cannot be read.
    """

    def __init__(
        self,
        *,
        vlm: Judge,
        questions: str,
        mean: Literal["geometric", "arithmetic"] = "geometric",
        on_failure: str = "error",
    ) -> None:
        checks.one_of(("geometric", "arithmetic"), **{"verifier.mean": mean})
        self.vlm, self.mean, self.on_failure = vlm, mean, checked_failure(on_failure)
        self.file = user_path(questions)
        self.atoms = read_atoms(self.file)

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores, float32 on the images' device; a ValueError names a prompt without questions."""
        asked: list[Asked] = []
        counts: list[int] = []
        for image, prompt in zip(images, prompts_of(conditions), strict=True):
            if prompt not in self.atoms:
                raise ValueError(f"{self.file} has no questions for the prompt {prompt!r}")
            picture = png(image)
            atoms = self.atoms[prompt]
            asked += [Asked(f"{question} Answer in one word.", picture, words(question, a)) for question, a in atoms]
            counts.append(len(atoms))
        found = iter(chances(self.vlm, asked, self.on_failure))
        scores = [self._mean([next(found) for _ in range(count)]) for count in counts]
        return torch.tensor(scores, dtype=torch.float32, device=images.device)

    def identity(self) -> dict[str, Any]:
        """Class, the questions by prompt, the mean, the model, and what a refusal means."""
        asked = {"questions": {prompt: [list(atom) for atom in self.atoms[prompt]] for prompt in sorted(self.atoms)}}
        failure = {} if self.on_failure == "error" else {"on_failure": self.on_failure}
        return {"class": "SoftTifa", **asked, "mean": self.mean, **self.vlm.identity(), **failure}

    def _mean(self, found: list[Any]) -> float:
        if any(each is None for each in found):
            return BELOW
        likely = [each.probability for each in found]
        if self.mean == "arithmetic":
            return math.fsum(likely) / len(likely)
        return math.exp(math.fsum(math.log(max(each, 1e-30)) for each in likely) / len(likely))


def words(question: str, answer: str) -> tuple[str, ...]:
    """The first words that count as right: a number as word and digit where it asks "How many", else a yes."""
    if not question.startswith("How many"):
        return YES
    plain = answer.strip().lower()
    digit = str(NUMBERS.index(plain)) if plain in NUMBERS else plain
    word = NUMBERS[int(plain)] if plain.isdigit() and int(plain) < len(NUMBERS) else plain
    forms = (word, word.capitalize(), digit)
    return tuple(dict.fromkeys([*forms, *(f" {form}" for form in forms)]))


def read_atoms(file: Path) -> dict[str, Atoms]:
    """Questions and answers by prompt; a ValueError says which line is wrong, or that there is no file."""
    if not file.is_file():
        raise ValueError(
            f"verifier.questions={file} is no file: GenEval 2's geneval2_data.jsonl, or one of its form, is needed"
        )
    atoms: dict[str, Atoms] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            pairs = tuple((str(question), str(answer)) for question, answer in row["vqa_list"])
            prompt = str(row["prompt"])
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(
                f"{file}, line {number}: prompt and vqa_list, pairs of texts, are needed ({error})"
            ) from None
        if not pairs:
            raise ValueError(f"{file}, line {number}: vqa_list is empty")
        atoms[prompt] = pairs
    return atoms
