"""Costs of a rung on any axis: counted by the run, measured in seconds, or as the paper counts."""

from __future__ import annotations

from scaling.analysis.runs.folder import Run
from scaling.analysis.runs.names import NO_SEARCH, settings_of
from scaling.schema import COSTS, Point

COUNTED = ("nfe", *(name for name in COSTS if name not in ("nfe", "final_nfe")))
DERIVED = ("seconds", "paper_nfe", "paper_gflops")
AXES = (*COUNTED, *DERIVED)


def cost(run: Run, point: Point, axis: str) -> float:
    """What one rung of a run costs per condition on an axis; a ValueError names an axis that is not to be had."""
    if axis in COUNTED:
        value = float(getattr(point, axis))
        if value != value:
            raise ValueError(f"{run.path} has no {axis}, which was not counted there; take axis=gflops or nfe")
        return value
    if axis == "seconds":
        return seconds(run, point)
    if axis == "paper_nfe":
        return paper_nfe(run, point)
    if axis == "paper_gflops":  # multiply-adds, guidance counted once; torch's counter gives 2 per multiply-add
        return paper_nfe(run, point) * point.gflops / point.forwards / 2
    raise ValueError(f"there is no cost axis {axis!r}; there are {', '.join(AXES)}")


def seconds(run: Run, point: Point) -> float:
    """Seconds that a condition takes up to a rung: each part by how often it was done, all else by NFE.

    Runs that did not measure their parts have all of their time by NFE.
    """
    paid, parts = run.cost.get("paid") or {}, run.cost.get("seconds_by_part") or {}
    if not run.cost.get("seconds") or not paid.get("nfe"):
        raise ValueError(f"{run.path} has no seconds of its own: all its answers were replayed or it is not done")
    counts = {"solve": "forwards", "decode": "decodes", "verify": "verifier_calls"}
    timed = {part: count for part, count in counts.items() if parts.get(part) and paid.get(count)}
    rest = run.cost["seconds"] - sum(parts[part] for part in timed)
    by_part = sum(parts[part] / paid[count] * getattr(point, count) for part, count in timed.items())
    return by_part + point.nfe * rest / paid["nfe"]


def paper_nfe(run: Run, point: Point) -> float:
    """NFE as the paper's axes count them (Ma et al. 2501.09732, sections 3 to 5).

    Random: final + per_iter (|S| - 1). Zero-order with N neighbors and K rounds: N/2 (4 + 2K) per_iter, that is
    200 + 100 K for N = 2. Paths: 0.9 final + 0.9 per_iter N M. A ValueError for methods that the paper has not.
    """
    settings = settings_of(run)
    per_iter = float(settings.get("budget.nfes_per_iter", 0)) or point.search_nfe / point.candidates
    final = float(settings.get("budget.final_nfe") or per_iter)
    if point.search in NO_SEARCH:
        return point.nfe
    if point.search == "random":
        return final + per_iter * (point.candidates - 1)
    if point.search == "zero_order":
        neighbors = float(settings.get("search.neighbors", 2))
        rounds = (point.candidates - 1) / neighbors
        return neighbors / 2 * (4 + 2 * rounds) * per_iter if rounds else final
    if point.search == "paths":
        return 0.9 * final + 0.9 * per_iter * point.candidates  # candidates that ended clean: N M
    raise ValueError(f"the paper has no axis for the search {point.search!r}; take axis=nfe")
