"""What may stand in a request's header and nowhere else."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

SHORTEST = 8  # characters from which on a value is a secret; EMPTY and none are what local servers are given


def key_of(variable: str) -> str:
    """The key in an environment variable, without the white space around it; empty where there is none.

    Raises:
        ValueError: where `variable` looks like a key itself, or the key cannot be a header's value.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
        raise ValueError("verifier.judge.key_env is the name of an environment variable, not the key itself")
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"the key in {variable} holds characters that no header may have")
    return key


def expanded(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with each `$NAME` in them replaced by that environment variable.

    Raises:
        ValueError: naming a variable that is not set.
    """
    result = {}
    for name, value in headers.items():
        for variable in re.findall(r"\$(\w+)", str(value)):
            if variable not in os.environ:
                raise ValueError(f"verifier.judge.headers.{name}: the environment variable {variable} is not set")
        result[name] = re.sub(r"\$(\w+)", lambda match: os.environ[match[1]], str(value)).strip()
    return result


class Mask:
    """Replaces secrets in texts, also where they are quoted as JSON, as a URL or in base64."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = set()
        for secret in (each for each in secrets if len(each) >= SHORTEST):
            encoded = base64.b64encode(secret.encode()).decode()
            forms |= {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), encoded, encoded.rstrip("=")}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text with *** for each secret."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text
