"""Where the work of a full-size FLUX.1-dev candidate lies, counted on the meta device: what sharing can save there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

STEPS, PIXELS, TOKENS = 28, 1024, 512


def main() -> dict[str, Any]:
    with torch.device("meta"), torch.no_grad():
        parts = {"text encoders": text(), "denoising": STEPS * denoising(), "decoding": decoding()}
    whole = sum(parts.values())
    for name, count in parts.items():
        size = f"{PIXELS} pixels, {STEPS} steps"
        print(f"flops     FLUX.1-dev at {size}: {name:13} {count:9.1f} TFLOPs, {count / whole:.2%}")
    return {"tflops": parts, "shares": {name: count / whole for name, count in parts.items()}}


def counted(call: Callable[[], Any]) -> float:
    """TFLOPs of a call, 2 per multiply-add."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e12


def text() -> float:
    """T5 XXL's encoder and CLIP-L's, once a prompt."""
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    t5 = T5EncoderModel(
        T5Config(d_model=4096, d_ff=10240, d_kv=64, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
    )
    clip = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12))
    ids = torch.zeros(1, TOKENS, dtype=torch.long)
    return counted(lambda: (t5(ids), clip(ids[:, :77])))


def denoising() -> float:
    """One step of the transformer, whose defaults are FLUX.1-dev's sizes."""
    from diffusers import FluxTransformer2DModel

    network = FluxTransformer2DModel(guidance_embeds=True)
    tokens, t = (PIXELS // 16) ** 2, torch.empty(1)
    return counted(
        lambda: network(
            hidden_states=torch.empty(1, tokens, 64), timestep=t, guidance=t, txt_ids=torch.empty(TOKENS, 3),
            encoder_hidden_states=torch.empty(1, TOKENS, 4096), pooled_projections=torch.empty(1, 768),
            img_ids=torch.empty(tokens, 3),
        )
    )  # fmt: skip


def decoding() -> float:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16, use_post_quant_conv=False,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    return counted(lambda: vae.decode(torch.empty(1, 16, PIXELS // 8, PIXELS // 8)))
