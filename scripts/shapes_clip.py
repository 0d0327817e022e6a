"""Trains the CLIP of the shapes world with open_clip's own model and loss, and saves it as open_clip does."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import shapes_data
import torch
from torch import Tensor, nn

from scaling.loading.networks import save_weights
from scaling.shapes.grammar import COLORS, COUNTS, KINDS, RELATIONS, SIZES, plural

PAD, START, END = "<pad>", "<start>", "<end>"
PLACES = tuple(dict.fromkeys(word for relation in RELATIONS for word in relation.split()))
# every word is a token; the end is the largest id, since open_clip pools the text there
VOCABULARY = (PAD, "and", *COUNTS, *SIZES, *COLORS, *KINDS, *map(plural, KINDS), *PLACES, START, END)
CONTEXT = 14  # the longest prompts have 11 words
CONFIG: dict[str, Any] = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 16, "patch_size": 4, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": len(VOCABULARY),
        "width": 64,
        "heads": 2,
        "layers": 2,
        "hf_tokenizer_name": "tokenizer.json beside this file",
    },
}
FOLDER = "shapes_clip"  # under the bundled weights
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # of open_clip's preprocessing
BATCH, LR, SAVE_SECONDS = 128, 2e-3, 30.0


def build() -> nn.Module:
    """open_clip's CLIP at this size, from a fixed seed."""
    from open_clip import CLIP

    torch.manual_seed(0)
    return CLIP(**CONFIG)


def prepare(folder: Path) -> None:
    """Writes the configuration and the tokenizer into the folder that open_clip reads as `local-dir:`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [(START, words[START]), (END, words[END])]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    special = {"pad_token": PAD, "unk_token": PAD, "bos_token": START, "eos_token": END}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    preprocess = {"size": 16, "mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def export(folder: Path, net: nn.Module, state: dict[str, Any], finished: bool) -> None:
    """Writes the weights beside them, in half precision."""
    metadata = {"class": "CLIP", "finished": finished, "steps": state["step"], "seconds": round(state["seconds"], 1)}
    save_weights(folder / "open_clip_model.safetensors", net.state_dict(), metadata)


def train(out: Path, checkpoints: Path, minutes: float) -> None:
    """Trains for the minutes, from the last checkpoint where there is one; a finished one is left alone."""
    import open_clip

    if shapes_data.trained(out / FOLDER / "open_clip_model.safetensors", minutes):
        return print("shapes_clip is finished")
    checkpoint = checkpoints / "shapes_clip.pt"
    images, captions = shapes_data.load(checkpoints)
    (out / FOLDER).mkdir(exist_ok=True)
    prepare(out / FOLDER)
    words, net = open_clip.get_tokenizer(f"local-dir:{out / FOLDER}")(captions), build().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    state: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"]), optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    budget = 60 * minutes
    while state["seconds"] < budget:
        loss = _until_save(net, optimizer, images, words, state, budget)
        saved = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "state": state}
        torch.save(saved, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        export(out / FOLDER, net, state, state["seconds"] >= budget)
        print(f"shapes_clip step {state['step']} {state['seconds']:.0f} s loss {loss:.4f}", flush=True)


def _until_save(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    words: Tensor,
    state: dict[str, Any],
    budget: float,
) -> float:
    """Takes steps until the next checkpoint is due, moving `state` along; the mean loss of them."""
    from open_clip import ClipLoss

    objective, losses = ClipLoss(), []
    began, before = time.monotonic(), state["seconds"]
    while state["seconds"] - before < SAVE_SECONDS and state["seconds"] < budget:
        progress = state["seconds"] / budget
        for group in optimizer.param_groups:
            group["lr"] = LR * min(progress / 0.03 + 1e-2, 1.0, (1 - progress) / 0.5 + 1e-2)
        g = torch.Generator().manual_seed(state["step"])
        rows = torch.randint(len(images), (BATCH,), generator=g)
        seen = shapes_data.view(images[rows].float() / 255, g) * 2 - 1
        image, text = net.encode_image(seen, normalize=True), net.encode_text(words[rows], normalize=True)
        loss = objective(image, text, net.logit_scale.exp())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            net.logit_scale.clamp_(max=4.6052)  # 100, as CLIP was trained
        state["step"] += 1
        losses.append(loss.item())
        state["seconds"] = before + time.monotonic() - began
    return sum(losses) / max(len(losses), 1)
