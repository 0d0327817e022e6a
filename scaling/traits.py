"""What a search and a verifier say of themselves, read in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from scaling.protocols import Search, Verifier

REQUIREMENTS = frozenset({"gradient", "calibrated", "stochastic", "guidance"})
RENAMED = {"scales": "size_parameter", "needs": "requires", "resolve": "resolve_winner"}


@dataclass(frozen=True)
class SearchTraits:
    """The optional class attributes of a search; nothing else reads them.

    A search with a `size_parameter` is sized: its other parameters fixed, that one says how much it spends, and its
    method `cost(space) -> int` says how many search NFE. One without is anytime: it proposes until its budget ends.
    """

    open_loop: bool = False  # it proposes the same whatever the scores, so that one stream serves every verifier
    size_parameter: str | None = None  # the field that is fitted to each rung, from 1 upwards
    reads: frozenset[str] = frozenset({"x", "x0", "gradient"})  # which of these, or "gap", it reads in the answers
    requires: frozenset[str] = frozenset()  # of `REQUIREMENTS`, checked before anything runs
    resolve_winner: bool = True  # whether the winner may get a final solve of its own, with `final_nfe`

    @classmethod
    def of(cls, search: Search | type) -> SearchTraits:
        """What a search, or its class, says of itself.

        Raises:
            ValueError: where it says something that does not exist, or by a name that an attribute had before.
        """
        name = getattr(search, "__qualname__", type(search).__qualname__)
        for old, new in RENAMED.items():
            refuse_former_name(search, f"search {name}", old, new)
        said = {each.name: getattr(search, each.name) for each in fields(cls) if hasattr(search, each.name)}
        for trait, known in (("reads", cls.reads | {"gap"}), ("requires", REQUIREMENTS)):
            if unknown := sorted(set(said.get(trait, ())) - known):
                raise ValueError(f"search {name}: {trait} names {unknown[0]!r}; valid: {', '.join(sorted(known))}")
        return cls(**said)


@dataclass(frozen=True)
class VerifierTraits:
    """The optional attributes of a verifier that say what it looks at; nothing else reads them."""

    latent_shape: tuple[int, ...] | None = None  # of the model's latents, where it takes these in the images' place
    probes: bool = False  # whether it looks at an x0 prediction beside the final sample

    @classmethod
    def of(cls, verifier: Verifier) -> VerifierTraits:
        """What a verifier says of itself."""
        shape = getattr(verifier, "latent_shape", None)
        return cls(None if shape is None else tuple(shape), verifier.probe_sigma is not None)

    @property
    def images(self) -> int:
        """Images that are decoded for one of its scores: none for a judge of latents."""
        return 0 if self.latent_shape is not None else 1 + self.probes


def refuse_latents(verifier: Any, words: str) -> None:
    """A ValueError where a verifier takes latents, for what has images alone; `words` name it and say what it has."""
    if getattr(verifier, "latent_shape", None) is not None:
        raise ValueError(f"{words}: {type(verifier).__name__} takes a model's latents, which only a search has")


def refuse_former_name(part: Any, words: str, old: str, new: str) -> None:
    """A ValueError where a part has an attribute by the name that it had before; `words` name the part."""
    if hasattr(part, old) and not hasattr(part, new):
        raise ValueError(f"{words} has a class attribute {old!r}, which is called {new!r} by now")
