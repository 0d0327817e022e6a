"""The command of `scaling-study` about images that exist: score."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.cli.study.runs import Add

if TYPE_CHECKING:
    from scaling.tools.score import Scoring

SOURCE = "a folder (a subfolder for each prompt or class, or PROMPT_NUMBER.png), or a table of paths"
NAMES = (
    "an option of verifier= (scaling-study list verifier), or a function of your own as judge.py:redness; words with = "
    "after it are its overrides: --verifier clip_score scale=cosine pickscore"
)


def score(options: argparse.Namespace) -> int:
    """Scores images that exist, from any model, by any verifiers, for `report --pool`; what is scored is not redone."""
    from scaling.loading.devices import pick_device
    from scaling.notices import print_notices
    from scaling.tools.image_files import find_images
    from scaling.tools.score import score as scored

    if options.batch_size < 1:
        raise ValueError(f"--batch-size {options.batch_size}: a whole number, at least 1, is needed")
    images, tell = find_images(options.images), partial(print, file=sys.stderr, flush=True)
    verifiers = {name: _built(name, lines) for name, lines in _asked(options.verifier).items()}
    try:
        done = scored(images, verifiers, options.out, options.batch_size, pick_device(options.device), tell)
    finally:
        print_notices()
    before = f", {done.known} were there" if done.known else ""
    print(f"{options.out}: {done.computed} scores by {', '.join(verifiers)}{before}{_others(done)}")
    if done.failures:
        print(f"{len(done.failures)} images have no score; the same command tries them again", file=sys.stderr)
        return 1
    print(f"best of n: scaling-study report --pool {options.out}")
    return 0


def _others(done: Scoring) -> str:
    """What the table holds beside the images of this call."""
    lacking = f" ({done.lacking} of them lack a score by these)" if done.lacking else ""
    return f"; {done.others} rows of other images were kept from before{lacking}" if done.others else ""


def add_commands(add: Add) -> None:
    """Adds score to the command."""
    command = add("score", score)
    command.add_argument("images", type=Path, help=SOURCE)
    command.add_argument("--verifier", nargs="+", required=True, metavar="NAME", help=NAMES)
    command.add_argument("--out", type=Path, default=Path("scores.parquet"), help="default: scores.parquet")
    command.add_argument("--batch-size", type=int, default=16, help="images judged together (default: 16)")
    command.add_argument("--device", default="auto", help="where the images lie (default: the GPU where there is one)")


def _asked(words: list[str]) -> dict[str, list[str]]:
    """By the column's name, the overrides that choose and configure a verifier."""
    found: dict[str, list[str]] = {}
    for word in words:
        if "=" in word:
            if not found:
                raise ValueError(f"{word} overrides nothing: a verifier goes before it, as in clip_score {word}")
            lines = found[next(reversed(found))]
            plain = word.lstrip("+~")
            lines.append(word if plain.startswith("verifier.") else f"{word.removesuffix(plain)}verifier.{plain}")
            continue
        name = word.rpartition(":")[2]
        if name in found:
            raise ValueError(f"--verifier {name} is there twice; score by the other one into a second file")
        found[name] = ["verifier=python", f"verifier.function={word}"] if ":" in word else [f"verifier={word}"]
    return {_column(name, lines): lines for name, lines in found.items()}


def _column(name: str, lines: list[str]) -> str:
    """The verifier's name; that of the function where it is the user's own."""
    functions = [line.rpartition(":")[2] for line in lines if line.startswith("verifier.function=")]
    return functions[-1] if functions else name


def _built(name: str, lines: list[str]) -> Any:
    """The verifier; a ValueError where it is none that judges one finished image alone."""
    from scaling.cli.errors import one_line
    from scaling.config.build import build
    from scaling.config.compose import grid
    from scaling.config.places import CONF

    try:
        ((config, _),) = grid(["model=gaussian_mixture", *lines])
    except Exception as error:
        raise ValueError(one_line(error, CONF)) from error
    verifier = build("verifier", config["verifier"])
    if hasattr(verifier, "pick") or hasattr(verifier, "select"):
        raise ValueError(f"--verifier {name} picks among candidates and scores none: list scorers in its place")
    if verifier.probe_sigma is not None:
        raise ValueError(f"--verifier {name} compares with a prediction on the way, which an image does not have")
    return verifier
