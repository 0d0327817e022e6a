"""ImageReward (Xu et al. 2304.05977): a BLIP that reads the prompt while it looks at the image, and a linear head."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.contents import digest
from scaling.extras import require
from scaling.loading.checkpoints import fit, read_state
from scaling.loading.devices import pick_device
from scaling.loading.encoders import CLIP_MEAN, CLIP_STD, Preprocess
from scaling.loading.hub import find_file, find_folder
from scaling.protocols import Condition
from scaling.verifiers.linear_head import load_head
from scaling.verifiers.prompted import TokenLimit, token_count
from scaling.verifiers.sample_verifier import SampleVerifier

MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072  # of the reward on the training data
TOKENS = 35
HEAD_WIDTH = 64  # of attention, in both of BLIP's sizes

# The checkpoint's names of the image encoder's parts, and transformers'.
_VISION = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    r"patch_embed\.proj": "embeddings.patch_embedding",
    r"blocks\.(\d+)\.norm(\d)": r"encoder.layers.\1.layer_norm\2",
    r"blocks\.(\d+)\.attn\.qkv": r"encoder.layers.\1.self_attn.qkv",
    r"blocks\.(\d+)\.attn\.proj": r"encoder.layers.\1.self_attn.projection",
    r"blocks\.(\d+)\.mlp": r"encoder.layers.\1.mlp",
    r"norm(?=\.(weight|bias)$)": "post_layernorm",
}


class ImageReward(SampleVerifier):
    """Scores the standardized reward, about -2 to 2.

    Args:
        path: the authors' `ImageReward.pt`, whose shapes say the sizes; a file or a hub id.
        tokenizer: bert-base-uncased, a folder or a hub id.
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    differentiable = True

    def __init__(
        self,
        *,
        path: str = "zai-org/ImageReward/ImageReward.pt",
        tokenizer: str = "google-bert/bert-base-uncased",
        device: str = "auto",
    ) -> None:
        require("transformers", "torchvision")
        file = find_file(path)
        words = find_folder(tokenizer, ("tokenizer*.json",))
        from transformers import AutoTokenizer

        self.device = pick_device(device)
        self._tokenizer = AutoTokenizer.from_pretrained(words, local_files_only=True)
        state = read_state(file)
        vision = vision_names(_under(state, "blip.visual_encoder."))
        text = _under(state, "blip.text_encoder.")
        with torch.random.fork_rng(devices=[]):
            self.vision, self.text = _vision(vision, file), _text(text, file)
        fit(self.vision, vision, file)
        fit(self.text, text, file)
        self.head = load_head(_under(state, "mlp."), self.text.config.hidden_size, file)
        for network in (self.vision, self.text, self.head):
            network.to(self.device).eval().requires_grad_(False)
        size = self.vision.config.image_size
        self.preprocess = Preprocess(size, size, CLIP_MEAN, CLIP_STD)
        self._limit = TokenLimit("ImageReward", TOKENS, token_count(self._tokenizer))
        self._identity = {"class": "ImageReward", "weights": digest(file)}

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """The standardized rewards; a ValueError names a condition without a prompt."""
        tokens = self._tokenizer(
            self._limit.prompts_of(conditions),
            padding="max_length",
            truncation=True,
            max_length=TOKENS,
            return_tensors="pt",
        ).to(self.device)
        seen = self.vision(self.preprocess(images.to(self.device))).last_hidden_state
        read = self.text(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=self.device),
            is_decoder=False,
        ).last_hidden_state
        return (self.head(read[:, 0]) - MEAN) / DEVIATION

    def notice_cut_prompts(self, conditions: Sequence[Condition]) -> None:
        """Counts the prompts of a study that are cut, also where all its scores are there already."""
        self._limit.prompts_of(conditions)


def vision_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image encoder's weights in transformers' names."""
    renamed = {}
    for name, value in state.items():
        for old, new in _VISION.items():
            name, found = re.subn(f"^{old}", new, name)
            if found:
                break
        renamed[name] = value
    return renamed


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _vision(state: Mapping[str, Tensor], file: Path) -> Any:
    from transformers import BlipVisionConfig, BlipVisionModel

    patches = _weight(state, "embeddings.patch_embedding.weight", file)
    width, patch = patches.shape[0], patches.shape[-1]
    side = round((_weight(state, "embeddings.position_embedding", file).shape[1] - 1) ** 0.5)
    return BlipVisionModel(
        BlipVisionConfig(
            hidden_size=width,
            intermediate_size=len(_weight(state, "encoder.layers.0.mlp.fc1.weight", file)),
            num_hidden_layers=_layers(state, r"encoder\.layers\.(\d+)\."),
            num_attention_heads=max(width // HEAD_WIDTH, 1),
            image_size=side * patch,
            patch_size=patch,
            layer_norm_eps=1e-6,
        )
    )


def _text(state: Mapping[str, Tensor], file: Path) -> Any:
    from transformers import BlipTextConfig
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    words = _weight(state, "embeddings.word_embeddings.weight", file)
    config = BlipTextConfig(
        vocab_size=len(words),
        hidden_size=words.shape[1],
        encoder_hidden_size=_weight(state, "encoder.layer.0.crossattention.self.key.weight", file).shape[1],
        intermediate_size=len(_weight(state, "encoder.layer.0.intermediate.dense.weight", file)),
        num_hidden_layers=_layers(state, r"encoder\.layer\.(\d+)\."),
        num_attention_heads=max(words.shape[1] // HEAD_WIDTH, 1),
        max_position_embeddings=len(_weight(state, "embeddings.position_embeddings.weight", file)),
    )
    return BlipTextModel(config, add_pooling_layer=False)


def _layers(state: Mapping[str, Tensor], pattern: str) -> int:
    return 1 + max(int(match[1]) for name in state if (match := re.match(pattern, name)))


def _weight(state: Mapping[str, Tensor], name: str, file: Path) -> Tensor:
    if name not in state:
        raise ValueError(f"{file} is no ImageReward checkpoint: it has nothing for {name}")
    return state[name]
