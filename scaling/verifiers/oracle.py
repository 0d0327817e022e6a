"""The evaluator as a verifier, by the name that configurations give."""

from scaling.verifiers.classifier import Oracle

__all__ = ["Oracle"]
