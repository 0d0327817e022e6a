"""Trains the CLIP of the shapes world with open_clip's own model and loss, and saves it as open_clip does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapes_data
import torch
import training
from torch import Tensor, nn

from scaling.loading.weights_file import save_weights
from scaling.shapes.grammar import COLORS, COUNTS, KINDS, RELATIONS, SIZES, plural
from scaling.shapes.scenes import SIDE

PAD, START, END = "<pad>", "<start>", "<end>"
PLACES = tuple(dict.fromkeys(word for relation in RELATIONS for word in relation.split()))
# every word is a token; the end is the largest id, since open_clip pools the text there
VOCABULARY = (PAD, "and", *COUNTS, *SIZES, *COLORS, *KINDS, *map(plural, KINDS), *PLACES, START, END)
CONTEXT = 14  # the longest prompts have 11 words
CONFIG: dict[str, Any] = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": SIDE, "patch_size": 4, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": len(VOCABULARY),
        "width": 64,
        "heads": 2,
        "layers": 2,
        "hf_tokenizer_name": "tokenizer.json beside this file",
    },
}
FOLDER, FILE = "shapes_clip", "open_clip_model.safetensors"  # under the bundled weights
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # of open_clip's preprocessing
PLAN = training.Plan(
    minutes=12, lr=2e-3, batch=128, warm=0.03, fall=0.5, ema=None, betas=(0.9, 0.98), decay=0.05, save=30.0
)
LADDER = {"shapes_clip_1": 0.06}  # an earlier state that is kept: at a share of the minutes


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
    preprocess = {"size": SIDE, "mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write(folder: Path, net: nn.Module, header: dict[str, Any]) -> None:
    """Writes a folder that open_clip reads: configuration, tokenizer, and the weights in half precision."""
    folder.mkdir(exist_ok=True)
    if not (folder / "open_clip_config.json").exists():
        prepare(folder)
    save_weights(folder / FILE, net.state_dict(), {"class": "CLIP"} | header)


def train(out: Path, checkpoints: Path, minutes: float | None, device: torch.device) -> None:
    """Trains for the minutes, from the last checkpoint where there is one; a finished one is left alone."""
    import open_clip

    plan = replace(PLAN, minutes=minutes or PLAN.minutes)
    if training.trained(out / FOLDER / FILE, plan.minutes):
        return print("shapes_clip is finished")
    images, captions = shapes_data.load(checkpoints)
    (out / FOLDER).mkdir(exist_ok=True)
    prepare(out / FOLDER)
    words, objective = open_clip.get_tokenizer(f"local-dir:{out / FOLDER}")(captions), open_clip.ClipLoss()

    def loss(net: Any, step: int) -> Tensor:
        g = torch.Generator().manual_seed(step)
        rows = torch.randint(len(images), (plan.batch,), generator=g)
        seen = (shapes_data.view(images[rows].float() / 255, g) * 2 - 1).to(device)
        with torch.no_grad():
            net.logit_scale.clamp_(max=4.6052)  # 100, as CLIP was trained
        with torch.autocast(device.type, torch.bfloat16):
            image = net.encode_image(seen, normalize=True)
            text = net.encode_text(words[rows].to(device), normalize=True)
        return objective(image.float(), text.float(), net.logit_scale.exp())

    def export(net: nn.Module, header: dict[str, Any]) -> None:
        write(out / FOLDER, net, header)
        for name, share in LADDER.items():
            if header["seconds"] >= 60 * share * plan.minutes and not (out / name / FILE).exists():
                write(out / name, net, header)

    training.train("shapes_clip", build(), loss, export, checkpoints / "shapes_clip.pt", plan, device)
