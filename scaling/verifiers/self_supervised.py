"""How far the sample is already decided at sigma 0.4: verifiers without labels (Ma et al. 2501.09732, section 3.1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scaling.loading.encoders import Dino, OpenClip
from scaling.loading.networks import load_network
from scaling.protocols import Condition


class _Decided(ABC):
    """Scores by the cosine in [-1, 1] between the features of the x0 prediction and those of the final sample.

    `probe_sigma` is the noise level whose x0 prediction comes as `probes`; without them a ValueError is raised.
    """

    differentiable = True

    def __init__(self, probe_sigma: float, identity: dict[str, Any]) -> None:
        if not 0 < probe_sigma < 1:
            raise ValueError(f"verifier.probe_sigma={probe_sigma}: a noise level between 0 and 1 is needed")
        self.probe_sigma: float | None = probe_sigma
        self._identity = {"class": type(self).__name__, "probe": probe_sigma, **identity}

    def __call__(
        self,
        images: Float[Tensor, "n 3 h w"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        """The cosine of each image and its prediction, on the encoder's device."""
        if probes is None:
            raise ValueError(
                f"{type(self).__name__} compares with the x0 prediction at sigma {self.probe_sigma}: no probes given"
            )
        return F.cosine_similarity(*self.features(images, probes), dim=1)

    def identity(self) -> dict[str, Any]:
        """Class, probe, encoder and the weights' hash."""
        return dict(self._identity)

    @abstractmethod
    def features(
        self, images: Float[Tensor, "n 3 h w"], probes: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """The features of both."""


class SelfSupervised(_Decided):
    """The cosine under a small label-free encoder of clothes.

    Args:
        path: a bundled name or a weights file of a `PatchMixer`.
        probe_sigma: the noise level, between 0 and 1.
        device: auto, or torch's name of one.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"device"})

    def __init__(self, *, path: str = "fashion_encoder", probe_sigma: float = 0.4, device: str = "auto") -> None:
        self.network, identity = load_network(path, "PatchMixer", device)
        super().__init__(probe_sigma, identity)

    def features(self, images: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """One batch each."""
        device = next(self.network.parameters()).device
        return self.network(images.to(device)), self.network(probes.to(device))


class SelfSupervisedFeatures(_Decided):
    """The cosine in the feature space of a large encoder.

    Args:
        encoder: CLIP's or SigLIP's image embedding or DINO's class token.
        probe_sigma: the noise level, between 0 and 1.
    """

    def __init__(self, *, encoder: Dino | OpenClip, probe_sigma: float = 0.4) -> None:
        self.encoder: Callable[[Tensor], Tensor] = encoder
        super().__init__(probe_sigma, encoder.identity())

    def features(self, images: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """Both in one batch."""
        final, early = self.encoder(torch.cat((images, probes.to(images.device)))).chunk(2)
        return final, early
