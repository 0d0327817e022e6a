"""Services with an OpenAI-compatible endpoint: where they are, what they take, whose key they want, who may see it."""

from __future__ import annotations

import base64
import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpx

SHORTEST = 8  # characters from which on a value is a secret; EMPTY and none are what local servers are given


@dataclass(frozen=True)
class Service:
    """An endpoint as `url` may name it.

    `key_env` is the environment variable of its key (None: it wants none), `length` the request's name for the most
    tokens of an answer, `response_format` how an answer in JSON is asked for (None: by the instruction alone).
    """

    url: str
    key_env: str | None
    length: str = "max_tokens"
    response_format: str | None = "json_schema"


SERVICES = {
    "anthropic": Service("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", response_format=None),
    "dashscope": Service(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", response_format="json_object"
    ),
    "deepinfra": Service("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", response_format="json_object"),
    "fireworks": Service("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "gemini": Service("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": Service("https://api.groq.com/openai/v1", "GROQ_API_KEY", response_format="json_object"),
    "huggingface": Service("https://router.huggingface.co/v1", "HF_TOKEN"),
    "llama.cpp": Service("http://localhost:8080/v1", None),
    "lmstudio": Service("http://localhost:1234/v1", None),
    "mistral": Service("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "ollama": Service("http://localhost:11434/v1", None),
    "openai": Service("https://api.openai.com/v1", "OPENAI_API_KEY", "max_completion_tokens"),
    "openrouter": Service("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "sglang": Service("http://localhost:30000/v1", None),
    "together": Service("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vllm": Service("http://localhost:8000/v1", None),
    "xai": Service("https://api.x.ai/v1", "XAI_API_KEY"),
}


def service_of(url: str) -> Service:
    """The service that a name or a URL means; a URL's key is `OPENAI_API_KEY` unless its host is listed above.

    Raises:
        ValueError: for a name that is not listed, and for a URL that is none or carries a password or a key.
    """
    if url in SERVICES:
        return SERVICES[url]
    if "://" not in url:
        near = difflib.get_close_matches(url, SERVICES, 1)
        hint = f"did you mean {near[0]}?" if near else f"or one of {', '.join(SERVICES)}"
        raise ValueError(f"verifier.judge.url={url!r}: a URL is needed, as https://host/v1, {hint}")
    try:
        parsed = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ValueError(f"verifier.judge.url is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"verifier.judge.url={url!r}: a URL is needed, as https://host/v1")
    if parsed.userinfo or any(word in name.lower() for name in parsed.params for word in ("key", "token", "secret")):
        raise ValueError("verifier.judge.url carries a password or a key: put it into the variable that key_env names")
    known = {httpx.URL(service.url).host: service.key_env for service in SERVICES.values() if service.key_env}
    return Service(str(parsed), known.get(parsed.host, "OPENAI_API_KEY"))


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
