"""How far the sample is already decided at sigma 0.4: a verifier that needs no labels (Ma et al., section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.networks import load_network
from scaling.protocols import Condition


class SelfSupervised:
    """Scores by the cosine in [-1, 1] between a label-free encoder's features of the x0 prediction and of the sample.

    `probe` is the noise level whose x0 prediction comes as `probes`; without them a ValueError is raised.
    """

    differentiable = True

    def __init__(self, *, path: str = "fashion_encoder", probe: float = 0.4, device: str = "auto") -> None:
        if not 0 < probe < 1:
            raise ValueError(f"probe {probe}: a noise level between 0 and 1 is needed")
        self.network, self._identity = load_network(path, "PatchMixer", device)
        self.probe: float | None = probe

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        if probes is None:
            raise ValueError(
                f"SelfSupervised compares with the x0 prediction at sigma {self.probe}: no probes were given"
            )
        device = next(self.network.parameters()).device
        return F.cosine_similarity(self.network(images.to(device)), self.network(probes.to(device)), dim=1)

    def identity(self) -> dict[str, Any]:
        """Class, probe, architecture and the weights' hash."""
        return {"class": "SelfSupervised", "probe": self.probe, **self._identity}
