"""The public name of the encoders, which configurations give as `_target_`."""

from scaling.loading.encoders import Dino, OpenClip

__all__ = ["Dino", "OpenClip"]
