"""ImageReward in the authors' format against BLIP written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.encoders import CLIP_MEAN, CLIP_STD
from scaling.notices import take_notices
from scaling.protocols import Condition
from scaling.verifiers.image_reward import TOKENS, ImageReward

SEEN, READ, LAYERS, PATCH, SIDE, HEADS = 128, 128, 2, 8, 16, 2
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "cat", "two", "dogs"]
PROMPTS = ["a red cat", "two dogs", "a cat cat cat"]
State = dict[str, Tensor]


def layer(state: State, name: str, high: int, low: int) -> None:
    state[f"{name}.weight"] = torch.randn(high, low) / low**0.5
    state[f"{name}.bias"] = 0.1 * torch.randn(high)


def norm(state: State, name: str, width: int) -> None:
    state[f"{name}.weight"], state[f"{name}.bias"] = 1 + 0.1 * torch.randn(width), 0.1 * torch.randn(width)


def checkpoint() -> State:
    torch.manual_seed(0)
    state: State = {}
    see, read = "blip.visual_encoder", "blip.text_encoder"
    state[f"{see}.cls_token"] = torch.randn(1, 1, SEEN)
    state[f"{see}.pos_embed"] = 0.1 * torch.randn(1, 1 + (SIDE // PATCH) ** 2, SEEN)
    state[f"{see}.patch_embed.proj.weight"] = 0.1 * torch.randn(SEEN, 3, PATCH, PATCH)
    state[f"{see}.patch_embed.proj.bias"] = torch.zeros(SEEN)
    norm(state, f"{see}.norm", SEEN)
    state[f"{read}.embeddings.word_embeddings.weight"] = torch.randn(len(WORDS), READ)
    state[f"{read}.embeddings.position_embeddings.weight"] = 0.1 * torch.randn(64, READ)
    state[f"{read}.embeddings.position_ids"] = torch.arange(64)[None]
    norm(state, f"{read}.embeddings.LayerNorm", READ)
    for i in range(LAYERS):
        block = f"{see}.blocks.{i}"
        for name, high, low in (("attn.qkv", 3 * SEEN, SEEN), ("attn.proj", SEEN, SEEN)):
            layer(state, f"{block}.{name}", high, low)
        layer(state, f"{block}.mlp.fc1", 4 * SEEN, SEEN)
        layer(state, f"{block}.mlp.fc2", SEEN, 4 * SEEN)
        for name in ("norm1", "norm2"):
            norm(state, f"{block}.{name}", SEEN)
        block = f"{read}.encoder.layer.{i}"
        for kind, source in (("attention", READ), ("crossattention", SEEN)):
            for name, low in (("query", READ), ("key", source), ("value", source)):
                layer(state, f"{block}.{kind}.self.{name}", READ, low)
            layer(state, f"{block}.{kind}.output.dense", READ, READ)
            norm(state, f"{block}.{kind}.output.LayerNorm", READ)
        layer(state, f"{block}.intermediate.dense", 4 * READ, READ)
        layer(state, f"{block}.output.dense", READ, 4 * READ)
        norm(state, f"{block}.output.LayerNorm", READ)
    sizes = [READ, 1024, 128, 64, 16, 1]
    for place, low, high in zip((0, 2, 4, 6, 7), sizes, sizes[1:], strict=False):
        layer(state, f"mlp.layers.{place}", high, low)
    return state


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def normed(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))
    logits = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    if mask is not None:
        logits = logits.masked_fill(mask[:, None, None] == 0, -torch.inf)
    return (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)


def look(state: State, images: Tensor) -> Tensor:
    see = "blip.visual_encoder"
    pixels = (images - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)
    weights = state[f"{see}.patch_embed.proj.weight"], state[f"{see}.patch_embed.proj.bias"]
    patches = F.conv2d(pixels, *weights, stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat((state[f"{see}.cls_token"].expand(len(images), -1, -1), patches), dim=1) + state[f"{see}.pos_embed"]
    for i in range(LAYERS):
        block = f"{see}.blocks.{i}"
        q, k, v = linear(state, f"{block}.attn.qkv", normed(state, f"{block}.norm1", x, 1e-6)).chunk(3, dim=-1)
        x = x + linear(state, f"{block}.attn.proj", attend(q, k, v))
        hidden = F.gelu(linear(state, f"{block}.mlp.fc1", normed(state, f"{block}.norm2", x, 1e-6)))
        x = x + linear(state, f"{block}.mlp.fc2", hidden)
    return normed(state, f"{see}.norm", x, 1e-6)


def read(state: State, ids: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
    name = "blip.text_encoder"
    positions = state[f"{name}.embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = state[f"{name}.embeddings.word_embeddings.weight"][ids] + positions
    x = normed(state, f"{name}.embeddings.LayerNorm", x, 1e-12)
    for i in range(LAYERS):
        block = f"{name}.encoder.layer.{i}"
        for kind in ("attention", "crossattention"):
            source = x if kind == "attention" else seen
            inside = f"{block}.{kind}.self"
            q, k, v = (linear(state, f"{inside}.{n}", s) for n, s in (("query", x), ("key", source), ("value", source)))
            mixed = attend(q, k, v, mask if kind == "attention" else None)
            out = linear(state, f"{block}.{kind}.output.dense", mixed)
            x = normed(state, f"{block}.{kind}.output.LayerNorm", out + x, 1e-12)
        hidden = F.gelu(linear(state, f"{block}.intermediate.dense", x))
        out = linear(state, f"{block}.output.dense", hidden)
        x = normed(state, f"{block}.output.LayerNorm", out + x, 1e-12)
    return x[:, 0]


def write(folder: Path, state: State) -> dict[str, Any]:
    from transformers import BertTokenizer

    torch.save(state, folder / "ImageReward.pt")
    BertTokenizer({word: i for i, word in enumerate(WORDS)}).save_pretrained(folder / "bert")
    return {"path": str(folder / "ImageReward.pt"), "tokenizer": str(folder / "bert"), "device": "cpu"}


def test_equals_blip_by_hand(tmp_path: Path) -> None:
    state = checkpoint()
    verifier = ImageReward(**write(tmp_path, state))
    images = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    ids = torch.zeros(3, TOKENS, dtype=torch.long)
    for row, prompt in enumerate(PROMPTS):
        words = ["[CLS]", *prompt.split(), "[SEP]"]
        ids[row, : len(words)] = torch.tensor([WORDS.index(word) for word in words])
    values = read(state, ids, ids != 0, look(state, images))
    for place in (0, 2, 4, 6, 7):
        values = linear(state, f"mlp.layers.{place}", values)
    expected = (values[:, 0] - 0.16717362830052426) / 1.0333394966054072
    scores = verifier(images, [Condition(prompt=prompt) for prompt in PROMPTS])
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_a_prompt_that_is_cut_is_counted_without_a_score(tmp_path: Path) -> None:
    verifier = ImageReward(**write(tmp_path, checkpoint()))
    take_notices()
    verifier.notice_cut_prompts([Condition(prompt=" ".join(["cat"] * count)) for count in (33, 34, 60)])
    assert take_notices() == ["2 prompts were cut: ImageReward reads 35 tokens, and they have more"]


def test_bad_checkpoints_name_the_file(tmp_path: Path) -> None:
    state = checkpoint()
    name = "blip.text_encoder.encoder.layer.1.output.dense.weight"
    for message, broken in {
        r"lacks encoder\.layer\.1\.output\.dense\.weight": {k: v for k, v in state.items() if k != name},
        "not finite": state | {name: torch.full((READ, 4 * READ), torch.nan)},
        "is needed": state | {name: torch.zeros(READ, READ)},
        "is no ImageReward checkpoint": {"layers.0.weight": torch.zeros(1)},
    }.items():
        with pytest.raises(ValueError, match=rf"ImageReward\.pt.*{message}"):
            ImageReward(**write(tmp_path, broken))
