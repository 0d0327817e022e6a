"""Trains the aesthetic head: from the CLIP's image embedding to the stated preference of the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapes_data
import torch
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.encoders import OpenClip
from scaling.loading.weights_file import save_weights
from scaling.shapes.preference import preference
from scaling.verifiers.shapes_aesthetic import head

WIDTHS, SCENES, TEST, VIEWS, EPOCHS, BATCH, LR = (48, 96, 32, 1), 20_000, 2_000, 2, 40, 256, 3e-3


def train(out: Path) -> None:
    """Makes the head's weights from scenes of its own; a minute or two."""
    encoder = OpenClip(path=str(out / "shapes_clip"), device="cpu")
    drawn, _ = shapes_data.scenes(SCENES + TEST, shapes_data.AESTHETIC, skew=0.0)
    wanted = torch.tensor([preference(scene) for scene in drawn])
    images, g = shapes_data.images_of(drawn), torch.Generator().manual_seed(0)
    held, held_wanted = embed(encoder, images[SCENES:]), wanted[SCENES:]
    views = torch.cat([embed(encoder, shapes_data.view(images[:SCENES], g)) for _ in range(VIEWS)])
    wanted = wanted[:SCENES].repeat(VIEWS)
    torch.manual_seed(0)
    net = head(WIDTHS)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.01)
    steps = EPOCHS * (len(views) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, steps, pct_start=0.1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(views), generator=g).split(BATCH)[: len(views) // BATCH]:
            loss = F.mse_loss(net(views[rows]).squeeze(1), wanted[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        correlation = float(np.corrcoef(net(held).squeeze(1).numpy(), held_wanted.numpy())[0, 1])
    metadata = {"class": "ShapesAesthetic", "widths": WIDTHS, "clip": encoder.weights, "finished": True}
    save_weights(out / "shapes_aesthetic.safetensors", net.state_dict(), metadata)
    print(f"shapes_aesthetic: correlation {correlation:.3f} with the preference on {TEST} new scenes", flush=True)


@torch.no_grad()
def embed(encoder: OpenClip, images: Tensor) -> Tensor:
    """Normalized image embeddings."""
    return torch.cat([F.normalize(encoder(part), dim=1) for part in images.split(500)])
