"""What both commands say to `--version`."""

from __future__ import annotations


def version() -> str:
    """The distribution's version; a clone that is not installed has none."""
    from importlib.metadata import packages_distributions
    from importlib.metadata import version as of

    return next((of(name) for name in packages_distributions().get("scaling", [])), "of a clone")
