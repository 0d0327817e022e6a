"""A POST that ends: its answer is bounded in bytes and in time, it follows no redirect, and it hears a stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import wait
from typing import NamedTuple, TypeVar

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from scaling.stop import check_stop

MOST_BYTES = 4 * 2**20  # of an answer; a grade takes some hundred
POLL = 0.1  # seconds between two looks for a stop
T = TypeVar("T")


class Reply(NamedTuple):
    """A server's answer: its status, headers and text."""

    status: int
    headers: httpx.Headers
    text: str


async def post(client: httpx.AsyncClient, url: httpx.URL, body: str, seconds: float) -> Reply:
    """Sends JSON and reads the whole answer.

    Raises:
        TimeoutError: after `seconds` in all, however busy the server seems.
        ConnectionError: where there is no answer, or more than `MOST_BYTES` of it.
    """
    try:
        with anyio.fail_after(seconds):
            async with client.stream("POST", url, content=body) as response:
                received = bytearray()
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > MOST_BYTES:
                        raise ConnectionError(f"an answer of more than {MOST_BYTES} bytes")
    except TimeoutError:
        raise TimeoutError(f"no whole answer within {seconds:g} s") from None
    except httpx.HTTPError as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from None
    return Reply(response.status_code, response.headers, received.decode(errors="replace"))


def run_stoppable(function: Callable[[], Awaitable[T]]) -> T:
    """What an asynchronous function returns; it runs in a thread of its own and is canceled where a stop is asked for.

    Raises:
        Stopped: where a signal asked for a stop meanwhile.
    """
    with start_blocking_portal() as portal:
        future = portal.start_task_soon(function)
        while not wait([future], POLL).done:
            check_stop()
        return future.result()
