"""Small randomly initialized encoders, saved in the real formats."""

import json
from pathlib import Path

import torch


def tiny_dinov2(folder: Path) -> Path:
    """transformers' DINOv2: six blocks of width 24, positions for 4x4 patches."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=6, num_attention_heads=2, image_size=56, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    return folder


def tiny_timm_dinov2(folder: Path) -> Path:
    """timm's DINOv2: six blocks of width 24, positions for 4x4 patches."""
    from timm import create_model
    from timm.models import save_for_hf

    torch.manual_seed(0)
    shape = {"img_size": 56, "embed_dim": 24, "depth": 6, "num_heads": 2}
    model = create_model("vit_small_patch14_dinov2", num_classes=0, **shape)
    save_for_hf(model, str(folder), model_args=shape, safe_serialization=True)
    return folder


def tiny_open_clip(folder: Path, siglip: bool = False) -> Path:
    """open_clip's folder: a CLIP of width 32 at 32 pixels, or the same as SigLIP preprocesses it."""
    import open_clip
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    preprocess = {
        "mean": [0.5] * 3 if siglip else list(open_clip.OPENAI_DATASET_MEAN),
        "std": [0.5] * 3 if siglip else list(open_clip.OPENAI_DATASET_STD),
        "interpolation": "bicubic",
        "resize_mode": "squash" if siglip else "shortest",
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    return folder
