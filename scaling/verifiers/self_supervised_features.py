"""The label-free verifier in the feature space of a large encoder (Ma et al. 2501.09732, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.encoders import Dino, OpenClip
from scaling.protocols import Condition


class SelfSupervisedFeatures:
    """Scores by the cosine in [-1, 1] between the features of the x0 prediction and those of the final sample.

    `encoder` is CLIP's or SigLIP's image embedding or DINO's class token; `probe` is the noise level whose x0
    prediction comes as `probes`; without them a ValueError is raised.
    """

    differentiable = True

    def __init__(self, *, encoder: Dino | OpenClip, probe: float = 0.4) -> None:
        if not 0 < probe < 1:
            raise ValueError(f"verifier.probe={probe}: a noise level between 0 and 1 is needed")
        self.encoder: Callable[[Tensor], Tensor] = encoder
        self.probe: float | None = probe
        self._identity = {"class": "SelfSupervisedFeatures", "probe": probe, **encoder.identity()}

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        if probes is None:
            raise ValueError(
                f"this verifier compares with the x0 prediction at sigma {self.probe}: no probes were given"
            )
        final, early = self.encoder(torch.cat((images, probes.to(images.device)))).chunk(2)
        return F.cosine_similarity(final, early, dim=1)

    def identity(self) -> dict[str, Any]:
        """Class, probe, encoder and the weights' hash."""
        return dict(self._identity)
