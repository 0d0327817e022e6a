"""Tunes every search method by equally many trials on the shapes world, on prompts that the comparison does not use.

    python scripts/tune_methods.py             run what is missing of three trials each, print the table
    python scripts/tune_methods.py smc svdd    of these methods only
    python scripts/tune_methods.py --write     write the best of each to conf/experiment/tuned/

A trial is judged by the exact judge's accuracy at 240 NFE a prompt, guided by the contest's middling judge; among
equals by the guide's score. 24 prompts of the hardest category (numbers 1000 to 1023 of its stream). A solve has 20
steps for every method; random search, which has nothing to tune, shows what other numbers of steps do. It can be
interrupted; all run in one process.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scaling.analysis.runs.folder import Run
from scaling.cli.job import run_job
from scaling.config.compose import grid
from scaling.config.places import CONF
from scaling.config.run_name import run_name

STUDY = Path("outputs/tuning")
COMMON = (
    "model=shapes",
    "model.guidance_scale=1",
    "model.dtype=bfloat16",
    "verifier=shapes_middling",
    "conditions.category=complex",
    "conditions.count=24",
    "conditions.skip=1000",
    "budget=nfe",
    "budget.nfe=[240]",
    "budget.nfes_per_iter=20",
    "budget.final_nfe=null",
    "journal.retention=scores",
    "journal.probe_sigma=null",
    "samples=0",
    f"study={STUDY.name}",
    "logger=none",
)
STEPS = "budget.nfes_per_iter"
TRIALS: dict[str, tuple[dict[str, Any], ...]] = {
    "random": ({STEPS: 10}, {STEPS: 20}, {STEPS: 30}, {STEPS: 40}),
    "smc": ({"lambda_": 1.0}, {"lambda_": 3.0}, {"lambda_": 10.0}),
    "smc_tempered": ({"lambda_": 1.0}, {"lambda_": 3.0}, {"lambda_": 10.0}),
    "smc_funnel": ({"lambda_": 1.0}, {"lambda_": 3.0}, {"lambda_": 10.0}),
    "bfs": ({"tau": 1.0}, {"tau": 3.0}, {"tau": 10.0}),
    "dfs": ({}, {"depth": 0.2}, {"depth": 0.8}),
    "halving": ({}, {"rungs": [0.5, 0.25]}, {"keep": 0.25}),
    "halving_reuse": ({}, {"rungs": [0.5, 0.25]}, {"keep": 0.25}),
    "modal": ({"lambda_": 1.5}, {"lambda_": 1.5, "width": 0.1}, {}),
    "dts": ({"lambda_": 1.0}, {"lambda_": 3.0}, {"lambda_": 10.0}),
    "dts_greedy": ({}, {"explore": 0.1}, {"growth": 0.8}),
    "paths": ({"width": 1}, {"width": 1, "start": 0.2}, {"width": 1, "rounds": 2}),  # wider ones cost over 120 NFE
    "code": ({"block": 2}, {}, {"block": 10}),
    "svdd": ({}, {"temperature": 0.1}, {"temperature": 0.5}),
    "zero_order": ({}, {"cosine": 0.8}, {"pivot": "move"}),
    # Six solves are all that 120 NFE pay for.
    "evolutionary": tuple({"population": 6, "elites": 2, "mutation": each} for each in (0.1, 0.2, 0.5)),
    "trust_region": ({"warmup": 4, "batch": 2, "regions": 1}, {"warmup": 4, "batch": 2}, {"warmup": 6, "batch": 2}),
    "ses": tuple({"generation": 6, "elites": 3, "levels": each} for each in (2, 3, 4)),
    "pcn": ({"temperature": 0.3}, {"rho": 0.6, "temperature": 0.3}, {"rho": 0.6, "temperature": 0.03}),
    "eps_greedy": ({}, {"neighbors": 2}, {"pivot": "keep"}),
    "beam": ({}, {"width": 3}, {"eta": 0.5}),
    "rbf": ({}, {"initial": 10}, {"convert": False}),
    "first_order": tuple({"normalized": True, "step": step} for step in (0.05, 0.15, 0.4)),
    "reno": ({}, {"step": 20.0}, {"step": 20.0, "momentum": 0.5}),
}


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the best settings to conf/experiment/tuned/")
    parser.add_argument("methods", nargs="*", default=list(TRIALS), help="default: all")
    options = parser.parse_args()
    if unknown := set(options.methods) - TRIALS.keys():
        parser.error(f"no trials for {', '.join(sorted(unknown))}; there are {', '.join(TRIALS)}")
    table = ["| method | trials, accuracy (the guide's score): the best in bold |", "|---|---|"]
    for method in options.methods:
        trials = TRIALS[method]
        results = [run(method, trial) for trial in trials]
        best = max(range(len(trials)), key=results.__getitem__)
        cells = [cell(*each, bold=k == best) for k, each in enumerate(zip(trials, results, strict=True))]
        table.append(f"| {method} | {'; '.join(cells)} |")
        if options.write:
            save(method, {name: value for name, value in trials[best].items() if name != STEPS})
    print("\n".join(table))


def run(method: str, trial: dict[str, Any]) -> tuple[float, float]:
    """Accuracy and the guide's mean score, by running or by reading the finished run."""
    overrides = [*COMMON, f"search={method}", *(f"{key(name)}={value}" for name, value in trial.items())]
    ((config, composed),) = grid(overrides)
    run_job(config, composed, multirun=True)
    points = Run(STUDY / run_name(config, composed)).curve
    means = {point.metric: point.value for point in points}
    return means["accuracy"], means["shapes_middling"]


def key(name: str) -> str:
    """A parameter of the search, or a whole key."""
    return name if "." in name else f"search.{name}"


def cell(trial: dict[str, Any], result: tuple[float, float], bold: bool) -> str:
    """One trial in the table."""
    settings = (
        ", ".join(f"{name.rpartition('.')[2].rstrip('_')} {value}" for name, value in trial.items()) or "defaults"
    )
    text = f"{settings}: {result[0]:.2f} ({result[1]:.3f})"
    return f"**{text}**" if bold else text


def save(method: str, trial: dict[str, Any]) -> None:
    """The preset of a method as tuned."""
    lines = [
        "# @package _global_",
        "# Tuned on the shapes world by scripts/tune_methods.py.",
        "defaults:",
        f"  - override /search: {method}",
    ]
    if trial:
        lines.append("search:")
        lines += [f"  {name}: {str(v).lower() if isinstance(v, bool) else v}" for name, v in trial.items()]
    (CONF / "experiment" / "tuned" / f"{method}.yaml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
