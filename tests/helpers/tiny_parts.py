"""Parts that small pipelines are made of: autoencoders, tokenizers, text encoders."""

from __future__ import annotations

from typing import Any

import diffusers
import transformers
from tiny_pipelines import t5_tokenizer

Flow = diffusers.FlowMatchEulerDiscreteScheduler
WORDS = 300  # more than all tokenizers here have
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def autoencoder(channels: int, scaling: float = 0.5, shift: float | None = None, blocks: int = 2, **more: Any) -> Any:
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks, up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=(8, 16, 16, 16)[:blocks], norm_num_groups=4, latent_channels=channels,
        scaling_factor=scaling, shift_factor=shift, use_quant_conv=shift is None, use_post_quant_conv=shift is None,
        **more,
    )  # fmt: skip


def flux2_autoencoder() -> Any:
    return diffusers.AutoencoderKLFlux2(
        sample_size=32, down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
        block_out_channels=(4,), layers_per_block=1, latent_channels=1, norm_num_groups=1, use_quant_conv=False,
        use_post_quant_conv=False,
    )  # fmt: skip


def qwen_autoencoder() -> Any:
    return diffusers.AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1] * 4, latents_std=[1.2] * 4,
    )  # fmt: skip


def chat_tokenizer(**more: Any) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel

    marks = ["<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab={letter: i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}, merges=[],
        unk_token="<|endoftext|>", pad_token="<|endoftext|>", eos_token="<|im_end|>",
        additional_special_tokens=marks, model_max_length=512, **more,
    )  # fmt: skip
    tokenizer.chat_template = TURNS
    return tokenizer


def words_tokenizer() -> Any:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    return transformers.BertTokenizer({word: i for i, word in enumerate(words)}, model_max_length=77)


def qwen3(kind: Any = transformers.Qwen3ForCausalLM) -> Any:
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return kind(
        transformers.Qwen3Config(
            num_key_value_heads=2, head_dim=8, vocab_size=WORDS, max_position_embeddings=1024, **shape
        )
    )


def gemma2() -> Any:
    return transformers.Gemma2Model(
        transformers.Gemma2Config(
            head_dim=4, hidden_size=8, intermediate_size=8, num_attention_heads=2, num_hidden_layers=2,
            num_key_value_heads=2, sliding_window=64, vocab_size=len(t5_tokenizer()),
        )
    )  # fmt: skip


def qwen25_vl() -> Any:
    text = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "vocab_size": WORDS,
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
    }  # fmt: skip
    eyes = {"depth": 1, "num_heads": 2, "hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 16}
    config = transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config=eyes, vision_start_token_id=2, image_token_id=3
    )  # fmt: skip
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def qwen3_vl(kind: Any, layers: int = 2) -> Any:
    text = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 8, "vocab_size": WORDS,
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
    }  # fmt: skip
    eyes = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
        "deepstack_visual_indexes": [0],
    }  # fmt: skip
    return kind(transformers.Qwen3VLConfig(text_config=text, vision_config=eyes))


def qwen3_vl_processor() -> Any:
    tokenizer = chat_tokenizer()
    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(), tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(), chat_template=tokenizer.chat_template,
    )  # fmt: skip
