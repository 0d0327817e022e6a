"""What GPUs can do, by their makers' data sheets, for plans."""

from __future__ import annotations

UTILIZATION = 0.4  # of the peak: on an H100 DiT-XL/2 reached 0.36, compiled 0.45, SDXL 0.38 (docs/performance.md)
PEAKS = {  # dense TFLOP/s: float32 outside tensor cores (torch's default), bfloat16 or float16 on them
    "h200": (67.0, 989.0),
    "h100": (67.0, 989.0),
    "a100": (19.5, 312.0),
    "l40s": (91.6, 362.0),
    "a10": (31.2, 125.0),
    "rtx4090": (82.6, 165.0),
    "v100": (15.7, 125.0),
    "t4": (8.1, 65.0),
}


def tflops_of(gpu: str, dtype: str) -> float:
    """The TFLOP/s that a model of this type is presumed to reach; a ValueError names the known GPUs."""
    if gpu.lower() not in PEAKS:
        raise ValueError(f"--gpu {gpu} is none of {', '.join(PEAKS)}; give --tflops, what yours reaches")
    single, half = PEAKS[gpu.lower()]
    return UTILIZATION * (single if dtype == "float32" else half)
