"""Libraries' warnings and logs, of which a user can act on none; what matters of them is said by us, as a notice."""

from __future__ import annotations

import os
import sys
import warnings

SAY_LESS = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def quiet_libraries() -> None:
    """Before the first of them is imported; with debug=true, `python -W` or a variable of theirs they speak."""
    if "debug=true" in sys.argv or sys.warnoptions:
        return
    warnings.simplefilter("ignore")
    for name, value in SAY_LESS.items():
        os.environ.setdefault(name, value)
