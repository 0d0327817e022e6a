"""diffusers' caches on a network: along a solve it uses again what it computed at earlier steps.

For drafts, whose winners are solved again without one. Only those caches are here that decide by the number of the
step: one that looks at the batch (first block, MagCache, SeaCache) answers a row by what else is in its batch.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import nn

KINDS = ("taylor_seer", "pyramid_attention")
_LOOKS_AT_THE_BATCH = ("first_block", "mag_cache", "sea_cache")
_BLOCK, _OUTPUT = r"[^.]*block[^.]*\.[^.]+", r"proj_out(_2)?"  # names of a transformer's parts


def apply_cache(network: nn.Module, cache: Mapping[str, Any]) -> None:
    """Puts hooks of diffusers on a transformer.

    `cache` is `{kind: taylor_seer, cache_interval: 3}` with the options of diffusers' configuration of that kind:
    TaylorSeer (2503.06923) extrapolates the output of all blocks between whole passes, pyramid attention (2408.12588)
    repeats attentions. ValueErrors name an unknown kind or option, and a network that has not what is cached.
    """
    from diffusers import hooks

    kind, options = str(cache.get("kind")), {key: value for key, value in cache.items() if key != "kind"}
    if kind not in KINDS:
        looks = kind in _LOOKS_AT_THE_BATCH
        why = "decides by the whole batch, which a row must not depend on; there are" if looks else "is none of"
        raise ValueError(f"cache.kind={kind} {why} {', '.join(KINDS)}")
    if kind == "taylor_seer":
        own = {**_parts(network), "taylor_factors_dtype": next(network.parameters()).dtype}
        hooks.apply_taylorseer_cache(network, _config(hooks.TaylorSeerCacheConfig, {**own, **options}))
    else:
        ranges = {f"{each}_attention_timestep_skip_range": (-1, 2) for each in ("spatial", "temporal", "cross")}
        always = {**ranges, "current_timestep_callback": lambda: 1}  # by the number of the step alone
        own = {"spatial_attention_block_skip_range": 2, **options, **always}
        hooks.apply_pyramid_attention_broadcast(network, _config(hooks.PyramidAttentionBroadcastConfig, own))
        if not any(hasattr(module, "_diffusers_hook") for module in network.modules()):
            raise ValueError(f"cache.kind={kind}: {type(network).__name__} has no attention of diffusers")
    begin(network)


def begin(network: nn.Module) -> None:
    """Forgets the steps of an earlier solve."""
    from diffusers.hooks.hooks import CacheContext, HookRegistry, _set_cache_context

    HookRegistry.check_if_exists_or_initialize(network).reset_stateful_hooks()
    _set_cache_context(network, CacheContext("solve"))


def gflops_along(network: nn.Module, forward: Callable[[], Any], cache: Mapping[str, Any], nfe: int) -> float:
    """GFLOPs of a forward on average over the `nfe` of a solve, of which a cache (empty: none) leaves some out.

    `network` is on the meta device: fused attention on the CPU would count 0. What `forward` makes is there too.
    """
    from torch.utils.flop_counter import FlopCounterMode

    if cache:
        apply_cache(network, cache)
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        for _ in range(nfe):
            forward()
    return counter.get_total_flops() / nfe / 1e9


def _parts(network: nn.Module) -> dict[str, list[str]]:
    """The blocks of a transformer, which are left out, and its last projection, whose output is extrapolated.

    A block without a second output (the last of SD 3) is computed: the hook knows tensors alone.
    """
    named = dict(network.named_modules())
    blocks = [n for n, m in named.items() if re.fullmatch(_BLOCK, n) and not getattr(m, "context_pre_only", False)]
    outputs = [name for name in named if re.fullmatch(_OUTPUT, name)]
    if not blocks or not outputs:
        raise ValueError(f"cache.kind=taylor_seer needs a transformer, which {type(network).__name__} is not")
    return {
        "skip_predict_identifiers": [re.escape(name) for name in blocks],
        "cache_identifiers": [re.escape(name) for name in outputs],
    }


def _config(kind: type, options: Mapping[str, Any]) -> Any:
    known = [each.name for each in fields(kind)]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ValueError(f"cache.{name} is no option of diffusers' {kind.__name__}; the nearest is {near[0]}")
    return kind(**options)
