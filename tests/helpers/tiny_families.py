"""More small pipelines of diffusers, of families that have no adapter here, saved in the real format.

Each is made of the smallest parts that its own call accepts. `FAMILIES` says how each is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import tiny_further_families as further
import tiny_newer_families as newer
import torch
import transformers
from tiny_parts import (
    WORDS,
    Flow,
    autoencoder,
    chat_tokenizer,
    flux2_autoencoder,
    gemma2,
    qwen3,
    qwen25_vl,
    words_tokenizer,
)
from tiny_pipelines import BUILDERS, clip_text, clip_tokenizer, t5, t5_tokenizer, unet
from torch import nn


@dataclass(frozen=True)
class Family:
    """How to build a family's pipeline, and how `Pipeline` is asked for it."""

    build: Callable[[], Any] | None  # None: one of tiny_pipelines
    height: int = 16
    options: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)  # further arguments of `Pipeline`
    steps: int = 4  # of the whole solve that is compared: 1 where the own step draws noise


def flux2_klein(distilled: bool = False, kind: str = "Flux2KleinPipeline") -> Any:
    network = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, timestep_guidance_channels=256, axes_dims_rope=[4, 4, 4, 4], guidance_embeds=False,
    )  # fmt: skip
    parts = (Flow(use_dynamic_shifting=True), flux2_autoencoder(), qwen3(), chat_tokenizer(), network)
    return getattr(diffusers, kind)(*parts, is_distilled=distilled)


def flux2() -> Any:
    text = {
        "model_type": "mistral", "vocab_size": WORDS, "hidden_size": 16, "intermediate_size": 16, "head_dim": 8,
        "max_position_embeddings": 512, "num_attention_heads": 2, "num_hidden_layers": 2, "num_key_value_heads": 2,
        "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 4,
    }  # fmt: skip
    eyes = {
        "model_type": "pixtral", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "image_size": 30, "patch_size": 6, "num_channels": 3,
    }  # fmt: skip
    encoder = transformers.Mistral3ForConditionalGeneration(
        transformers.Mistral3Config(text_config=text, vision_config=eyes)
    )
    network = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, timestep_guidance_channels=256, axes_dims_rope=[4, 4, 4, 4], guidance_embeds=True,
    )  # fmt: skip
    scheduler = Flow(use_dynamic_shifting=True)
    return diffusers.Flux2Pipeline(scheduler, flux2_autoencoder(), encoder, chat_tokenizer(), network)


def z_image() -> Any:
    network = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, cap_feat_dim=16, axes_dims=[8, 4, 4], axes_lens=[256, 32, 32],
    )  # fmt: skip
    for token in (network.x_pad_token, network.cap_pad_token):
        nn.init.ones_(token)
    autoencoder_ = autoencoder(16, 0.3611, 0.1159)
    return diffusers.ZImagePipeline(
        Flow(shift=3.0), autoencoder_, qwen3(transformers.Qwen3Model), chat_tokenizer(), network
    )  # fmt: skip


def chroma() -> Any:
    network = diffusers.ChromaTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=[4, 4, 8], approximator_hidden_dim=32, approximator_layers=1,
        approximator_num_channels=16,
    )  # fmt: skip
    return diffusers.ChromaPipeline(Flow(), autoencoder(1, 1.5, 0.06, 1), t5(16), t5_tokenizer(), network)


def lumina2() -> Any:
    network = diffusers.Lumina2Transformer2DModel(
        sample_size=4, patch_size=2, in_channels=4, hidden_size=8, num_layers=2, num_attention_heads=1,
        num_kv_heads=1, multiple_of=16, axes_dim_rope=[4, 2, 2], cap_feat_dim=8, scaling_factor=1.0,
    )  # fmt: skip
    return diffusers.Lumina2Pipeline(network, Flow(shift=6.0), autoencoder(4, 1.5, 0.06), gemma2(), t5_tokenizer())


def cogview3() -> Any:
    network = diffusers.CogView3PlusTransformer2DModel(
        patch_size=2, in_channels=4, num_layers=1, attention_head_dim=4, num_attention_heads=2, out_channels=4,
        text_embed_dim=16, time_embed_dim=8, condition_dim=2, pos_embed_max_size=8, sample_size=8,
    )  # fmt: skip
    scheduler = diffusers.CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    return diffusers.CogView3PlusPipeline(t5_tokenizer(), t5(16), autoencoder(4), network, scheduler)


def cogview4() -> Any:
    network = diffusers.CogView4Transformer2DModel(
        patch_size=2, in_channels=4, num_layers=2, attention_head_dim=4, num_attention_heads=4, out_channels=4,
        text_embed_dim=32, time_embed_dim=8, condition_dim=4,
    )  # fmt: skip
    encoder = transformers.GlmForCausalLM(
        transformers.GlmConfig(
            hidden_size=32, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=8, vocab_size=WORDS, pad_token_id=0,
        )
    )  # fmt: skip
    scheduler = Flow(
        base_shift=0.25, max_shift=0.75, base_image_seq_len=256, use_dynamic_shifting=True, time_shift_type="linear"
    )
    return diffusers.CogView4Pipeline(t5_tokenizer(), encoder, autoencoder(4), network, scheduler)


def omnigen() -> Any:
    network = diffusers.OmniGenTransformer2DModel(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=4, intermediate_size=32, num_layers=1,
        in_channels=4, time_step_dim=4, vocab_size=WORDS, pad_token_id=0,
        rope_scaling={"long_factor": [1, 2], "short_factor": [1, 2]},
    )  # fmt: skip
    scheduler = Flow(invert_sigmas=True, num_train_timesteps=1)
    return diffusers.OmniGenPipeline(network, scheduler, autoencoder(4, blocks=4), chat_tokenizer())


def aura_flow() -> Any:
    network = diffusers.AuraFlowTransformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=16, out_channels=4,
        pos_embed_max_size=256,
    )  # fmt: skip
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    encoder = transformers.UMT5EncoderModel(transformers.UMT5Config(vocab_size=len(t5_tokenizer()), **shape))
    return diffusers.AuraFlowPipeline(t5_tokenizer(), encoder, autoencoder(4), network, Flow(shift=1.73))


def bria() -> Any:
    network = diffusers.BriaTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=None, axes_dims_rope=[0, 4, 4],
    )  # fmt: skip
    return diffusers.BriaPipeline(network, Flow(), autoencoder(4, 0.13, 0.0, 1), t5(16), t5_tokenizer())


def pixart_alpha() -> Any:
    network = diffusers.PixArtTransformer2DModel(
        sample_size=8, num_layers=2, attention_head_dim=8, num_attention_heads=3, caption_channels=16, in_channels=4,
        cross_attention_dim=24, out_channels=8, num_embeds_ada_norm=1000, use_additional_conditions=False,
    )  # fmt: skip
    scheduler = diffusers.DPMSolverMultistepScheduler(beta_start=1e-4, beta_end=2e-2)
    return diffusers.PixArtAlphaPipeline(t5_tokenizer(), t5(16), autoencoder(4), network, scheduler)


def hunyuan_dit() -> Any:
    network = diffusers.HunyuanDiT2DModel(
        sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3, in_channels=4,
        cross_attention_dim=16, cross_attention_dim_t5=16, pooled_projection_dim=16, hidden_size=24,
        activation_fn="gelu-approximate", text_len=77, text_len_t5=256,
    )  # fmt: skip
    encoder = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=80, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
    )
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.02, prediction_type="v_prediction",
        steps_offset=1, clip_sample=False,
    )  # fmt: skip
    return diffusers.HunyuanDiTPipeline(
        autoencoder(4, blocks=4), encoder, words_tokenizer(), network, scheduler, None, None, False, t5(16),
        t5_tokenizer(),
    )  # fmt: skip


def kandinsky3() -> Any:
    network = diffusers.Kandinsky3UNet(
        in_channels=4, time_embedding_dim=4, groups=2, attention_head_dim=4, layers_per_block=3,
        block_out_channels=(32, 64), cross_attention_dim=4, encoder_hid_dim=16,
    )  # fmt: skip
    movq = diffusers.VQModel(
        block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"], layers_per_block=1, norm_num_groups=8,
        norm_type="spatial", num_vq_embeddings=12, vq_embed_dim=4, latent_channels=4,
    )  # fmt: skip
    scheduler = diffusers.DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, steps_offset=1, beta_schedule="squaredcos_cap_v2", clip_sample=True
    )
    return diffusers.Kandinsky3Pipeline(t5_tokenizer(), t5(16), network, scheduler, movq)


def lcm() -> Any:
    scheduler = diffusers.LCMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    return diffusers.LatentConsistencyModelPipeline(
        autoencoder(4), clip_text(16), clip_tokenizer(), unet(16, time_cond_proj_dim=32), scheduler, None, None, None,
        False,
    )  # fmt: skip


def sana_sprint() -> Any:
    network = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8,
        sample_size=16, qk_norm="rms_norm_across_heads", guidance_embeds=True,
    )  # fmt: skip
    deep = diffusers.AutoencoderDC(
        latent_channels=4, attention_head_dim=2, encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1), encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()), scaling_factor=0.41407,
    )  # fmt: skip
    return diffusers.SanaSprintPipeline(t5_tokenizer(), gemma2(), deep, network, diffusers.SCMScheduler())


def kandinsky5() -> Any:
    network = diffusers.Kandinsky5Transformer3DModel(
        in_visual_dim=16, in_text_dim=16, in_text_dim2=16, time_dim=16, out_visual_dim=16, patch_size=(1, 2, 2),
        model_dim=16, ff_dim=32, num_text_blocks=1, num_visual_blocks=2, axes_dims=(1, 1, 2), visual_cond=False,
        attention_type="regular",
    )  # fmt: skip
    return diffusers.Kandinsky5T2IPipeline(
        network, autoencoder(16, 0.36, 0.11), qwen25_vl(), chat_tokenizer(), clip_text(16), clip_tokenizer(),
        Flow(shift=5.0),
    )  # fmt: skip


def hidream() -> Any:
    network = diffusers.HiDreamImageTransformer2DModel(
        patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_channels=[32, 16], text_emb_dim=16, num_routed_experts=4,
        num_activated_experts=2, axes_dims_rope=(4, 2, 2), max_resolution=(32, 32), llama_layers=(0, 1),
    )  # fmt: skip
    llama = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=WORDS, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
        )
    )
    llama.generation_config.pad_token_id = 1
    return diffusers.HiDreamImagePipeline(
        Flow(shift=3.0), autoencoder(4, 0.36, 0.11, 4), clip_text(8, 8), clip_tokenizer(), clip_text(8, 8),
        clip_tokenizer(), t5(32), t5_tokenizer(), llama, chat_tokenizer(), network,
    )  # fmt: skip


KLEIN = {"max_sequence_length": 64, "text_encoder_out_layers": [1]}
SANA = {"use_resolution_binning": False, "complex_human_instruction": None}
FAMILIES: dict[str, Family] = {
    "flux2_klein": Family(flux2_klein, 8, KLEIN),
    "flux2_klein_distilled": Family(lambda: flux2_klein(True), 8, KLEIN),
    "flux2": Family(flux2, 8, {"max_sequence_length": 256, "text_encoder_out_layers": [1]}),
    "z_image": Family(z_image, 16, {"max_sequence_length": 64}),
    "chroma": Family(chroma, 8, {"max_sequence_length": 48}),
    "lumina2": Family(lumina2),
    "cogview3": Family(cogview3, 16, {"max_sequence_length": 16}),
    "cogview4": Family(cogview4, 16, {"max_sequence_length": 16}),
    "omnigen": Family(omnigen),
    "aura_flow": Family(aura_flow),
    "bria": Family(bria, 16, {"max_sequence_length": 48}),
    "pixart_alpha": Family(pixart_alpha, 16, {"use_resolution_binning": False}),
    "hunyuan_dit": Family(hunyuan_dit, 64, {"use_resolution_binning": False}),
    "kandinsky3": Family(kandinsky3),
    "lcm": Family(lcm, steps=1),
    "sana_sprint": Family(sana_sprint, 32, {"max_sequence_length": 16, **SANA}, steps=1),
    "kandinsky5": Family(kandinsky5, 64, {"max_sequence_length": 128}),
    "hidream": Family(hidream, 32, {"max_sequence_length": 64}),
    "krea2": Family(newer.krea2, 16, {"max_sequence_length": 64}),
    "longcat_image": Family(newer.longcat_image, 16, {"enable_prompt_rewrite": False}),
    "ovis_image": Family(newer.ovis_image),
    "ernie_image": Family(newer.ernie_image),
    "nucleus_image": Family(newer.nucleus_image, 16, {"max_sequence_length": 64, "return_index": 1}),
    "joyimage_edit": Family(newer.joyimage_edit),
    "bria_fibo": Family(newer.bria_fibo),
    "prx": Family(newer.prx, 16, {"use_resolution_binning": False}),
    "lumina": Family(newer.lumina),
    "ideogram4": Family(newer.ideogram4, 16, {"max_sequence_length": 64}, {"guidance_scale": 7.0}),
    "glm_image": Family(newer.glm_image, 32, {"max_sequence_length": 16}),
    "qwen_image21": Family(newer.qwen_image21, 32),
    "playground_v25": Family(newer.playground_v25),
    "deep_floyd": Family(newer.deep_floyd),
    "kandinsky22": Family(newer.kandinsky22, 64),
    "stable_cascade": Family(newer.stable_cascade, 128),
    "stable_diffusion_2": Family(newer.stable_diffusion_2),
    "pag": Family(further.perturbed_attention),
    "dreamlite": Family(further.dreamlite),
    "kandinsky21": Family(further.kandinsky21, options={"prior_num_inference_steps": 2}),
    "prx_pixel": Family(further.prx_pixel, options={"use_resolution_binning": False}),
    "stable_unclip": Family(further.stable_unclip, options={"prior_num_inference_steps": 2}),
    "bria_fibo2": Family(further.bria_fibo2),
    "flux_kontext": Family(further.flux_kontext, options={"max_area": 256, "_auto_resize": False}),
    "flux_dev": Family(None),
    "flux_schnell": Family(None),
    "sd3": Family(None),
    "sd15": Family(None),
    "sdxl": Family(None),
    "sdxl_turbo": Family(None, model={"guidance_scale": 0.0}),
    "pixart_sigma": Family(None, options={"use_resolution_binning": False}),
    "sana": Family(None, 32, SANA),
    "qwen_image": Family(None),
}
WHOLE: dict[str, Callable[[], Any]] = {  # of those that are for whole solves alone
    "hunyuan_image": newer.hunyuan_image,
    "hunyuan_image_distilled": lambda: newer.hunyuan_image(True),
}


def save_family(name: str, folder: Path) -> Path:
    """Builds a family's pipeline with weights from one seed and returns its folder."""
    torch.manual_seed(0)
    build = WHOLE.get(name) or FAMILIES[name].build
    if build is None:
        BUILDERS[name](folder)
        return folder
    pipe = build()
    for part in pipe.components.values():
        if isinstance(part, nn.Module):
            _filled(part.eval())
    pipe.save_pretrained(folder)
    return folder


@torch.no_grad()
def _filled(network: nn.Module) -> None:
    """Weights that are left empty, zero or huge would hide what a test looks for."""
    generator = torch.Generator().manual_seed(1)
    for weight in network.parameters():
        if weight.numel() and (not torch.isfinite(weight).all() or weight.abs().max() == 0 or weight.abs().max() > 100):
            weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
