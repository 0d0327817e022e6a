"""Small pipelines of families that no preset names, odd in what they are asked, in their rows or their stages."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import torch
import transformers
from tiny_newer_families import kandinsky22, movq
from tiny_parts import Flow, autoencoder, chat_tokenizer, flux2_autoencoder, qwen3, qwen3_vl, qwen3_vl_processor
from tiny_pipelines import BUILDERS, clip_text, clip_tokenizer, ddim, t5_tokenizer, unet


def perturbed_attention() -> Any:
    """Stable Diffusion 1 with a third row beside those of guidance."""
    return diffusers.StableDiffusionPAGPipeline(
        autoencoder(4), clip_text(16), clip_tokenizer(), unet(16), ddim(), None, None, requires_safety_checker=False
    )


def dreamlite() -> Any:
    """Its call takes a prompt alone, and no latents."""
    network = diffusers.DreamLiteUNetModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32, 64), cross_attention_dim=16,
        down_block_types=("CrossAttnDownRemoveSelfAttnBlock2D",) * 2 + ("CrossAttnDownBlock2D",),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpRemoveSelfAttnBlock2DV1", "UpBlock2D"),
        attention_head_dim=8, layers_per_block=1, norm_num_groups=8, transformer_layers_per_block=1,
    )  # fmt: skip
    sides = ("encoder", "decoder")
    decoder = diffusers.AutoencoderTiny(
        **{f"{side}_block_out_channels": (8, 8) for side in sides}, **{f"num_{side}_blocks": (1, 1) for side in sides}
    )
    text = qwen3_vl(transformers.Qwen3VLForConditionalGeneration)
    return diffusers.DreamLitePipeline(text, chat_tokenizer(), qwen3_vl_processor(), decoder, network, Flow())


def kandinsky21() -> Any:
    """The prompt is encoded by the prior, and again by the second stage."""
    from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP

    network = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=8, layers_per_block=1, block_out_channels=(32, 64),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", norm_num_groups=4, cross_attention_dim=16,
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), attention_head_dim=8,
        addition_embed_type="text_image", encoder_hid_dim=16, encoder_hid_dim_type="text_image_proj",
        resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    text = MultilingualCLIP(
        MCLIPConfig(
            numDims=16, transformerDimensions=16, hidden_size=16, intermediate_size=16, num_attention_heads=2,
            num_hidden_layers=1, vocab_size=len(t5_tokenizer()),
        )
    )  # fmt: skip
    prior = {name: part for name, part in kandinsky22().components.items() if name.startswith("prior_")}
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
    return diffusers.KandinskyCombinedPipeline(
        text, transformers.XLMRobertaTokenizer(), network, scheduler, movq(), **prior
    )


def prx_pixel() -> Any:
    """PRX without an autoencoder, its noise twice as large."""
    network = diffusers.PRXTransformer2DModel(
        patch_size=1, in_channels=3, context_in_dim=16, hidden_size=16, num_heads=2, depth=1, axes_dim=[4, 4],
        bottleneck_size=8, resolution_embeds=True,
    )  # fmt: skip
    text = qwen3(transformers.Qwen3Model)
    return diffusers.PRXPixelPipeline(
        network, Flow(), text, chat_tokenizer(), default_sample_size=16, prompt_max_tokens=16
    )


def stable_unclip() -> Any:
    """A prior in the call itself, with a scheduler of its own, and noise on what it says."""
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

    prior = diffusers.PriorTransformer(
        num_attention_heads=2, attention_head_dim=8, embedding_dim=16, num_layers=1, num_embeddings=77
    )
    prior.clip_std.data.fill_(1.0)
    cosine = {"beta_schedule": "squaredcos_cap_v2"}
    steps = diffusers.DDPMScheduler(
        variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=5.0, **cosine
    )
    scheduler = ddim()
    scheduler.register_to_config(prediction_type="v_prediction")
    network = unet(16, class_embed_type="projection", projection_class_embeddings_input_dim=32)
    return diffusers.StableUnCLIPPipeline(
        clip_tokenizer(), clip_text(16, 16), prior, steps, StableUnCLIPImageNormalizer(16),
        diffusers.DDPMScheduler(**cosine), clip_tokenizer(), clip_text(16), network, scheduler, autoencoder(4),
    )  # fmt: skip


def bria_fibo2() -> Any:
    network = diffusers.BriaFibo2Transformer2DModel(
        in_channels=1, patch_size=2, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, cap_feat_dim=48,
        injection_layer_ids=(1,), perceiver_num_layers=1, min_num_gist_tokens=8, max_num_gist_tokens=16, gist_step=8,
        gist_min_text_len=8, gist_max_text_len=64, axes_dims=(4, 6, 6),
    )  # fmt: skip
    text = qwen3_vl(transformers.Qwen3VLForConditionalGeneration, 36)
    return diffusers.BriaFibo2Pipeline(network, Flow(), flux2_autoencoder(), text, qwen3_vl_processor())


def flux_kontext() -> Any:
    """FLUX that edits an image where one is given."""
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        BUILDERS["flux_dev"](Path(folder))
        plain = diffusers.FluxPipeline.from_pretrained(folder, local_files_only=True)
    return diffusers.FluxKontextPipeline(**plain.components)
