"""Small networks that judge 28x28 gray images; their weights ship with the package.

The three networks share nothing on purpose: what guides a search must not be what judges it afterwards.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from scaling.loading.devices import pick_device
from scaling.loading.weights_file import load_weights


def gray(images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n 1 28 28"]:
    """The mean of the channels, moved to the training images' mean 0 and deviation 1; other sizes are a ValueError."""
    if images.ndim != 4 or images.shape[-2:] != (28, 28):
        raise ValueError(f"images of shape {tuple(images.shape)}: this network judges [n,3,28,28]")
    return (images.float().mean(dim=1, keepdim=True) - 0.286) / 0.353


class PlainCNN(nn.Module):
    """A plain convolutional classifier with batch norm and max pooling: images to logits [n,classes]."""

    def __init__(self, width: int = 24, classes: int = 10) -> None:
        super().__init__()
        channels = (1, width, 2 * width, 4 * width)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels[1:])
        self.head = nn.Linear(9 * channels[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, 1 or 3, 28, 28] in [0, 1]."""
        h = gray(images)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            h = F.relu(F.max_pool2d(norm(convolution(h)), 2))  # pooled first: a quarter to rectify
        return self.head(h.flatten(1))

    def fold(self) -> None:
        """Takes the norms of a trained network into its convolutions: the same logits within rounding, sooner."""
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            self.convolutions[i] = fuse_conv_bn_eval(convolution, norm)
            self.norms[i] = nn.Identity()


class _ConvNeXtBlock(nn.Module):
    """Depthwise 5x5, layer norm and a pointwise MLP, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.down(F.gelu(self.up(h))).permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """A small residual network: images to (features [n,features] before any activation, logits [n,classes])."""

    def __init__(self, width: int = 40, depth: int = 2, features: int = 32, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 2, stride=2)
        self.early = nn.Sequential(*(_ConvNeXtBlock(width) for _ in range(depth)))
        self.shrink = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.late = nn.Sequential(*(_ConvNeXtBlock(2 * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(2 * width)
        self.project = nn.Linear(2 * width, features)
        self.head = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [n, d] and logits [n, classes] of images [n, 1 or 3, 28, 28] in [0, 1]."""
        h = self.late(self.shrink(self.early(self.stem(gray(images)))))
        features = self.project(self.norm(h.mean(dim=(2, 3))))
        return features, self.head(F.gelu(features))


class _MixerBlock(nn.Module):
    """An MLP across the patches and one across the channels, each added to its input."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.across = nn.Sequential(nn.Linear(tokens, 64), nn.GELU(), nn.Linear(64, tokens))
        self.within = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.within(self.norm2(x))


class PatchMixer(nn.Module):
    """An MLP-Mixer on 4x4 patches, learned without labels: images to features [n,width] of any length."""

    def __init__(self, width: int = 96, depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Linear(16, width)
        self.blocks = nn.Sequential(*(_MixerBlock(49, width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Features [n, d] of images [n, 1 or 3, 28, 28] in [0, 1]."""
        patches = F.unfold(gray(images), kernel_size=4, stride=4).transpose(1, 2)
        return self.norm(self.blocks(self.stem(patches)).mean(dim=1))


NETWORKS: dict[str, type[nn.Module]] = {"PlainCNN": PlainCNN, "ConvNeXt": ConvNeXt, "PatchMixer": PatchMixer}


def load_network(name: str | Path, kind: str, device: str | torch.device = "auto") -> tuple[nn.Module, dict[str, Any]]:
    """A frozen network of the kind from its weights, in eval mode, and its identity as json.

    Channels come last in memory, which halves the time of its convolutions on a CPU.
    A ValueError names a file that holds another kind of network.
    """
    weights = load_weights(name, kind)
    with torch.random.fork_rng(devices=[]):  # what is initialized here is overwritten: leave the global state alone
        network = NETWORKS[kind](**weights.metadata["architecture"])
    network.load_state_dict(weights.state)
    network.eval()
    if isinstance(network, PlainCNN):
        network.fold()
    identity = {"network": kind, "architecture": weights.metadata["architecture"], "weights": weights.sha256}
    network = network.to(pick_device(device)).to(memory_format=torch.channels_last)
    return network.requires_grad_(False), identity
