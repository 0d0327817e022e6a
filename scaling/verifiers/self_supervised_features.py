"""The label-free verifier of a large encoder, by the name that configurations give."""

from scaling.verifiers.self_supervised import SelfSupervisedFeatures

__all__ = ["SelfSupervisedFeatures"]
