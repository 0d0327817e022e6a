"""A small network that answers questions about an image of shapes: where words look, what is there, and how many."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.shapes.questions import PHRASE, WORDS


class _Block(nn.Module):
    """Two 3x3 convolutions with group norm, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            h = convolution(F.silu(norm(h)))
        return x + h


class Reader(nn.Module):
    """Images [n,3,24,24] in [0,1] and questions about them to logits of yes.

    Convolutions see the image at every second pixel. Each of a question's two phrases then looks in `heads` ways: by a
    softmax over all places (what is there, and where: coordinates are part of what it sees, so that a relation is a
    difference of two numbers) and by a sum of sigmoids (how many places are like that, so that shapes can be counted).
    """

    def __init__(self, width: int = 64, depth: int = 3, heads: int = 4, hidden: int = 192) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.stem = nn.Conv2d(3, width // 2, 3, padding=1)
        self.shrink = nn.Conv2d(width // 2, width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.keys = nn.Linear(width, 2 * heads * 16)
        self.values = nn.Linear(width, 32)
        self.asks = nn.Sequential(nn.Linear(PHRASE, 96), nn.SiLU(), nn.Linear(96, 2 * heads * 17))
        seen = 2 * heads * (34 + 33)
        self.head = nn.Sequential(
            nn.Linear(seen + heads * 2 + WORDS, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, 1),
        )  # fmt: skip

    def look(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, Tensor]:
        """Keys [n,places,2,heads,16] and values [n,places,34] of all places; the last two values are row and column."""
        h = self.shrink(F.silu(self.stem(images * 2 - 1)))
        for block in self.blocks:
            h = block(h)
        rows, columns = (torch.linspace(-1, 1, side, device=h.device) for side in h.shape[-2:])
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)
        h = self.norm(h.flatten(2).transpose(1, 2))
        values = torch.cat((self.values(h), grid.expand(len(h), -1, -1)), dim=-1)
        return self.keys(h).view(len(h), h.shape[1], 2, self.heads, 16), values

    def forward(self, images: Float[Tensor, "n 3 h w"], words: Float[Tensor, "n m words"]) -> Float[Tensor, "n m"]:
        """The logits of m questions about each image."""
        keys, values = self.look(images)
        seen, where = [], []
        for phrase in (words[..., :PHRASE], words[..., PHRASE : 2 * PHRASE]):
            asked = self.asks(phrase).unflatten(-1, (2, self.heads, 17))
            match = torch.einsum("npkhd,nmkhd->nmkhp", keys, asked[..., :16]) / 4 + asked[..., 16:]
            looked = torch.einsum("nmhp,npv->nmhv", match[:, :, 0].softmax(dim=-1), values)
            gates = match[:, :, 1].sigmoid()
            counted = torch.einsum("nmhp,npv->nmhv", gates, values[..., :32]) / 16
            seen += [looked.flatten(2), counted.flatten(2), gates.sum(dim=-1) / 16]
            where.append(looked[..., 32:].flatten(2))
        return self.head(torch.cat((*seen, where[0] - where[1], words), dim=-1)).squeeze(-1)
