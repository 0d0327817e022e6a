"""The share of forward rows that are real, for every search with 64 conditions alive; padding counts as empty."""

from __future__ import annotations

from typing import Any

from bench_tools import ROOT, Grays, paid, scratch

from scaling.budget import Budget
from scaling.conditions.class_labels import ClassLabels
from scaling.models.gaussian_mixture import GaussianMixture
from scaling.runner.study import Study
from scaling.search.random import Random

BATCH, NFE = 64, 240


def main() -> dict[str, Any]:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    results: dict[str, Any] = {}
    nodes = {path.stem: OmegaConf.load(path) for path in sorted((ROOT / "conf" / "search").glob("*.yaml"))}
    for name, node in nodes.items():
        if "_target_" in node:  # others only change a parameter of one of these
            results[name] = said = rows(instantiate(node, _convert_="all"))
            print(f"batches   {name:13} {100 * said['share']:5.1f} % of {said['rows'] + said['padded']} rows are real")
    return results


def rows(search: Any = None) -> dict[str, float]:
    with scratch() as folder:
        study = Study(
            denoiser=GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], 0.5, latent_shape=(1, 1, 2)),
            conditions=ClassLabels(count=64, classes=2), verifier=Grays(), search=search or Random(), samples=0,
            budget=Budget(nfes_per_iter=10, nfe=NFE), output_dir=folder, batch_size=BATCH, progress=False,
        )  # fmt: skip
        cost = paid(study)
    real, padded = cost["rows"], cost["padded_rows"]
    return {"share": real / (real + padded), "rows": real, "padded": padded}
