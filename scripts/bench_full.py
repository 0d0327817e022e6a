"""Full-size networks with random weights, which change no speed: DiT-XL/2 (which is SiT-XL/2) and SDXL's UNet.

python scripts/bench_full.py [--small] [dit_xl] [sdxl] needs a GPU, unless all is small. For each, in bfloat16, with
torch.compile and without: images a second, the share of the card's peak in the forward passes, the run over them, and
diffusers' own pipeline called once a noise.
"""

from __future__ import annotations

import argparse
import gc
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from bench_overhead import NFE, overhead, shares
from bench_tools import Grays, loaded, quiet, scratch, timed, words

from scaling.conditions.class_labels import ClassLabels
from scaling.engine.batch_size import measure, rate
from scaling.loading.devices import pick_device
from scaling.models.latent_dit import LatentDiT
from scaling.models.outline import published
from scaling.models.sdxl import SDXL
from scaling.protocols import Denoiser
from scaling.tools.plan import PEAKS

SIZES = {"dit_xl": (64, 8), "sdxl": (8, 4)}  # conditions, and candidates of each
LOOPED = 8  # calls of the plain loop
SMALL = 2  # conditions, candidates and the batch where all is small


def main(small: bool = False, names: Sequence[str] = tuple(SIZES)) -> dict[str, Any]:
    if not small and not torch.cuda.is_available():
        print("full      no GPU here: nothing measured")
        return {}
    quiet()
    results: dict[str, Any] = {"peak": peak()}
    with scratch() as folder:
        for name in names:
            save(name, folder / name, small)
            size, counts = (SMALL, (SMALL, SMALL)) if small else (None, SIZES[name])
            for compiled in (False, True):
                denoiser, label = load(name, folder, compiled), f"{name}{' compiled' * compiled}"
                results[label] = said = measured(name, denoiser, folder / "runs" / label, counts, size)
                size = said["batch_size"]  # one for both: each shape is compiled anew
                line(label, said)
                del denoiser
                gc.collect()
            results[f"{name} loop"] = looped = plain_loop(name, folder / name)
            print(f"full      {name:16} plain loop of diffusers, batch 1: {looped:.2f} images/s")
    return results


def line(name: str, said: dict[str, Any]) -> None:
    share = "" if said["utilization"] is None else f" ({said['utilization']:.0%} of the peak)"
    print(
        f"full      {name:16} batch {said['batch_size']:3}: {said['images_a_second']:.2f} images/s at {NFE} NFE, "
        f"forwards {said['tflops']:.3g} TFLOP/s{share}, run / bare forwards {said['ratio']['wall']:.3f}; batch 1 "
        f"reaches {said['alone']:.0%} of this rate; first calls {said['begun']:.1f} s; {shares(said['profile'])}"
    )


def peak() -> float | None:
    """TFLOP/s of bfloat16 by the data sheet of the card that is here, None where it is not known."""
    card = torch.cuda.get_device_name().lower().replace(" ", "") if torch.cuda.is_available() else ""
    return next((half for name, (_, half) in PEAKS.items() if name in card), None)


def measured(name: str, denoiser: Denoiser, folder: Path, counts: tuple[int, int], size: int | None) -> dict[str, Any]:
    """Rates and shares of one network; `counts` are conditions and candidates, `size` a batch measured before."""
    rows, candidates = counts
    conditions: Any = ClassLabels(count=rows, classes=1000) if name == "dit_xl" else words(rows)
    first = next(iter(conditions))
    size = measure(denoiser, first) if size is None else size
    begun = timed(lambda: rate(denoiser, first, size, 0.0))  # with all that the first call compiles
    said = overhead(denoiser, conditions, Grays(), candidates, folder, size)
    alone = rate(denoiser, first, 1, 1.0) / rate(denoiser, first, size, 1.0)
    forwards = said["calls"] * size * denoiser.forwards_per_call
    tflops = denoiser.gflops() * forwards / said["bare"]["wall"] / 1000
    limit = peak()
    images = rows * candidates / said["run"]["wall"]
    utilization = None if limit is None else tflops / limit
    return said | {
        "begun": begun.wall,
        "tflops": tflops,
        "utilization": utilization,
        "images_a_second": images,
        "alone": alone,
    }


def load(name: str, folder: Path, compiled: bool) -> Denoiser:
    path = str(folder / name)
    if name == "dit_xl":
        return LatentDiT(path=path, dtype="bfloat16", compile=compiled)
    return SDXL(path=path, guidance_scale=5.0, compile=compiled, prompt_cache=str(folder / "prompts"))


def plain_loop(name: str, path: Path) -> float:
    """Images a second of the pipeline that a user of diffusers calls once a noise."""
    pipe = loaded(path, pick_device("auto"), torch.bfloat16)
    prompts = itertools.cycle(condition.prompt for condition in words(LOOPED))

    def call() -> Any:
        if name == "dit_xl":
            return pipe(class_labels=[0], num_inference_steps=NFE, guidance_scale=1.0)
        return pipe(next(prompts), num_inference_steps=NFE, guidance_scale=5.0, output_type="pt")

    call()
    return LOOPED / timed(lambda: [call() for _ in range(LOOPED)]).wall


def save(name: str, folder: Path, small: bool) -> None:
    """Random weights, drawn where it is quick."""
    with pick_device("auto"):
        pipe = dit(small) if name == "dit_xl" else sdxl(small)
    pipe.to(torch.bfloat16).save_pretrained(folder)


def autoencoder(small: bool, scaling: float) -> Any:
    """That of Stable Diffusion and SDXL."""
    from diffusers import AutoencoderKL

    widths = (8, 16, 16, 16) if small else (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=widths, layers_per_block=2, latent_channels=4, norm_num_groups=8 if small else 32,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, scaling_factor=scaling,
    )  # fmt: skip


def dit(small: bool) -> Any:
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    shape = published("DiT-XL-2-256")
    if small:
        shape |= {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16}
    return DiTPipeline(DiTTransformer2DModel(**shape), autoencoder(small, 0.18215), DDIMScheduler(clip_sample=False))


def sdxl(small: bool) -> Any:
    """The base model's UNet and VAE; its text encoders in two layers, since each prompt is encoded once."""
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
    from tiny_pipelines import clip_text, clip_tokenizer, ddim

    widths, heads = ((32, 64, 64), (2, 4, 4)) if small else ((320, 640, 1280), (5, 10, 20))
    network = UNet2DConditionModel(
        sample_size=8 if small else 128, block_out_channels=widths, attention_head_dim=heads, layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), cross_attention_dim=2048,
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), use_linear_projection=True,
        transformer_layers_per_block=(1, 2, 2 if small else 10), addition_embed_type="text_time",
        addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    )  # fmt: skip
    texts = (clip_text(768), clip_text(1280, 1280), clip_tokenizer(), clip_tokenizer())
    return StableDiffusionXLPipeline(autoencoder(small, 0.13025), *texts, network, ddim())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny networks, on any machine: to try this script")
    parser.add_argument("names", nargs="*", default=list(SIZES), metavar="name", help=f"of {', '.join(SIZES)}")
    options = parser.parse_args()
    if unknown := set(options.names) - set(SIZES):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(SIZES)}")
    main(options.small, options.names)
