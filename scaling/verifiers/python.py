"""A function or class of one's own as a verifier or a metric: `judge.py:redness`, or `package.module:name`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from scaling.files import user_path
from scaling.identity import identity_of
from scaling.protocols import Condition
from scaling.source import is_library, refuse_strangers
from scaling.traits import refuse_former_name, refuse_latents


class Python:
    """Scores images by somebody's own function, for example

        def redness(images, prompts):
            return images[:, 0].mean(dim=(1, 2)) - images[:, 1:].mean(dim=(1, 2, 3))

    It takes images [n, 3, h, w] in [0, 1], float32 on the model's device, and n prompts (class labels where there are
    none), and returns n scores, higher is better. A class is made once, with `arguments`, and called so; it may have
    `differentiable` (its scores have a gradient to the images), `probe_sigma` (a noise level whose x0 prediction it
    wants as a third argument), `latent_shape` (it takes latents of that shape, no images) and `identity()`; without
    that, its code, parameters and local imports decide what it is.

    Args:
        function: `file.py:name`, found from the current folder, or `package.module:name`.
        arguments: keywords for the function, or for the class's constructor.

    Raises:
        ValueError: where there is no such file or name, and where the answer is no score for each image.
    """

    def __init__(self, *, function: str, arguments: Mapping[str, Any] | None = None) -> None:
        self.name = function
        found = load(function)
        given = dict(arguments or {})
        try:
            self.judge = found(**given) if isinstance(found, type) else partial(found, **given) if given else found
        except TypeError as error:
            raise ValueError(f"{function}: {error}") from error
        refuse_former_name(self.judge, f"the judge {function}", "probe", "probe_sigma")
        self.differentiable = bool(getattr(self.judge, "differentiable", False))
        self.probe_sigma: float | None = getattr(self.judge, "probe_sigma", None)
        self.latent_shape: tuple[int, ...] | None = getattr(self.judge, "latent_shape", None)

    def __call__(
        self,
        images: Float[Tensor, "n *sample"],
        conditions: Sequence[Condition],
        probes: Float[Tensor, "n *sample"] | None = None,
    ) -> Float[Tensor, " n"]:
        """The function's scores as float32 on the images' device; latents stand for images where it takes these."""
        prompts = [each.class_label if each.prompt is None else each.prompt for each in conditions]
        more = () if self.probe_sigma is None else (probes,)
        try:
            scores = self.judge(images.clone(), prompts, *more)  # it may write into what it is given
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(at.filename).name}, line {at.lineno}"
            raise ValueError(f"{self.name} failed: {type(error).__name__}: {error} ({place})") from error
        return self._checked(scores, images)

    def identity(self) -> dict[str, Any]:
        """The function's name, parameters and code, with that of the local modules which it imports."""
        return {"class": "Python", "judge": identity_of(self.judge)}

    def _checked(self, scores: Any, images: Tensor) -> Tensor:
        try:
            values = torch.as_tensor(scores).to(images.device, torch.float32)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"{self.name} returned a {type(scores).__name__}: {len(images)} scores are needed"
            ) from None
        if values.shape not in ((len(images),), (len(images), 1)):
            shown = list(values.shape)
            raise ValueError(f"{self.name} returned scores of shape {shown} for {len(images)} images")
        if not bool(values.isfinite().all()):
            raise ValueError(f"{self.name} returned a score that is not a finite number")
        return values.reshape(-1)


class PythonValues:
    """The same for metrics: an extractor whose output `value` [n, 1] is the function's score of each winner.

    A ValueError where the function wants an x0 prediction, or latents.
    """

    def __init__(self, *, function: str, arguments: Mapping[str, Any] | None = None) -> None:
        self.verifier = Python(function=function, arguments=arguments)
        if self.verifier.probe_sigma is not None:
            raise ValueError(f"{function} wants to see an x0 prediction: a metric sees the samples alone")
        refuse_latents(self.verifier, f"{function}: a metric sees images")

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 h w"], conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """The scores by the name "value"."""
        return {"value": self.verifier(images, conditions)[:, None]}

    def identity(self) -> dict[str, Any]:
        """That of the function."""
        return {**self.verifier.identity(), "class": "PythonValues"}


def load(function: str) -> Any:
    """What `file.py:name` or `package.module:name` names; a ValueError says what is missing."""
    place, _, name = function.rpartition(":")
    if not place or not name:
        raise ValueError(f"verifier.function={function!r}: file.py:name or package.module:name is needed")
    module = _file(user_path(place), function) if place.endswith(".py") else _module(place, function)
    found = getattr(module, name, None)
    if not callable(found):
        names = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        near = difflib.get_close_matches(name, names, 1) or names
        raise ValueError(f"{place} has no function {name}; did you mean {' or '.join(near) or 'another file'}?")
    return found


def _file(path: Path, function: str) -> ModuleType:
    """The module in a file, run anew: it may have been edited. Its neighbors can be imported."""
    if not path.is_file():
        raise ValueError(f"verifier.function={function}: there is no file {path} (seen from {Path.cwd()})")
    path = path.resolve()
    known = sys.modules.get(path.stem)
    mine = known is None or getattr(known, "__file__", None) == str(path)
    spec = importlib.util.spec_from_file_location(path.stem if mine else f"{path.stem}_of_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[spec.name] = module
    neighbors = _Neighbors(path.parent)
    sys.meta_path.insert(0, neighbors)
    try:
        _run(lambda: spec.loader.exec_module(module), path.name)
    finally:
        sys.meta_path.remove(neighbors)
    refuse_strangers(path)
    return module


class _Neighbors(MetaPathFinder):
    """Finds what lies in a folder before what is called so elsewhere; libraries come first."""

    def __init__(self, folder: Path) -> None:
        self._folder = [str(folder)]
        self._libraries = [entry for entry in sys.path if is_library(Path(entry))]

    @override
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is not None or name in sys.stdlib_module_names:
            return None
        spec = PathFinder.find_spec(name, self._folder)
        library = spec is None or spec.loader is None or PathFinder.find_spec(name, self._libraries) is not None
        return None if library else spec


def _module(name: str, function: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"verifier.function={function}: {error}") from error


def _run(execute: Any, name: str) -> None:
    try:
        execute()
    except Exception as error:
        raise ValueError(f"{name} cannot be loaded: {type(error).__name__}: {error}") from error
