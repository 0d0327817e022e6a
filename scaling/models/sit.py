"""SiT (Ma et al. 2401.08740) from its official checkpoints, run under the names of diffusers' `DiTTransformer2DModel`.

Its own time runs the other way (0 noise, 1 data) and its velocity is data - noise; both are turned at this edge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from scaling.contents import digest
from scaling.files import user_path
from scaling.loading.checkpoints import read_entry, read_state, refuse_not_finite
from scaling.loading.devices import dtype_of, pick_device
from scaling.loading.hub import find_file
from scaling.models.blocks import compile_blocks
from scaling.models.class_latents import ClassLatents
from scaling.models.dit import build, guidance_named
from scaling.models.outline import Outline, published
from scaling.models.vae import VAE
from scaling.schedules import Flow

HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}  # of the published widths: S, B, L, XL; no checkpoint says it

# Official module names and diffusers' (what follows them, weight or bias, stays).
_OUTSIDE = {
    "x_embedder.proj": "pos_embed.proj",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}
_EVERY_BLOCK = {
    "t_embedder.mlp.0": "norm1.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "norm1.emb.timestep_embedder.linear_2",
    "y_embedder.embedding_table": "norm1.emb.class_embedder.embedding_table",
}
_BLOCK = {
    "adaLN_modulation.1": "norm1.linear",
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}


class SiT(ClassLatents):
    """The published models and anything trained with their code: class labels in, latents of a VAE out.

    `path` is a checkpoint (.pt with an `ema` entry or bare keys, or safetensors): a local file, or `owner/name/file`
    on the hub. `heads` is needed for widths other than the published ones. Guidance acts on the first
    `guided_channels` of the latent, as the authors' code does. Weights and activations are in `dtype`, all else fp32.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})
    predicts = "velocity"

    def __init__(
        self,
        *,
        path: str,
        vae: VAE,
        heads: int | None = None,
        guidance_scale: float = 1.0,
        guided_channels: int = 3,
        dtype: str = "float32",
        compile: bool = False,
        device: str = "auto",
    ) -> None:
        number = dtype_of(dtype, "model.dtype")
        file = find_file(path)
        state = read_checkpoint(file)
        refuse_not_finite(state, file)
        self._architecture = architecture(state, heads)
        self.schedule = Flow()
        self.vae = vae
        self.device = pick_device(device)
        self.guidance_scale = float(guidance_scale)
        self.forwards_per_call = 1 if self.guidance_scale <= 1 else 2
        size = self._architecture["sample_size"]
        self.latent_shape: tuple[int, ...] = (self._architecture["in_channels"], size, size)
        network = load(self._architecture, state).to(self.device, number).eval().requires_grad_(False)
        if compile:
            compile_blocks(network)
        self._network = network
        self._dtype, self._guided_channels = number, guided_channels
        self._identity = {
            "class": "SiT",
            "architecture": self._architecture,
            "weights": digest(file),
            "guidance_scale": guidance_named(self.guidance_scale),
            "guided_channels": guided_channels,
            "dtype": dtype,
            "compile": compile,
        }

    @classmethod
    def outline(cls, options: Mapping[str, Any]) -> Outline:
        """What a plan reads of the model that these options would load."""
        path = user_path(options["path"])
        known = architecture(read_checkpoint(path), options["heads"]) if path.is_file() else published(options["path"])
        return Outline(known, Flow(), float(options["guidance_scale"]), options)

    def _forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """noise - data, from one pass of the network; a learned variance (twice the channels) is dropped."""
        out = self._network(x.to(self._dtype), timestep=1 - t, class_labels=labels)
        return -out[:, : x.shape[1]].float()


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The averaged weights where the file has them, in the official names; a ValueError for anything else."""
    if file.name.startswith("DiT-"):  # the same names of weights
        raise ValueError(f"{file} is named like a DiT, which predicts the noise: model=dit_xl reads diffusers' format")
    state = read_state(file)
    arguments = read_entry(file, "args")
    for name, needed in (("prediction", "velocity"), ("path_type", "Linear")):
        if (found := getattr(arguments, name, needed)) != needed:
            raise ValueError(f"{file} was trained with {name}={found}: {needed} is needed")
    if "x_embedder.proj.weight" not in state:
        shown = ", ".join(sorted(map(str, state))[:3])
        raise ValueError(f"{file} is no SiT checkpoint: it has {shown}... and not x_embedder.proj.weight")
    return state


def architecture(state: Mapping[str, Tensor], heads: int | None = None) -> dict[str, Any]:
    """The arguments of `DiTTransformer2DModel` that a checkpoint in the official names implies."""
    width, channels, patch, _ = state["x_embedder.proj.weight"].shape
    heads = HEADS.get(width) if heads is None else heads
    if heads is None or width % heads:
        raise ValueError(f"model.heads={heads} for a width of {width}: the number of heads, a divisor of it, is needed")
    return {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": channels,
        "out_channels": len(state["final_layer.linear.bias"]) // patch**2,
        "num_layers": 1 + max(int(m[1]) for key in state if (m := re.match(r"blocks\.(\d+)\.", key))),
        "sample_size": patch * round(state["pos_embed"].shape[1] ** 0.5),
        "patch_size": patch,
        "num_embeds_ada_norm": len(state["y_embedder.embedding_table.weight"]) - 1,
        "norm_eps": 1e-6,
    }


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to those of `DiTTransformer2DModel`; a ValueError names a key that has no place there."""
    blocks = {m[1] for key in state if (m := re.match(r"blocks\.(\d+)\.", key))}
    converted: dict[str, Tensor] = {}
    for key, value in state.items():
        if block := re.fullmatch(r"blocks\.(\d+)\.(.+)", key):
            places = _convert_block(block[2], value)
            converted |= {f"transformer_blocks.{block[1]}.{name}": part for name, part in places.items()}
        elif name := _renamed(key, _EVERY_BLOCK):
            converted |= {f"transformer_blocks.{i}.{name}": value for i in blocks}
        elif name := _renamed(key, _OUTSIDE):
            converted[name] = value
        elif key != "pos_embed":  # fixed sines and cosines, which diffusers makes itself
            raise ValueError(f"the checkpoint's {key} has no place in a SiT")
    return converted


def load(architecture: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    """The network with a checkpoint's weights; all blocks share one embedding of time and label, as in the original."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):  # drawing 675 million weights to overwrite them takes a minute
        network: Any = build(architecture, frequency_shift=0)  # DDPM's and diffusers' is 1
    shared = network.transformer_blocks[0].norm1.emb
    for block in network.transformer_blocks:
        block.norm1.emb = shared
    try:
        network.load_state_dict(convert(state), assign=True)
    except RuntimeError as error:
        raise ValueError(f"the checkpoint does not fit a SiT: {' '.join(str(error).split())}") from None
    return network


def _convert_block(name: str, value: Tensor) -> dict[str, Tensor]:
    if name.startswith("attn.qkv."):
        kind = name.removeprefix("attn.qkv.")
        return {f"attn1.to_{part}.{kind}": piece for part, piece in zip("qkv", value.chunk(3), strict=True)}
    renamed = _renamed(name, _BLOCK)
    if renamed is None:
        raise ValueError(f"the checkpoint's blocks.*.{name} has no place in a SiT")
    return {renamed: value}


def _renamed(key: str, table: Mapping[str, str]) -> str | None:
    module, _, kind = key.rpartition(".")
    return f"{table[module]}.{kind}" if module in table else None
