"""A vision-language model of transformers from a local folder or a hub id: one image and one instruction at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.contents import digest
from scaling.extras import require
from scaling.loading.checkpoints import load_transformers
from scaling.loading.devices import dtype_of, pick_device
from scaling.loading.hub import find_folder
from scaling.pixels import opened
from scaling.stop import check_stop
from scaling.verifiers.questions import Check, NoGrade, Question

FILES = ("config.json", "*.json", "model*.safetensors")


class LocalVLM:
    """Any `AutoModelForImageTextToText` with a chat template (Qwen2.5-VL, LLaVA, SmolVLM, ...); answers are greedy.

    Args:
        path: the model, a folder or a hub id.
        dtype: of its weights.
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(
        self, *, path: str = "Qwen/Qwen2.5-VL-7B-Instruct", dtype: str = "bfloat16", device: str = "auto"
    ) -> None:
        kind = dtype_of(dtype, "vlm dtype")
        require("transformers")
        folder = find_folder(path, FILES)
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.device = pick_device(device)
        self.network = load_transformers(AutoModelForImageTextToText, folder, kind).to(self.device)
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self._identity = {"vlm": type(self.network).__name__, "weights": digest(folder, FILES), "dtype": dtype}

    def ask_all(self, questions: Sequence[Question], check: Check) -> list[str | NoGrade]:
        """The greedy answer to each question, or why `check` does not take it.

        Raises:
            Stopped: where a signal asked for a stop.
        """
        answers: list[str | NoGrade] = []
        for question in questions:
            check_stop()
            said = self.generate([opened(picture) for picture in question.pictures], question.text, question.tokens)
            try:
                check(said)
                answers.append(said)
            except ValueError as error:
                answers.append(NoGrade(str(error)))
        return answers

    def logits(self, pictures: Sequence[Any], text: str) -> Float[Tensor, " vocabulary"]:
        """The logits of the answer's first token, float32; `pictures` are PIL images."""
        with torch.inference_mode():
            return self.network(**self._inputs(pictures, text)).logits[0, -1].float()

    def generate(self, pictures: Sequence[Any], text: str, tokens: int) -> str:
        """The most likely answer to PIL images and a text, token by token."""
        inputs = self._inputs(pictures, text)
        with torch.inference_mode():
            output = self.network.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        return self.processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    def tokens(self, words: Sequence[str]) -> tuple[int, ...]:
        """The numbers of the words' first tokens, each once; a ValueError where the tokenizer knows none of them."""
        tokenizer = self.processor.tokenizer
        numbers = [tokenizer(word, add_special_tokens=False).input_ids[:1] for word in words]
        known = {number for first in numbers for number in first if number != tokenizer.unk_token_id}
        if not known:
            raise ValueError(f"this model's tokenizer knows none of the answers {', '.join(map(repr, words))}")
        return tuple(sorted(known))

    def identity(self) -> dict[str, Any]:
        """Architecture, dtype and the weights' hash."""
        return dict(self._identity)

    def _inputs(self, pictures: Sequence[Any], text: str) -> Any:
        return chat_inputs(self.processor, pictures, text, self.device, self.network.dtype)


def chat_inputs(processor: Any, pictures: Sequence[Any], text: str, device: torch.device, dtype: torch.dtype) -> Any:
    """What a vision-language model takes for a user's PIL pictures and a text after them, on its device."""
    content = [{"type": "image"}] * len(pictures) + [{"type": "text", "text": text}]
    asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=list(pictures), text=[asked], return_tensors="pt").to(device)
    for name, value in inputs.items():
        if value.is_floating_point():
            inputs[name] = value.to(dtype)
    return inputs
