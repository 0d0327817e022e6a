"""A synthetic study for every figure and table of the paper."""

from __future__ import annotations

from pathlib import Path

from folders import make_run

SMALL = {"conditions": 100, "images": False, "ladder": (1, 2, 4, 8)}
FAITHFUL = ("fid", "inception_score")
DIVERSE = ("fid", "precision", "recall")
SCORES = ("aesthetic", "clip_score", "image_reward")
TABLE_SCORES = {
    "tab01": ("bvqa_color", "bvqa_shape"),
    "tab02": SCORES,
    "tab03": (*SCORES, "pickscore"),
    "tab04": SCORES,
    "tab07": ("llm_accuracy", "llm_overall"),
    "tab08": SCORES,
}


def make_all(outputs: Path) -> Path:
    """Writes outputs/fig01 ... outputs/tab08 and outputs/contest."""
    for number in (4, 5):
        verifiers = ("classifier", "oracle") if number == 4 else ("self_supervised",)
        _grid(outputs / f"fig{number:02d}", sets=FAITHFUL, verifier=verifiers, guidance=(1.0, 1.5))
    _grid(outputs / "fig01", sets=FAITHFUL, search=("random", "steps"))
    _grid(outputs / "fig03", sets=FAITHFUL, verifier=("oracle",), guidance=(1.0, 1.35, 1.5))
    sizes = [("zero_order", {"search": {"neighbors": n}}, 0.5 + 0.04 * n) for n in (2, 4, 8)]
    sizes += [("paths", {"search": {"width": n}}, 0.8 + 0.04 * n) for n in (1, 2, 4)]
    for number, sets in ((6, FAITHFUL), (14, DIVERSE)):
        for search, settings, strength in sizes:
            name = f"{search}-{next(iter(settings['search'].values()))}"
            make_run(
                outputs / f"fig{number:02d}", name, search, settings=settings, strength=strength, sets=sets, **SMALL
            )
    make_run(outputs / "fig07", conditions=60)
    make_run(outputs / "fig07", "control", verifier="control", conditions=60)
    for name in ("fig08", "fig09", *TABLE_SCORES):
        scores = TABLE_SCORES.get(name, SCORES)
        _grid(outputs / name, scores=scores, verifier=("aesthetic", "ensemble"))
    for nfes in (10, 20, 40):
        settings = {"budget": {"nfes_per_iter": nfes, "final_nfe": 40}}
        make_run(outputs / "fig10", str(nfes), settings=settings, strength=nfes**0.1, sets=FAITHFUL, **SMALL)
    _grid(outputs / "fig11", sets=FAITHFUL, model=("fashion_s", "fashion_m", "fashion_l"))
    _grid(outputs / "fig12", sets=FAITHFUL, search=("first_order", "zero_order"))
    _grid(outputs / "fig13", sets=DIVERSE, verifier=("classifier", "oracle"))
    _grid(outputs / "contest", search=("random", "smc"), verifier=("shapes_weak", "shapes_strong"))
    return outputs


def _grid(study: Path, sets=("fid",), scores=("classifier",), **axes) -> None:
    (first, values), *rest = axes.items()
    for value in values:
        for other in rest[0][1] if rest else (None,):
            chosen = {first: value} | ({rest[0][0]: other} if rest else {})
            strength = {"zero_order": 0.8, "first_order": 0.9}.get(str(value), 1.0)
            name = "-".join(map(str, chosen.values()))
            make_run(study, name, sets=sets, scores=scores, strength=strength, **chosen, **SMALL)
