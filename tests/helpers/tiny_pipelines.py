"""Small randomly initialized text-to-image pipelines of diffusers, saved in the real format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = ("a", "red", "cat", "on", "the", "green", "table", "and", "two", "small", "dogs", "photo", "of")


def clip_tokenizer() -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer({token: i for i, token in enumerate(tokens)}, [], model_max_length=77)


def t5_tokenizer() -> Any:
    from transformers import T5Tokenizer

    pieces = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz,.", *(f"▁{word}" for word in WORDS)]
    return T5Tokenizer([(piece, -float(i)) for i, piece in enumerate(pieces)], extra_ids=0, model_max_length=512)


def clip_text(width: int, projection: int | None = None) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    size = len(clip_tokenizer())
    config = CLIPTextConfig(
        vocab_size=size, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=projection or width, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return CLIPTextModel(config) if projection is None else CLIPTextModelWithProjection(config)


def t5(width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    size = len(t5_tokenizer())
    return T5EncoderModel(T5Config(vocab_size=size, d_model=width, d_ff=width, d_kv=8, num_layers=1, num_heads=2))


def vae(channels: int, scaling: float, shift: float | None = None) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=channels, scaling_factor=scaling,
        shift_factor=shift, use_quant_conv=shift is None, use_post_quant_conv=shift is None,
    )  # fmt: skip


def unet(cross: int, **options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=4, cross_attention_dim=cross,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8, **options,
    )  # fmt: skip


def ddim() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1,
        set_alpha_to_one=False,
    )  # fmt: skip


def flux(folder: Path, guidance: bool) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, guidance_embeds=guidance, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0 if guidance else 1.0, use_dynamic_shifting=guidance)
    FluxPipeline(
        scheduler, vae(4, 0.3611, 0.1159), clip_text(16), clip_tokenizer(), t5(16), t5_tokenizer(), transformer
    ).save_pretrained(folder)  # fmt: skip


def sd3(folder: Path) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=24, out_channels=4,
        pos_embed_max_size=16,
    )  # fmt: skip
    StableDiffusion3Pipeline(
        transformer, FlowMatchEulerDiscreteScheduler(shift=3.0), vae(4, 1.5305, 0.0609), clip_text(8, 8),
        clip_tokenizer(), clip_text(16, 16), clip_tokenizer(), t5(32), t5_tokenizer(),
    ).save_pretrained(folder)  # fmt: skip


def sd15(folder: Path) -> None:
    from diffusers import StableDiffusionPipeline

    StableDiffusionPipeline(
        vae(4, 0.18215), clip_text(16), clip_tokenizer(), unet(16), ddim(), None, None, requires_safety_checker=False
    ).save_pretrained(folder)  # fmt: skip


def sdxl(folder: Path, zeros: bool) -> None:
    from diffusers import StableDiffusionXLPipeline

    network = unet(
        24, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=64,
        transformer_layers_per_block=(1, 1),
    )  # fmt: skip
    StableDiffusionXLPipeline(
        vae(4, 0.13025), clip_text(8), clip_text(16, 16), clip_tokenizer(), clip_tokenizer(), network, ddim(),
        force_zeros_for_empty_prompt=zeros,
    ).save_pretrained(folder)  # fmt: skip


def pixart_sigma(folder: Path) -> None:
    from diffusers import DDIMScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    transformer = PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, num_layers=2, sample_size=8, caption_channels=16,
        cross_attention_dim=32, use_additional_conditions=False,
    )  # fmt: skip
    scheduler = DDIMScheduler(beta_start=1e-4, beta_end=2e-2, clip_sample=False)
    PixArtSigmaPipeline(t5_tokenizer(), t5(16), vae(4, 0.13025), transformer, scheduler).save_pretrained(folder)


def sana(folder: Path) -> None:
    from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, SanaPipeline, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    tokenizer = t5_tokenizer()
    text = Gemma2Model(
        Gemma2Config(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, head_dim=8,
            num_attention_heads=2, num_key_value_heads=1,
        )
    )  # fmt: skip
    transformer = SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1, caption_channels=16,
        num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, sample_size=16,
    )  # fmt: skip
    autoencoder = AutoencoderDC(
        latent_channels=4, attention_head_dim=2, encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1), encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()), scaling_factor=0.41407,
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    SanaPipeline(tokenizer, text, autoencoder, transformer, scheduler).save_pretrained(folder)


def qwen_image(folder: Path) -> None:
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = clip_tokenizer()
    shape = {"hidden_size": 16, "intermediate_size": 16}
    text = shape | {
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer),
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
    }  # fmt: skip
    eyes = shape | {"depth": 1, "num_heads": 2, "out_hidden_size": 16}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=eyes, vision_start_token_id=2, image_token_id=3)
    transformer = QwenImageTransformer2DModel(
        in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    autoencoder = AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.5, 0.5, 2.0, 1.0],
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02
    )
    QwenImagePipeline(
        scheduler, autoencoder, Qwen2_5_VLForConditionalGeneration(config), tokenizer, transformer
    ).save_pretrained(folder)  # fmt: skip


BUILDERS = {
    "flux_dev": lambda folder: flux(folder, True),
    "flux_schnell": lambda folder: flux(folder, False),
    "sd3": sd3,
    "sd15": sd15,
    "sdxl": lambda folder: sdxl(folder, True),
    "sdxl_turbo": lambda folder: sdxl(folder, False),
    "pixart_sigma": pixart_sigma,
    "sana": sana,
    "qwen_image": qwen_image,
}


def save(name: str, folder: Path) -> Path:
    """Builds a family's pipeline with weights from one seed and returns its folder."""
    torch.manual_seed(0)
    BUILDERS[name](folder)
    return folder
