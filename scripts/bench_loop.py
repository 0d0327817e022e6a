"""The runner against the usual loop: one call a noise, the prompt encoded each time, one image scored at a time."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_tools import Took, loaded, median, paid, parts, saved, scratch, timed

from scaling.budget import Budget
from scaling.engine.batch_size import measure
from scaling.journal.stream import Stream
from scaling.models.packing import pack
from scaling.runner.identities import stream_identity
from scaling.runner.study import Study
from scaling.search.random import Random
from scaling.shapes.phrases import phrases

NFE, PROMPTS, CANDIDATES = 10, 8, 16
TURNS = 3  # of both, of which the median counts: the machine's speed drifts
SAME = 1e-4  # of the range of a pixel


class Made(dict[tuple[int, int], torch.Tensor]):
    """Images by condition and candidate."""


def main() -> dict[str, Any]:
    results: dict[str, Any] = {}
    with scratch() as folder:
        for name in ("shapes", "flux", "flux_wide", "sdxl"):
            results[name] = said = against(name, folder / name)
            print(
                f"loop      {name:10} usual loop / run = {said['ratio']['wall']:.2f} wall, {said['ratio']['cpu']:.2f} "
                f"CPU ({said['images']} images at batch {said['batch_size']}, {100 * said['same']:.0f} % "
                f"the same to {SAME:.0e}, all to {said['difference']:.0e})"
            )
    return results


def against(name: str, folder: Path) -> dict[str, Any]:
    denoiser, conditions, verifier = parts(name, PROMPTS, folder / "prompts")

    def study(run: str, count: int) -> Study:
        return Study(
            denoiser=denoiser, conditions=conditions, verifier=verifier, search=Random(), samples=0, progress=False,
            budget=Budget(nfes_per_iter=NFE, candidates=count), output_dir=folder / run, batch_size=size,
        )  # fmt: skip

    size = measure(denoiser, next(iter(conditions)))
    paid(study("warm", 1))  # which loads networks and text encoders, and encodes: see `encoding`
    made = Made()
    pipe = None if name == "shapes" else loaded(saved(name), denoiser.device)
    runs: list[Took] = []
    loops: list[Took] = []
    for turn in range(TURNS):
        ours = study(f"run-{turn}", CANDIDATES)
        runs.append(timed(partial(paid, ours)))
        loops.append(shapes_loop(ours, made) if pipe is None else pipeline_loop(name, pipe, ours, made))
    run, looped = median(runs), median(loops)
    if pipe is not None:
        run = run + encoding(pipe, ours)
    apart = np.array([float((images_of(ours, *key) - image).abs().max()) for key, image in made.items()])
    raw = {"run": vars(run), "loop": vars(looped), "batch_size": size, "images": len(made)}
    return {"ratio": looped.over(run), "difference": float(apart.max()), "same": float((apart < SAME).mean()), **raw}


@torch.inference_mode()
def encoding(pipe: Any, study: Study) -> Took:
    """What the run spends on encoding each prompt once, with the text encoders loaded as in the loop."""
    denoiser: Any = study.denoiser
    prompts = [condition.prompt for condition in study.conditions]
    denoiser.text(pipe, prompts[0])
    return timed(lambda: [denoiser.text(pipe, prompt) for prompt in prompts])


def pipeline_loop(name: str, pipe: Any, study: Study, made: Made) -> Took:
    """What a user of diffusers writes."""
    denoiser: Any = study.denoiser
    options: dict[str, Any] = {"num_inference_steps": NFE, "guidance_scale": denoiser.guidance_scale}
    options |= {"height": denoiser.height, "width": denoiser.width, "output_type": "pt"}
    packed = name.startswith("flux")
    if packed:
        options["max_sequence_length"] = denoiser.max_tokens

    def loop(candidates: int = CANDIDATES) -> None:
        for place, condition in enumerate(study.conditions):
            best = -np.inf
            for k in range(candidates):
                space = study.space(condition)
                noise = space.start(space.draw("candidate", k)).to(denoiser.device)
                latents = pack(noise) if packed else noise
                image = pipe(condition.prompt, latents=latents, **options).images
                best = max(best, study.verifier(image, [condition]).item())
                made[place, k] = image[0].cpu()

    loop(1)
    return timed(loop)


@torch.inference_mode()
def shapes_loop(study: Study, made: Made) -> Took:
    """The same by hand for the embedded network, which has no pipeline of diffusers."""
    model: Any = study.denoiser

    def loop(candidates: int = CANDIDATES) -> None:
        times = study.space(next(iter(study.conditions))).times.float()
        for place, condition in enumerate(study.conditions):
            best = -np.inf
            for k in range(candidates):
                x = study.space(condition).draw("candidate", k).to(model.device)
                text, mask = (rows.to(model.device) for rows in phrases([condition.prompt or "", ""]))
                for t, s in pairwise(times):
                    prompted, plain = model._forward(x.repeat(2, 1, 1, 1), t.repeat(2).to(x.device), text, mask)
                    x = x + (s - t) * (plain + model.guidance_scale * (prompted - plain))
                image = (x / 2 + 0.5).clamp(0, 1)
                best = max(best, study.verifier(image, [condition]).item())
                made[place, k] = image[0].cpu()

    loop(1)
    return timed(loop)


@torch.inference_mode()
def images_of(study: Study, place: int, candidate: int) -> torch.Tensor:
    """The image of a candidate, from the latents that the journal holds."""
    assert study.batch_size is not None
    stream = Stream(
        study.output_dir / "journal", stream_identity(study, study.search, study.batch_size), study.block_size
    )
    block = stream.block(0, list(study.conditions))
    latents = torch.from_numpy(block.get("latents", np.array([[place, candidate]])))
    return study.denoiser.decode(latents.to(study.denoiser.device))[0].cpu()
