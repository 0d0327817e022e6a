"""Any executable as a verifier: it reads paths of images and prints a score for each."""

from __future__ import annotations

import math
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from scaling.contents import NAMED_FILES, WEIGHTS, digest, files_digest, files_named_by, files_of_command
from scaling.pixels import png
from scaling.protocols import Condition
from scaling.source import sources, sources_digest
from scaling.verifiers.prompted import prompts_of
from scaling.verifiers.sample_verifier import SampleVerifier


class Command(SampleVerifier):
    """Runs `command` once a batch: a PNG's path a line on its standard input, a number a line expected in return.

    Args:
        command: an executable and its arguments, as one text or as a list.
        prompts: whether a line is path, tab, prompt (white space in it made single spaces).
        timeout: seconds for a batch.

    Raises:
        ValueError: for an empty command; of a batch, with its standard error, where it fails, takes longer, or prints
            anything but one finite number for each image.
    """

    execution_only: ClassVar[frozenset[str]] = frozenset({"timeout"})

    def __init__(self, *, command: str | Sequence[str], prompts: bool = False, timeout: float = 600.0) -> None:
        self.command = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
        if not self.command:
            raise ValueError("verifier.command is empty: an executable and its arguments are needed")
        self.prompts, self.timeout = prompts, timeout

    def rate(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> Float[Tensor, " n"]:
        """What the command says of images in [0, 1]; a ValueError shows its standard error where it fails."""
        with tempfile.TemporaryDirectory() as folder:
            lines = []
            for number, image in enumerate(images):
                path = Path(folder) / f"{number:05d}.png"
                path.write_bytes(png(image))
                lines.append(str(path))
            if self.prompts:
                said = (" ".join(prompt.split()) for prompt in prompts_of(conditions))
                lines = [f"{path}\t{prompt}" for path, prompt in zip(lines, said, strict=True)]
            scores = self._scores("".join(f"{line}\n" for line in lines), len(images))
        return torch.tensor(scores, dtype=torch.float32, device=images.device)

    def identity(self) -> dict[str, Any]:
        """Class, the command, and the hashes of those of its parts that are files and of what a script imports."""
        paths = files_of_command(self.command)
        files = [digest(path) for path in paths]
        imported = [more for path in paths if path.suffix == ".py" for more in sources(path)[1:]]
        imports = {"imports": sources_digest(imported)} if imported else {}
        named = files_named_by([*(path for path in paths if path.suffix == ".py"), *imported], WEIGHTS)
        imports |= {NAMED_FILES: files_digest(named)} if named else {}
        return {"class": "Command", "command": self.command, "files": files, "prompts": self.prompts, **imports}

    def _scores(self, lines: str, count: int) -> list[float]:
        name = shlex.join(self.command)
        try:
            done = subprocess.run(self.command, input=lines, capture_output=True, text=True, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise ValueError(f"the verifier {name} took longer than {self.timeout} s for {count} images") from None
        except OSError as error:
            raise ValueError(f"the verifier {name} cannot be run: {error}") from None
        said = done.stderr.strip()[-500:]
        if done.returncode:
            raise ValueError(f"the verifier {name} failed with {done.returncode}: {said}")
        words = done.stdout.split()
        try:
            scores = [float(word) for word in words]
        except ValueError as error:
            raise ValueError(f"the verifier {name} printed no number: {error}; {said}") from None
        if len(scores) != count:
            raise ValueError(f"the verifier {name} printed {len(scores)} scores for {count} images; {said}")
        if not all(math.isfinite(score) for score in scores):
            raise ValueError(f"the verifier {name} printed a score that is not finite")
        return scores
