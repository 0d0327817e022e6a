"""BLIP-VQA, T2I-CompBench's judge of attribute binding (Huang et al. 2307.06350, section 4.1): is each thing there?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from scaling import checks
from scaling.contents import digest
from scaling.extras import require
from scaling.loading.checkpoints import load_transformers
from scaling.loading.devices import pick_device
from scaling.loading.encoders import CLIP_MEAN, CLIP_STD, Preprocess
from scaling.loading.hub import find_folder
from scaling.metrics.benchmark_folders import category_of
from scaling.notices import notice
from scaling.protocols import Condition

FILES = ("config.json", "model.safetensors", "tokenizer*.json")
MOST_PHRASES, MOST_TOKENS = 8, 35
JUDGED = ("color", "shape", "texture")  # the categories that the benchmark judges so
Chunker = Literal["rules", "spacy"]
_CUTS = (
    r"\b(?:and|or|with|on|in|at|of|over|under|above|below|beside|near|behind|next to|in front of|to the|is|are|was|were"
    r"|has|have|while|as|into|onto|from|by|against|through)\b|[,;.:!?]"
)


class BlipVqa:
    """Gives `probability` [n,1]: the product over a prompt's noun phrases of P(yes) / (P(yes) + P(no)) for "<it>?".

    `color`, `shape` and `texture` are the same for the benchmark's prompts of that category, NaN for all others.

    `path` is transformers' BlipForQuestionAnswering. `phrases` says where noun phrases come from: `spacy` is the
    benchmark's way (en_core_web_sm, installed apart), `rules` cuts at conjunctions, prepositions and verbs, which is
    the same for prompts like "a green bench and a blue bowl". A condition's metadata may give its own, as
    `noun_phrases`. At most 8 count, as in the benchmark.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    reads_metadata: ClassVar[bool] = True

    def __init__(
        self,
        *,
        path: str = "Salesforce/blip-vqa-capfilt-large",
        phrases: Chunker = "rules",
        device: str = "auto",
    ) -> None:
        checks.one_of(get_args(Chunker), phrases=phrases)
        require("transformers", "torchvision")
        folder = find_folder(path, FILES)
        from transformers import AutoTokenizer, BlipForQuestionAnswering

        self.device = pick_device(device)
        self.network = load_transformers(BlipForQuestionAnswering, folder).to(self.device)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._begin = int(self.network.config.text_config.bos_token_id)  # [DEC]; [ENC] was added after it
        self._answers = self._tokenizer.convert_tokens_to_ids(["yes", "no"])
        size = self.network.config.vision_config.image_size
        self.preprocess = Preprocess(size, None, CLIP_MEAN, CLIP_STD)
        self.phrases = phrases
        self._chunk = noun_phrases if phrases == "rules" else _spacy()
        self._identity = {"class": "BlipVqa", "weights": digest(folder, FILES), "phrases": phrases}

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """`probability`, and the same of each category alone, [n, 1] of images in [0, 1]."""
        seen = self.network.vision_model(self.preprocess(images.to(self.device))).last_hidden_state
        values = torch.ones(len(images), 1, device=self.device)
        for row, condition in enumerate(conditions):
            for phrase in self.questions(condition):
                values[row, 0] *= self._yes(seen[row : row + 1], f"{phrase}?")
        of = [category_of(condition) for condition in conditions]
        mine = {name: torch.tensor([[each == name] for each in of], device=self.device) for name in JUDGED}
        nan = torch.full_like(values, float("nan"))
        return {"probability": values, **{name: values.where(rows, nan) for name, rows in mine.items()}}

    def questions(self, condition: Condition) -> list[str]:
        """The noun phrases that are asked about; a ValueError names a condition without a prompt."""
        given = (condition.metadata or {}).get("noun_phrases")
        if given:
            return list(given)[:MOST_PHRASES]
        if condition.prompt is None:
            raise ValueError(f"condition {condition.class_label}: BLIP-VQA asks about a prompt, there is none")
        return self._chunk(condition.prompt)[:MOST_PHRASES]

    def identity(self) -> dict[str, Any]:
        """Class, the hash of the weights, and where noun phrases come from."""
        return dict(self._identity)

    def _yes(self, seen: Float[Tensor, "1 p d"], question: str) -> Float[Tensor, ""]:
        if len(self._tokenizer(question, verbose=False).input_ids) > MOST_TOKENS:
            notice(f"{{n}} questions were cut: BLIP-VQA reads {MOST_TOKENS} tokens, and they have more", [question])
        tokens = self._tokenizer(question, truncation=True, max_length=MOST_TOKENS, return_tensors="pt").to(self.device)
        tokens.input_ids[:, 0] = self._begin + 1
        looked = torch.ones(seen.shape[:2], dtype=torch.long, device=self.device)
        read = self.network.text_encoder(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=looked,
            is_decoder=False,
        ).last_hidden_state
        start = torch.full((1, 1), self._begin, device=self.device)
        logits = self.network.text_decoder(
            input_ids=start, encoder_hidden_states=read, encoder_attention_mask=tokens.attention_mask, use_cache=False
        ).logits[0, 0]
        return logits[self._answers].float().softmax(0)[0]


def noun_phrases(prompt: str) -> list[str]:
    """The pieces of a prompt between conjunctions, prepositions, verbs of state and punctuation."""
    pieces = (piece.strip() for piece in re.split(_CUTS, prompt, flags=re.IGNORECASE))
    return [piece for piece in pieces if re.search(r"\w", piece)]


def _spacy() -> Any:
    try:
        import spacy

        language = spacy.load("en_core_web_sm")
    except (ImportError, OSError):
        raise ValueError(
            "phrases=spacy needs spaCy: pip install spacy && python -m spacy download en_core_web_sm"
        ) from None
    return lambda prompt: [str(chunk) for chunk in language(prompt).noun_chunks]
