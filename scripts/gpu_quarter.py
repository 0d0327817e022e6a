"""A GPU's quarter of an hour: what can only be measured on a card, part by part, each kept as soon as it is known.

python scripts/gpu_quarter.py [--small] [--out outputs/gpu.json] [part ...]; a part that the file has is not run again.
Networks are at full size with random weights, which change no speed; with --small they are tiny, to try the script
anywhere. Parts: dit_xl and sdxl (plain, compiled, diffusers' own loop), vae (decoding, compiled or not), flux (a solve
of FLUX.1-dev's transformer as it is, and as a draft with TaylorSeer).
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench_full import autoencoder
from bench_full import main as full

from scaling.loading.devices import pick_device
from scaling.models.packing import positions
from scaling.models.step_cache import apply_cache, begin

STEPS, TURNS = 28, 3
CACHE = {"kind": "taylor_seer", "cache_interval": 4, "disable_cache_before_step": 3}


def seconds(call: Callable[[], Any]) -> float:
    """Of the fastest of some calls, after a first one."""
    call()
    found = []
    for _ in range(TURNS):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found)


@torch.inference_mode()
def vae(small: bool) -> dict[str, float]:
    """Images of SDXL's decoder a second, 4 at a time, with `torch.compile` and without."""
    device, side, rows = pick_device("auto"), 16 if small else 128, 1 if small else 4
    network = autoencoder(small, 0.13025).to(device, torch.bfloat16).eval()
    latents = torch.randn(rows, 4, side, side, device=device, dtype=torch.bfloat16)
    said = {"plain": rows / seconds(lambda: network.decode(latents))}
    compiled = torch.compile(network.decode, dynamic=False)
    return said | {"compiled": rows / seconds(lambda: compiled(latents))}


@torch.inference_mode()
def flux(small: bool) -> dict[str, float]:
    """Seconds of a solve of one image of 1,024 pixels: whole, and as a draft that extrapolates three of four steps."""
    from diffusers import FluxTransformer2DModel

    device, side, tokens = pick_device("auto"), 8 if small else 64, 16 if small else 512
    sizes = {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 2} if small else {}
    with device:
        network = FluxTransformer2DModel(guidance_embeds=True, **sizes).to(torch.bfloat16).eval()
        one = torch.ones(1)
        inputs = {
            "hidden_states": torch.randn(1, side * side, 64).bfloat16(), "timestep": one.bfloat16(), "guidance": one,
            "encoder_hidden_states": torch.randn(1, tokens, 4096).bfloat16(), "txt_ids": torch.zeros(tokens, 3),
            "pooled_projections": torch.randn(1, 768).bfloat16(), "img_ids": positions(side, side, device),
        }  # fmt: skip

    def solve() -> None:
        for _ in range(STEPS):
            network(**inputs)

    said = {"whole": seconds(solve)}
    apply_cache(network, CACHE)

    def draft() -> None:
        begin(network)
        solve()

    said["draft"] = seconds(draft)
    return said | {"ratio": said["whole"] / said["draft"]}


PARTS: dict[str, Callable[[bool], Any]] = {
    "dit_xl": lambda small: full(small, ["dit_xl"]),
    "sdxl": lambda small: full(small, ["sdxl"]),
    "vae": vae,
    "flux": flux,
}


def main() -> None:
    """Runs the parts that the file lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny networks, on any machine: to try this script")
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu.json"))
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; none means all")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not options.small and not torch.cuda.is_available():
        parser.error("no GPU here; --small tries the script on any machine")
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.parts or PARTS:
        key = f"{card}, small" if options.small else card
        if name in results.setdefault(key, {}):
            continue
        start = time.perf_counter()
        said = PARTS[name](options.small)
        kept = {"results": said, "seconds": time.perf_counter() - start, "torch": torch.__version__}
        results[key][name] = kept | {"date": time.strftime("%Y-%m-%d")}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1))
        print(f"{name:8} {json.dumps(said)[:300]}", flush=True)


if __name__ == "__main__":
    main()
