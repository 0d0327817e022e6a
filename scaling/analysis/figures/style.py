"""What things look like and are called in every picture: the same method has the same color everywhere.

Colors are Okabe and Ito's eight, told apart under the common color blindnesses; markers tell apart what shares one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from scaling.statistics import Interval

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK, GRAY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#B8A000",  # Okabe and Ito's yellow, darkened to be seen on white
    "#000000",
    "#777777",
)


class Look(NamedTuple):
    """A line's color, marker (matplotlib's letters) and dash ('-', '--', ':')."""

    color: str
    marker: str = "o"
    dash: str = "-"


LOOKS = {
    "search": {
        "none": Look(BLACK, "D", "--"),
        "steps": Look(BLACK, "D", "--"),
        "random": Look(BLUE, "o"),
        "zero_order": Look(RED, "s"),
        "paths": Look(GREEN, "^"),
        "first_order": Look(PURPLE, "v"),
        "smc": Look(ORANGE, "P"),
        "svdd": Look(SKY, "X"),
        "code": Look(YELLOW, "<"),
        "beam": Look(BLACK, "p"),
        "rbf": Look(ORANGE, "s"),
        "bfs": Look(GREEN, "X"),
        "dfs": Look(PURPLE, "P"),
        "eps_greedy": Look(RED, "^"),
        "evolutionary": Look(SKY, "o"),
        "reno": Look(YELLOW, "v"),
        "dno": Look(PURPLE, "o"),
        "modal": Look(GREEN, "D"),
    },
    "verifier": {
        "control": Look(GRAY, "d", ":"),
        "classifier": Look(BLUE, "o"),
        "oracle": Look(RED, "s"),
        "shapes_modal": Look(GREEN, "D"),
        "self_supervised": Look(GREEN, "^"),
        "inception_oracle": Look(RED, "s"),
        "fid_oracle": Look(PURPLE, "v"),
        "dino_linear": Look(BLUE, "o"),
        "clip_zero_shot": Look(ORANGE, "P"),
        "clip_self_supervised": Look(YELLOW, "<"),
        "dino_self_supervised": Look(GREEN, "^"),
        "aesthetic": Look(ORANGE, "P"),
        "shapes_aesthetic": Look(ORANGE, "P"),
        "clip_score": Look(BLUE, "o"),
        "shapes_clip": Look(BLUE, "o"),
        "image_reward": Look(GREEN, "^"),
        "shapes_self_supervised": Look(GREEN, "^"),
        "ensemble": Look(RED, "s"),
        "mean_rank": Look(RED, "s"),
        "shapes_ensemble": Look(RED, "s"),
        "llm_grader": Look(PURPLE, "v"),
    },
    "model": {
        "fashion_s": Look(SKY, "^"),
        "fashion_m": Look(BLUE, "o"),
        "fashion_l": Look(RED, "s"),
        "sit_b": Look(SKY, "^"),
        "sit_l": Look(BLUE, "o"),
        "sit_xl": Look(RED, "s"),
    },
}
SPARE = tuple(
    Look(color, marker) for marker in "hp*>8" for color in (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, YELLOW, BLACK)
)

NAMES = {
    "fid": "FID",
    "kid": "KID",
    "fd_efficientnet": "FD, EfficientNet",
    "kid_efficientnet": "KID, EfficientNet",
    "inception_score": "Inception score",
    "clip_score": "CLIP score",
    "image_reward": "ImageReward",
    "llm_grader": "LLM grader",
    "pickscore": "PickScore",
    "hps_v2": "HPS v2.1",
    "hps_v3": "HPS v3",
    "unified_reward": "UnifiedReward",
    "nfe": "NFE",
    "search_nfe": "search NFE",
    "paper_nfe": "NFE, as the paper counts",
    "gflops": "GFLOPs of the denoiser",
    "total_gflops": "GFLOPs, all networks",
    "paper_gflops": "GFLOPs, as the paper counts",
    "forwards": "network forwards",
    "seconds": "seconds",
    "steps": "more denoising steps",
    "none": "more denoising steps",
    "control": "control (no information)",
    "smc": "SMC",
    "smc_funnel": "SMC, funnel",
    "smc_tempered": "SMC, tempered",
    "halving_reuse": "halving, free rungs",
    "modal": "modal (ours)",
    "dts": "DTS",
    "dts_greedy": "DTS, greedy",
    "ses": "SES",
    "pcn": "pCN",
    "trust_region": "trust region",
    "shapes_modal": "CLIP, modal",
    "shapes_weak": "weak judge",
    "shapes_middling": "middling judge",
    "shapes_strong": "strong judge",
    "svdd": "SVDD",
    "rbf": "RBF",
    "reno": "ReNO",
    "bfs": "BFS",
    "dfs": "DFS",
    "sit_xl": "SiT-XL",
    "sit_l": "SiT-L",
    "sit_b": "SiT-B",
    "flux_dev": "FLUX.1-dev",
    "pixart_sigma": "PixArt-Σ",
    "sdxl": "SDXL",
    "sdxl_dpo": "SDXL-DPO",
    "dino_linear": "DINO",
    "clip_zero_shot": "CLIP",
    "dino_self_supervised": "DINO, self-supervised",
    "clip_self_supervised": "CLIP, self-supervised",
    "siglip_self_supervised": "SigLIP, self-supervised",
    "shapes_clip": "shapes' CLIP",
    "shapes_clip_1": "shapes' CLIP, early",
    "shapes_reader": "shapes' reader",
    "shapes_reader_1": "shapes' reader, early",
    "shapes_reader_2": "shapes' reader, less early",
    "shapes_oracle": "the exact judge",
    "shapes_aesthetic": "shapes' aesthetic",
    "shapes_ensemble": "ensemble",
    "shapes_self_supervised": "CLIP, self-supervised",
    "mean_rank": "ensemble",
    "inception_oracle": "IS oracle",
    "fid_oracle": "FID oracle",
    "fid_oracle_fashion": "FID oracle",
    "bvqa_color": "Color",
    "bvqa_shape": "Shape",
    "bvqa_texture": "Texture",
    "unidet_spatial": "Spatial",
    "unidet_numeracy": "Numeracy",
}
FALLING = ("fid", "fd", "kid", "sfid", "loss", "mse", "lpips")


def look(kind: str, name: str) -> Look:
    """The look of a search, verifier or model; variants such as `zero_order_4` share their method's color."""
    known = LOOKS.get(kind, {})
    if name in known:
        return known[name]
    if family(kind, name) in known:
        return known[family(kind, name)]
    return SPARE[_digest(name) % len(SPARE)]


def family(kind: str, name: str) -> str:
    """The method that a variant belongs to: `zero_order_4` is `zero_order`; others are their own."""
    return max((each for each in LOOKS.get(kind, {}) if name.startswith(f"{each}_")), key=len, default=name)


def rank(kind: str, name: str) -> tuple[int, str]:
    """Sorts names in the order in which this file lists them, unknown ones after."""
    known = list(LOOKS.get(kind, {}))
    place = family(kind, name) if name not in known else name
    return (known.index(place) if place in known else len(known)), name


def shade(base: Look, place: int, count: int) -> Look:
    """One of several looks that share a color: mixed with white, lightest first, each with its own marker."""
    if count < 2:
        return base
    white = 0.55 * (1 - place / (count - 1))
    mixed = [round(int(base.color[at : at + 2], 16) * (1 - white) + 255 * white) for at in (1, 3, 5)]
    markers = base.marker + "os^DvPX".replace(base.marker, "")
    return base._replace(color="#" + "".join(f"{part:02x}" for part in mixed), marker=markers[place % len(markers)])


def pretty(name: str) -> str:
    """A name as a reader expects it: `inception_score` is "Inception score"."""
    return NAMES.get(name, name.replace("_", " "))


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], words: int | None = None) -> str:
    """A Markdown table, without a last line end; columns after the first `words` are numbers, set to the right."""
    left = len(head) if words is None else words
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def signed(apart: Interval) -> str:
    """A difference with its sign and interval, bold where that leaves 0 out; empty where there is none (NaN)."""
    if apart.value != apart.value:
        return ""
    text = f"{apart.value:+.3f} [{apart.low:.3f}, {apart.high:.3f}]"
    return f"**{text}**" if apart.excludes_zero else text


def lower_is_better(metric: str) -> bool:
    """Whether smaller values of a metric are better, as for FID and KID."""
    return any(metric == each or metric.startswith(f"{each}_") or metric.endswith(f"_{each}") for each in FALLING)


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")
