"""What each figure and table of the paper shows, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scaling.analysis.runs.folder import Run


@dataclass(frozen=True)
class Figure:
    """A figure's form: a row of panels per metric, a column per value of a field."""

    title: str
    kind: str  # curves | bars | gains | images | contest | judges
    metrics: tuple[str, ...] = ()
    columns: str | None = None  # a field of the runs' identity, or None for one panel per metric
    axis: str = "nfe"
    only: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)  # metric -> field -> its values
    embedded: tuple[str, ...] = ()  # shown of runs that carry none of `metrics`


@dataclass(frozen=True)
class Table:
    """A table's form: a row per model, search, verifier and search NFE, a column per metric."""

    title: str
    metrics: tuple[str, ...]
    embedded: tuple[str, ...] = ()  # shown of runs that carry none of `metrics`
    costs: tuple[str, ...] = ()  # columns of what a rung costs, before the metrics
    every_rung: bool = False  # or the smallest budget and the largest


def shown(spec: Figure | Table, runs: Sequence[Run]) -> tuple[str, ...]:
    """The metrics to show of these runs: the paper's where they carry any, else the embedded ones, else every score."""
    known = tuple(dict.fromkeys(metric for run in runs for metric in run.metrics))
    for wanted in (spec.metrics, spec.embedded):
        if found := tuple(metric for metric in wanted if metric in known):
            return found
    scores = {metric for run in runs if run.has_winners for metric in run.per_sample_metrics}
    return tuple(metric for metric in known if metric in scores) or known


GAINS = ("aesthetic", "clip_score", "image_reward", "llm_grader")
SHAPES = ("shapes_aesthetic", "shapes_clip", "accuracy", "preference")
CATEGORIES = ("color", "shape", "count", "relation", "complex")
LLM = ("accuracy", "originality", "visual_quality", "consistency", "emotional_resonance", "overall")

FIGURES: dict[str, Figure] = {
    "fig01": Figure(
        "Search scales where more denoising steps flatten",
        "curves",
        ("fid", "inception_score", "clip_score", "aesthetic"),
    ),
    "fig03": Figure(
        "Random search with oracle verifiers",
        "curves",
        ("fid", "inception_score"),
        only={
            "fid": {"verifier": ("fid_oracle",)},
            "inception_score": {"verifier": ("inception_oracle",)},
        },
    ),
    "fig04": Figure("Random search with supervised verifiers", "curves", ("inception_score",), "verifier"),
    "fig05": Figure("Random search with self-supervised verifiers", "curves", ("inception_score",), "verifier"),
    "fig06": Figure("Zero-order search and search over paths", "curves", ("fid", "inception_score"), "search"),
    "fig07": Figure("The winners by budget", "images"),
    "fig08": Figure("Relative gain under each verifier", "bars", GAINS, embedded=SHAPES),
    "fig09": Figure("Relative gain with the budget", "gains", GAINS, embedded=SHAPES),
    "fig10": Figure("NFEs per search iteration", "curves", ("inception_score",)),
    "fig11": Figure(
        "Search across model sizes",
        "curves",
        ("fid", "inception_score"),
        axis="gflops",
        only={"fid": {"search": ("zero_order",)}, "inception_score": {"search": ("random",)}},
    ),
    "fig12": Figure("First-order against zero-order search", "curves", ("fid", "inception_score")),
    "fig13": Figure("Fidelity and diversity under random search", "curves", ("fid", "precision", "recall")),
    "fig14": Figure("Fidelity and diversity by search", "curves", ("fid", "precision", "recall")),
    "contest": Figure("Search methods by judge", "contest"),
    "judges": Figure("Over-optimization against the strength of the judge", "judges"),
}
REPLACED = {"methods": "contest"}  # figures that there were before, and what took their place

TABLES: dict[str, Table] = {
    "tab01": Table(
        "T2I-CompBench",
        ("bvqa_color", "bvqa_shape", "bvqa_texture", "unidet_spatial", "unidet_numeracy", "complex"),
        tuple(f"accuracy_{each}" for each in CATEGORIES),
    ),
    "tab02": Table("DrawBench by search and verifier", GAINS, SHAPES),
    "tab03": Table("Search on a model tuned by preferences", ("aesthetic", "clip_score", "pickscore"), SHAPES),
    "tab04": Table(
        "A small model with search against a large one",
        GAINS,
        ("classifier", "accuracy", "inception_score", "fid"),
        costs=("gflops",),
        every_rung=True,
    ),
    "tab07": Table(
        "The LLM grader's aspects",
        tuple(f"llm_{each}" for each in LLM),
        ("accuracy", "readable", "preference"),
        every_rung=True,
    ),
    "tab08": Table("Self-supervised verifiers at few NFE", GAINS[:3], SHAPES[:3], every_rung=True),
}


def command(name: str) -> str:
    """The command that makes the runs of a figure or table on the embedded models."""
    return f"scaling -m experiment={name}"
