"""The class-conditional transformer of DiT (Peebles & Xie 2212.09748, section 3.2, adaLN-Zero).

The same network as diffusers' `DiTTransformer2DModel`: its names of weights, its arithmetic bit by bit (a test holds
both), without the import of a whole library of models before the first sample.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention, silu

FREQUENCIES = 256  # of the timestep's sines and cosines


class ClassTransformer(nn.Module):
    """Predicts from a noisy image, its time and its class; label `num_embeds_ada_norm` is "no class".

    `frequency_shift` is how much shorter than their number the frequencies' scale is: 1 in DDPM's code and diffusers',
    0 in DiT's own and SiT's.
    """

    def __init__(
        self,
        *,
        num_attention_heads: int = 16,
        attention_head_dim: int = 72,
        in_channels: int = 4,
        out_channels: int | None = None,
        num_layers: int = 28,
        attention_bias: bool = True,
        sample_size: int = 32,
        patch_size: int = 2,
        num_embeds_ada_norm: int = 1000,
        norm_eps: float = 1e-5,
        frequency_shift: int = 1,
    ) -> None:
        super().__init__()
        width = num_attention_heads * attention_head_dim
        self.patch_size, self.out_channels = patch_size, out_channels or in_channels
        self.pos_embed = Patches(in_channels, width, patch_size, sample_size // patch_size)
        self.transformer_blocks = nn.ModuleList(
            Block(width, num_attention_heads, num_embeds_ada_norm, attention_bias, norm_eps, frequency_shift)
            for _ in range(num_layers)
        )
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.proj_out_1 = nn.Linear(width, 2 * width)
        self.proj_out_2 = nn.Linear(width, patch_size**2 * self.out_channels)

    def forward(
        self, x: Float[Tensor, "n c h w"], timestep: Float[Tensor, " n"], class_labels: Int[Tensor, " n"]
    ) -> Float[Tensor, "n out h w"]:
        """The network's own output, in the dtype of x."""
        x = self.pos_embed(x)
        for block in self.transformer_blocks:
            x = block(x, timestep, class_labels)
        first: Any = self.transformer_blocks[0]
        condition = first.norm1.emb(timestep, class_labels, x.dtype)
        shift, scale = self.proj_out_1(silu(condition)).chunk(2, dim=1)
        x = self.proj_out_2(self.norm_out(x) * (1 + scale[:, None]) + shift[:, None])
        side, patch = math.isqrt(x.shape[1]), self.patch_size
        x = x.reshape(-1, side, side, patch, patch, self.out_channels)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(-1, self.out_channels, side * patch, side * patch)


class Patches(nn.Module):
    """An image's patches as tokens, each with its place: fixed sines and cosines."""

    pos_embed: Tensor

    def __init__(self, channels: int, width: int, patch: int, side: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        self.register_buffer("pos_embed", _places(width, side)[None], persistent=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n tokens width"]:
        """The patches as tokens, row by row."""
        x = self.proj(x).flatten(2).transpose(1, 2)
        return (x + self.pos_embed).to(x.dtype)


class Block(nn.Module):
    """Attention and a perceptron, both shifted, scaled and gated by time and class."""

    def __init__(self, width: int, heads: int, classes: int, bias: bool, eps: float, frequency_shift: int) -> None:
        super().__init__()
        self.norm1 = Modulation(width, classes, frequency_shift)
        self.attn1 = Attention(width, heads, bias)
        self.norm3 = nn.LayerNorm(width, elementwise_affine=False, eps=eps)
        self.ff = Perceptron(width)

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor) -> Tensor:
        """The tokens after attention and perceptron, both modulated by time and label."""
        inner, gate, shift, scale, gate_inner = self.norm1(x, timestep, class_labels)
        x = gate[:, None] * self.attn1(inner) + x
        inner = self.norm3(x) * (1 + scale[:, None]) + shift[:, None]
        return gate_inner[:, None] * self.ff(inner) + x


class Modulation(nn.Module):
    """adaLN-Zero: the first norm, shifted and scaled, and what else time and class say to a block."""

    def __init__(self, width: int, classes: int, frequency_shift: int) -> None:
        super().__init__()
        self.emb = Condition(width, classes, frequency_shift)
        self.linear = nn.Linear(width, 6 * width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor) -> tuple[Tensor, ...]:
        """The rows normalized, scaled and shifted by time and label, and what is left to modulate."""
        said = self.linear(silu(self.emb(timestep, class_labels, x.dtype)))
        shift, scale, gate, *rest = said.chunk(6, dim=1)
        return self.norm(x) * (1 + scale[:, None]) + shift[:, None], gate, *rest


class Condition(nn.Module):
    """Time and class as one vector [n, width]; the last row of the table is "no class"."""

    def __init__(self, width: int, classes: int, frequency_shift: int) -> None:
        super().__init__()
        self.frequency_shift = frequency_shift
        self.timestep_embedder = nn.ModuleDict(
            {"linear_1": nn.Linear(FREQUENCIES, width), "linear_2": nn.Linear(width, width)}
        )
        self.class_embedder = nn.ModuleDict({"embedding_table": nn.Embedding(classes + 1, width)})

    def forward(self, timestep: Tensor, class_labels: Tensor, dtype: torch.dtype) -> Tensor:
        """The embedding [n, width] of time and label."""
        time, table = self.timestep_embedder, self.class_embedder["embedding_table"]
        waves = _waves(timestep, self.frequency_shift).to(dtype)
        return time["linear_2"](silu(time["linear_1"](waves))) + table(class_labels)


class Attention(nn.Module):
    """Of every token to every token."""

    def __init__(self, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=bias) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        """Each token as it attends to all of its row."""
        n, tokens, width = x.shape
        q, k, v = (
            part.view(n, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.to_q(x), self.to_k(x), self.to_v(x))
        )
        x = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width)
        return self.to_out[0](x)


class Perceptron(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = nn.ModuleDict({"proj": nn.Linear(width, 4 * width)})
        self.net = nn.ModuleList([first, nn.Identity(), nn.Linear(4 * width, width)])  # diffusers' has a dropout of 0

    def forward(self, x: Tensor) -> Tensor:
        """Each token by itself."""
        first: Any = self.net[0]
        return self.net[2](gelu(first["proj"](x), approximate="tanh"))


def _waves(timestep: Float[Tensor, " n"], shift: int) -> Float[Tensor, "n waves"]:
    """Cosines, then sines of the times, in float32."""
    half = FREQUENCIES // 2
    exponent = -math.log(10000) * torch.arange(half, dtype=torch.float32, device=timestep.device) / (half - shift)
    angles = timestep[:, None].float() * torch.exp(exponent)[None, :]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


def _places(width: int, side: int) -> Float[Tensor, "tokens width"]:
    """Sines and cosines of every token's column, then of its row."""
    places = torch.arange(side, dtype=torch.float32)
    columns, rows = torch.meshgrid(places, places, indexing="xy")
    omega = 1.0 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    parts = []
    for along in (columns, rows):
        angles = torch.outer(along.reshape(-1), omega)
        parts += [torch.sin(angles), torch.cos(angles)]
    return torch.cat(parts, dim=1).float()
