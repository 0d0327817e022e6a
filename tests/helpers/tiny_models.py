"""Small randomly initialized networks, saved in the real formats."""

from pathlib import Path

import torch


def tiny_vae(folder: Path, scaling_factor: float = 0.18215) -> Path:
    """An AutoencoderKL of 4 latent channels that doubles the resolution, in diffusers' folder format."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=scaling_factor,
    ).save_pretrained(folder)
    return folder
