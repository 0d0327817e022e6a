"""Small pipelines of families that came with 2025 and 2026, and of a few older ones with two stages or two networks."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
import transformers
from tiny_parts import (
    Flow,
    autoencoder,
    chat_tokenizer,
    flux2_autoencoder,
    qwen3,
    qwen3_vl,
    qwen3_vl_processor,
    qwen25_vl,
    qwen_autoencoder,
)
from tiny_pipelines import clip_text, clip_tokenizer, ddim, t5, t5_tokenizer, unet

SMALL = {"num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}  # of most transformers
FLUX_LIKE = {**SMALL, "patch_size": 1, "in_channels": 16, "num_single_layers": 1}


def krea2() -> Any:
    network = diffusers.Krea2Transformer2DModel(
        **SMALL, in_channels=16, num_key_value_heads=1, intermediate_size=32, timestep_embed_dim=16,
        text_hidden_dim=16, num_text_layers=2, text_num_attention_heads=2, text_num_key_value_heads=1,
        text_intermediate_size=32, num_layerwise_text_blocks=1, num_refiner_text_blocks=1, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    scheduler = Flow(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, max_image_seq_len=6400)
    text = qwen3_vl(transformers.Qwen3VLModel)
    return diffusers.Krea2Pipeline(scheduler, qwen_autoencoder(), text, chat_tokenizer(), network, (1, 2))


def longcat_image() -> Any:
    network = diffusers.LongCatImageTransformer2DModel(
        **{**FLUX_LIKE, "in_channels": 64}, joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=[4, 6, 6]
    )
    processor = transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(), tokenizer=chat_tokenizer(),
        video_processor=transformers.Qwen2VLVideoProcessor(),
    )  # fmt: skip
    return diffusers.LongCatImagePipeline(
        Flow(use_dynamic_shifting=True), autoencoder(16, 0.36, 0.11), qwen25_vl(), chat_tokenizer(), processor, network
    )


def ovis_image() -> Any:
    network = diffusers.OvisImageTransformer2DModel(
        **FLUX_LIKE, out_channels=16, joint_attention_dim=16, axes_dims_rope=(4, 6, 6)
    )
    text = qwen3(transformers.Qwen3Model)
    return diffusers.OvisImagePipeline(
        Flow(use_dynamic_shifting=True), autoencoder(4, 0.36, 0.11), text, chat_tokenizer(), network
    )


def ernie_image() -> Any:
    network = diffusers.ErnieImageTransformer2DModel(
        hidden_size=32, num_attention_heads=2, num_layers=1, ffn_hidden_size=32, in_channels=4, out_channels=4,
        text_in_dim=16, rope_axes_dim=(4, 6, 6),
    )  # fmt: skip
    return diffusers.ErnieImagePipeline(
        network, flux2_autoencoder(), qwen3(transformers.Qwen3Model), chat_tokenizer(), Flow()
    )


def nucleus_image() -> Any:
    network = diffusers.NucleusMoEImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=5, attention_head_dim=16, num_attention_heads=2,
        num_key_value_heads=1, joint_attention_dim=16, axes_dims_rope=(4, 6, 6), num_experts=2,
        moe_intermediate_dim=16, capacity_factors=2.0,
    )  # fmt: skip
    return diffusers.NucleusMoEImagePipeline(
        network, Flow(), qwen_autoencoder(), qwen3_vl(transformers.Qwen3VLForConditionalGeneration),
        qwen3_vl_processor(),
    )  # fmt: skip


def joyimage_edit() -> Any:
    network = diffusers.JoyImageEditTransformer3DModel(
        in_channels=4, hidden_size=32, num_attention_heads=2, text_dim=16, num_layers=1, rope_dim_list=[4, 6, 6]
    )
    decoder = diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.1] * 4, latents_std=[1.2] * 4,
    )  # fmt: skip
    text = qwen3_vl(transformers.Qwen3VLForConditionalGeneration)
    return diffusers.JoyImageEditPipeline(
        vae=decoder, text_encoder=text, tokenizer=chat_tokenizer(), transformer=network, scheduler=Flow(),
        processor=qwen3_vl_processor(),
    )  # fmt: skip


def bria_fibo() -> Any:
    network = diffusers.BriaFiboTransformer2DModel(
        **{**FLUX_LIKE, "in_channels": 4, "num_layers": 1}, joint_attention_dim=32, axes_dims_rope=[4, 6, 6],
        text_encoder_dim=16,
    )  # fmt: skip
    text = transformers.SmolLM3ForCausalLM(
        transformers.SmolLM3Config(
            vocab_size=128_002, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        )
    )  # fmt: skip
    decoder = diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.1] * 4, latents_std=[1.2] * 4,
    )  # fmt: skip
    return diffusers.BriaFiboPipeline(network, Flow(), decoder, text, chat_tokenizer())


def prx() -> Any:
    network = diffusers.PRXTransformer2DModel(
        in_channels=4, context_in_dim=16, hidden_size=16, num_heads=2, depth=1, axes_dim=[4, 4]
    )
    from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder

    module = {
        "vocab_size": len(t5_tokenizer()), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    }  # fmt: skip
    config = transformers.T5GemmaConfig(encoder=module, decoder=module, is_encoder_decoder=False)
    text = T5GemmaEncoder(config.encoder)
    return diffusers.PRXPipeline(network, Flow(shift=3.0), text, t5_tokenizer(), autoencoder(4, 0.36, 0.11), 16)


def lumina() -> Any:
    network = diffusers.LuminaNextDiT2DModel(
        sample_size=8, in_channels=4, hidden_size=24, num_layers=2, num_attention_heads=3, num_kv_heads=1,
        multiple_of=16, cross_attention_dim=16,
    )  # fmt: skip
    text = transformers.GemmaModel(
        transformers.GemmaConfig(
            vocab_size=len(t5_tokenizer()), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        )
    )  # fmt: skip
    return diffusers.LuminaPipeline(network, Flow(), autoencoder(4, 0.5), text, t5_tokenizer())


def ideogram4() -> Any:
    def network() -> Any:
        return diffusers.Ideogram4Transformer2DModel(
            **SMALL, in_channels=4, intermediate_size=32, adaln_dim=16, llm_features_dim=16 * 13,
            mrope_section=(4, 2, 2),
        )  # fmt: skip

    text = qwen3_vl(transformers.Qwen3VLModel, 36)
    return diffusers.Ideogram4Pipeline(Flow(), flux2_autoencoder(), text, chat_tokenizer(), network(), network())


def glm_image() -> Any:
    config = transformers.GlmImageConfig(
        text_config={
            "vocab_size": 512, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 512,
            "vision_vocab_size": 128, "rope_parameters": {"mrope_section": (4, 2, 2)}, "pad_token_id": 0,
            "eos_token_id": 1,
        },
        vision_config={
            "depth": 1, "hidden_size": 32, "num_heads": 2, "image_size": 32, "patch_size": 8, "intermediate_size": 32
        },
        vq_config={"embed_dim": 32, "num_embeddings": 128, "latent_channels": 32},
    )  # fmt: skip
    network = diffusers.GlmImageTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2, text_embed_dim=16,
        time_embed_dim=16, condition_dim=8, prior_vq_quantizer_codebook_size=128,
    )  # fmt: skip
    marks = {"image_token": "<|image|>", "grid_bos_token": "<sop>", "grid_eos_token": "<eop>"}
    tokenizer = chat_tokenizer(extra_special_tokens=marks, bos_token="<|bos|>")
    processor = transformers.GlmImageProcessor(
        image_processor=transformers.GlmImageImageProcessor(), tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )  # fmt: skip
    writer = transformers.GlmImageForConditionalGeneration(config)
    writer.generation_config.eos_token_id = None  # random weights would stop anywhere
    statistics = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
    scheduler = Flow(use_dynamic_shifting=True, time_shift_type="linear", base_shift=0.25, max_shift=0.75)
    return diffusers.GlmImagePipeline(
        t5_tokenizer(), processor, t5(16), writer, autoencoder(4, blocks=4, **statistics), network, scheduler,
    )  # fmt: skip


def qwen_image21() -> Any:
    network = diffusers.QwenImage21Transformer2DModel(
        **SMALL, in_channels=4, out_channels=4, context_in_dim=16, axes_dims_rope=(4, 6, 6)
    )
    decoder = diffusers.AutoencoderKLQwenImage21(
        base_dim=4, decoder_base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1,
        latents_mean=[0.1] * 4, latents_std=[1.2] * 4,
    )  # fmt: skip
    text = qwen3_vl(transformers.Qwen3VLForConditionalGeneration)
    return diffusers.QwenImage21Pipeline(Flow(shift=3.0), decoder, text, qwen3_vl_processor(), network)


def playground_v25() -> Any:
    network = unet(
        24, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=64,
        transformer_layers_per_block=(1, 1),
    )  # fmt: skip
    statistics = {"latents_mean": [-1.6, 1.1, 0.7, 1.0], "latents_std": [8.4, 5.9, 6.5, 5.2]}
    return diffusers.StableDiffusionXLPipeline(
        autoencoder(4, 0.5, **statistics), clip_text(8), clip_text(16, 16), clip_tokenizer(), clip_tokenizer(), network,
        diffusers.EDMEulerScheduler(), force_zeros_for_empty_prompt=True, add_watermarker=False,
    )  # fmt: skip


def deep_floyd() -> Any:
    from diffusers.models.attention_processor import AttnAddedKVProcessor

    torch.manual_seed(0)
    network = diffusers.UNet2DConditionModel(
        sample_size=16, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=16,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), in_channels=3, out_channels=6,
        encoder_hid_dim=16, attention_head_dim=8, addition_embed_type="text", addition_embed_type_num_heads=2,
        act_fn="gelu", resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    network.set_attn_processor(AttnAddedKVProcessor())
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=1.5,
        variance_type="learned_range", prediction_type="epsilon",
    )  # fmt: skip
    return diffusers.IFPipeline(
        t5_tokenizer(), t5(16), network, scheduler, None, None, None, requires_safety_checker=False
    )


def kandinsky22() -> Any:
    network = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=8, layers_per_block=1, block_out_channels=(32, 64),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), norm_num_groups=4,
        cross_attention_dim=16, attention_head_dim=8, addition_embed_type="image", encoder_hid_dim=16,
        encoder_hid_dim_type="image_proj", resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    prior = diffusers.PriorTransformer(
        num_attention_heads=2, attention_head_dim=8, embedding_dim=16, num_layers=1, num_embeddings=77
    )
    prior.clip_std.data.fill_(1.0)
    eyes = transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(
            hidden_size=16, image_size=224, projection_dim=16, intermediate_size=16, num_attention_heads=2,
            num_hidden_layers=1, patch_size=56,
        )
    )  # fmt: skip
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, prediction_type="epsilon"
    )
    return diffusers.KandinskyV22CombinedPipeline(
        network, scheduler, movq(), prior, eyes, clip_text(16, 16), clip_tokenizer(),
        diffusers.UnCLIPScheduler(prediction_type="sample", clip_sample_range=5.0),
        transformers.CLIPImageProcessor(crop_size=224, size=224),
    )  # fmt: skip


def movq() -> Any:
    return diffusers.VQModel(
        block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"], layers_per_block=1, norm_num_groups=8,
        norm_type="spatial", num_vq_embeddings=12, vq_embed_dim=4, latent_channels=4,
    )  # fmt: skip


def stable_cascade() -> Any:
    from diffusers.models import StableCascadeUNet
    from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import PaellaVQModel

    shared = {
        "in_channels": 4, "out_channels": 4, "conditioning_dim": 16, "block_out_channels": (16, 16),
        "down_num_layers_per_block": (1, 1), "up_num_layers_per_block": (1, 1), "down_blocks_repeat_mappers": (1, 1),
        "up_blocks_repeat_mappers": (1, 1), "switch_level": (False,), "clip_text_pooled_in_channels": 16,
        "kernel_size": 3, "timestep_ratio_embedding_dim": 16,
    }  # fmt: skip
    plain, attending = ("SDCascadeResBlock", "SDCascadeTimestepBlock"), "SDCascadeAttnBlock"
    decoder = StableCascadeUNet(
        **shared, num_attention_heads=(0, 2), patch_size=2, effnet_in_channels=4,
        block_types_per_layer=(plain, (*plain, attending)),
    )  # fmt: skip
    prior = StableCascadeUNet(
        **shared, num_attention_heads=(2, 2), patch_size=1, clip_text_in_channels=16, clip_image_in_channels=16,
        clip_seq=4, self_attn=True, block_types_per_layer=((*plain, attending),) * 2,
    )  # fmt: skip
    quantized = PaellaVQModel(levels=1, bottleneck_blocks=1, num_vq_embeddings=16)
    schedulers = [diffusers.DDPMWuerstchenScheduler() for _ in range(2)]
    return diffusers.StableCascadeCombinedPipeline(
        clip_tokenizer(), clip_text(16, 16), decoder, schedulers[0], quantized, prior, clip_text(16, 16),
        clip_tokenizer(), schedulers[1],
    )  # fmt: skip


def hunyuan_image(distilled: bool = False) -> Any:
    from diffusers.guiders import AdaptiveProjectedMixGuidance as Guider

    network = diffusers.HunyuanImageTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=4, attention_head_dim=8, num_layers=1, num_single_layers=1,
        num_refiner_layers=1, patch_size=(1, 1), guidance_embeds=distilled, text_embed_dim=16, text_embed_2_dim=16,
        rope_axes_dim=(4, 4), use_meanflow=distilled,
    )  # fmt: skip
    decoder = diffusers.AutoencoderKLHunyuanImage(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(32, 64, 64, 64), layers_per_block=1,
        scaling_factor=0.476986, spatial_compression_ratio=8, sample_size=128,
    )  # fmt: skip
    glyphs = transformers.T5EncoderModel(
        transformers.T5Config(d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, vocab_size=384)
    )
    starts = {"guider": 2, "ocr_guider": 3}
    guiders = {
        name: None if distilled else Guider(adaptive_projected_guidance_start_step=step)
        for name, step in starts.items()
    }
    return diffusers.HunyuanImagePipeline(
        scheduler=Flow(shift=7.0), vae=decoder, text_encoder=qwen25_vl(), tokenizer=chat_tokenizer(),
        text_encoder_2=glyphs, tokenizer_2=transformers.ByT5Tokenizer(), transformer=network, **guiders,
    )  # fmt: skip


def stable_diffusion_2() -> Any:
    """Stable Diffusion 2.1, which predicts v."""
    scheduler = ddim()
    scheduler.register_to_config(prediction_type="v_prediction")
    return diffusers.StableDiffusionPipeline(
        autoencoder(4, 0.18215), clip_text(16), clip_tokenizer(), unet(16), scheduler, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
