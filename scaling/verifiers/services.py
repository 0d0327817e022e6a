"""Common services with an OpenAI-compatible endpoint: where they are, whose key they want, what they take."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import httpx


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
