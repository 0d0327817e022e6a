"""Human Preference Score v3 (Ma et al. 2508.03789): a Qwen2-VL that reads what is wanted, looks, and ends in a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scaling.contents import digest
from scaling.extras import require
from scaling.files import user_path
from scaling.loading.checkpoints import fit, load_transformers, read_state
from scaling.loading.devices import dtype_of, pick_device
from scaling.loading.hub import find_file, find_folder
from scaling.pixels import pil
from scaling.protocols import Condition
from scaling.stop import check_stop
from scaling.verifiers.authors_text import constants
from scaling.verifiers.local_vlm import chat_inputs
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.sample_verifier import SampleVerifier

AUTHORS = "https://raw.githubusercontent.com/MizzenAI/HPSv3/main/hpsv3/dataset/data_collator_qwen.py"
REWARD = "<|Reward|>"  # the token whose last hidden state the head reads
SLOT = "{text_prompt}"
PIXELS = 256 * 28 * 28  # every image is brought to about this many
BASE = ("config.json", "*.json")
HEAD = "rm_head."
WIDTHS = (1024, 16, 2)  # of the head, down to the mean and the spread of the mark


class HPSv3(SampleVerifier):
    """Scores the mean of the mark that people would give, about -5 to 15; its spread is left aside.

    Args:
        path: the authors' checkpoint, a file or a hub id: a whole Qwen2-VL and the head, `rm_head`.
        base: a folder or hub id with the Qwen2-VL's configuration, tokenizer and image processor; its weights are not
            needed.
        question: the authors' Python file with the texts that the checkpoint was trained with; it is not run.
        dtype: of the language model; the head is float32.
        device: auto, or torch's name of one.

    Raises:
        ValueError: where a file is missing or lacks something.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(
        self,
        *,
        path: str = "MizzenAI/HPSv3/HPSv3.safetensors",
        base: str = "Qwen/Qwen2-VL-7B-Instruct",
        question: str = "data_collator_qwen.py",
        dtype: str = "bfloat16",
        device: str = "auto",
    ) -> None:
        require("transformers", "torchvision")
        kind = dtype_of(dtype, "verifier dtype")
        self.question = read_question(user_path(question))
        file, folder = find_file(path), find_folder(base, BASE)
        from transformers import AutoConfig, AutoProcessor, Qwen2VLForConditionalGeneration

        self.device = pick_device(device)
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.processor.tokenizer.add_tokens([REWARD], special_tokens=True)
        self._reward = self.processor.tokenizer.convert_tokens_to_ids(REWARD)
        state = read_state(file)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        words = embedding(state, file)
        if len(words) <= self._reward:
            raise ValueError(
                f"{file} has {len(words)} words, and {folder}'s tokenizer gives {REWARD} number {self._reward}"
            )
        config.get_text_config().vocab_size = len(words)
        self.head = load_head(state, words.shape[1], file).to(self.device)
        weights = {name: value for name, value in state.items() if not name.startswith(HEAD)}
        network = load_transformers(Qwen2VLForConditionalGeneration, file, kind, config=config, state=weights)
        self.network = network.to(self.device)
        self._identity = {
            "class": "HPSv3",
            "question": self.question,
            "base": digest(folder, BASE),
            "weights": digest(file),
            "dtype": dtype,
        }

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The scores, float32 on the images' device; `images` are in [0, 1].

        One image at a time, so that nothing depends on the company.

        Raises:
            ValueError: where a condition has no prompt.
            Stopped: where a signal asked for a stop.
        """
        scores = []
        for image, prompt in zip(images, prompts_of(conditions), strict=True):
            check_stop()
            scores.append(self.mark(pil(image), prompt)[0])
        return torch.stack(scores).to(images.device)

    def mark(self, picture: Any, prompt: str) -> Float[Tensor, " 2"]:
        """The mark's mean and its raw spread for a PIL image, float32.

        The positions are those of a plain text, image tokens included: the checkpoint was trained so, without the
        rows and columns that Qwen2-VL has for itself.
        """
        text = self.question.replace(SLOT, prompt)
        inputs = chat_inputs(self.processor, [resized(picture)], text, self.device, self.network.dtype)
        ids = inputs["input_ids"]
        places = (ids[0] == self._reward).nonzero().flatten()
        if len(places) != 1:
            raise ValueError(f"the prompt {prompt!r} holds {REWARD}, which no prompt may")
        with torch.inference_mode():
            output = self.network(
                input_ids=ids,
                attention_mask=inputs["attention_mask"],
                position_ids=torch.arange(ids.shape[1], device=self.device).expand(3, 1, -1),
                pixel_values=inputs["pixel_values"],
                image_grid_thw=inputs["image_grid_thw"],
                output_hidden_states=True,
                use_cache=False,
                logits_to_keep=1,
            )
            return self.head(output.hidden_states[-1][0, places[0]].float())


def read_question(file: Path) -> str:
    """The whole text about an image, with `{text_prompt}` and the reward token in it once."""
    if not file.is_file():
        raise ValueError(f"verifier.question={file} is no file: curl -LO {AUTHORS}")
    text = "".join(constants(file, ("INSTRUCTION", "prompt_with_special_token")))
    for part in (SLOT, REWARD):
        if text.count(part) != 1:
            raise ValueError(f"{file}: the question has {part} {text.count(part)} times, where once is needed")
    return text


def resized(picture: Any) -> Any:
    """A PIL image brought to about `PIXELS`, sides in multiples of 28, as the authors do before the processor."""
    from PIL import Image
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    width, height = picture.size
    high, wide = smart_resize(height, width, factor=28, min_pixels=PIXELS, max_pixels=PIXELS)
    return picture.resize((wide, high), Image.Resampling.BICUBIC)


def embedding(state: Mapping[str, Tensor], file: Path) -> Float[Tensor, "words d"]:
    """The embedding of words, by the name of old or of new versions of transformers."""
    for name in ("model.embed_tokens.weight", "model.language_model.embed_tokens.weight"):
        if name in state:
            return state[name]
    raise ValueError(f"{file} is no checkpoint of HPSv3: it has no model.embed_tokens.weight")


def load_head(state: Mapping[str, Tensor], width: int, file: Path) -> nn.Module:
    """Three linear layers (dropouts of training left out), frozen, float32."""
    with torch.random.fork_rng(devices=[]):
        layers = [nn.Linear(*ends) for ends in zip((width, *WIDTHS), WIDTHS, strict=False)]
    head = nn.Sequential(layers[0], nn.ReLU(), nn.Identity(), layers[1], nn.ReLU(), layers[2])
    fit(head, {name.removeprefix(HEAD): value for name, value in state.items() if name.startswith(HEAD)}, file)
    return head.eval().requires_grad_(False)
