"""The adapters against the open call: the same rows asked of both, of one prompt and of as many prompts as rows."""

from __future__ import annotations

from typing import Any

import torch
from bench_tools import Took, median, pipeline_model, saved, scratch, timed, words

from scaling.models.pipeline import Pipeline

ROWS, CALLS, TURNS = 16, 5, 5


def main() -> dict[str, Any]:
    results: dict[str, Any] = {}
    with scratch() as folder:
        for name in ("flux", "flux_wide", "sdxl"):
            adapter: Any = pipeline_model(name, folder / "prompts")
            opened = Pipeline(
                path=str(saved(name)), dtype="float32", height=adapter.height, width=adapter.width, device="auto",
                guidance_scale=adapter.guidance_scale, prompt_cache=str(folder / "opened"), check=False,
                options={"max_sequence_length": adapter.max_tokens} if name.startswith("flux") else {},
            )  # fmt: skip
            for prompts in (1, ROWS):
                took: list[tuple[Took, Took]] = [
                    (asked(adapter, prompts), asked(opened, prompts)) for _ in range(TURNS)
                ]
                mine, theirs = (median([pair[i] for pair in took]) for i in (0, 1))
                results[f"{name}/{prompts}"] = ratio = theirs.over(mine)
                print(
                    f"open call {name:10} {ROWS} rows of {prompts:2} prompts: open call / adapter = "
                    f"{ratio['wall']:.2f} wall, {ratio['cpu']:.2f} CPU"
                )
    return results


@torch.no_grad()
def asked(model: Any, prompts: int) -> Took:
    """A few evaluations, with the prompts encoded and the calls open."""
    conditions = list(words(prompts)) * (ROWS // prompts)
    encoded = model.encode(conditions)
    x = torch.randn(ROWS, *model.latent_shape, generator=torch.Generator().manual_seed(0)).to(model.device)
    t = torch.full((ROWS,), 0.5)
    model(x, t, encoded)
    return timed(lambda: [model(x, t, encoded) for _ in range(CALLS)])
