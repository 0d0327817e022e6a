"""An OpenAI-compatible server on this machine that grades pictures by their brightness, or misbehaves as planned."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

STATUS = {"401": 401, "429": 429, "500": 500, "leak": 401, "filter": 400, "redirect": 302}


class Server(ThreadingHTTPServer):
    """Grades a picture by its brightness, after doing what `plan` says for each prompt in turn."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: dict[str, list[str]] = {}
        self.asked: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.alternatives: list[dict[str, Any]] = []
        self.elsewhere = ""  # where a redirect leads
        self.poured = 0  # bytes of a flood that were taken
        self.lock, self.over = threading.Lock(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        """Silence."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text, image, *_ = body["messages"][0]["content"]
        prompt = text["text"].rpartition("Grade this picture of: ")[2]
        with self.server.lock:
            self.server.asked[prompt] += 1
            self.server.bodies.append(body | {"authorization": self.headers.get("Authorization")})
            steps = self.server.plan.get(prompt, [])
            act = steps.pop(0) if steps else "answer"
        if act in STATUS:
            self.refuse(act)
            return
        if act == "hang":
            self.server.over.wait(3)
            return
        if act == "close":
            self.connection.close()
            return
        if act in ("flood", "drip"):
            self.pour(act)
            return
        mark = brightness(image["image_url"]["url"])
        content = json.dumps({"accuracy": 1, "style": 2.5, "overall": mark})
        content = {
            "malformed": content[:-5],
            "high": '{"accuracy": 1, "style": 2, "overall": 11}',
            "cut": content[:-5],
            "prose": "I cannot rate this image.",
            "echo": f"{content} {self.headers.get('Authorization')}",
        }.get(act, content)
        choice: dict[str, Any] = {"message": {"content": content}}
        if act == "cut":
            choice["finish_reason"] = "length"
        if act == "refuse":
            choice["message"] = {"content": None, "refusal": "no people, please"}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [{"top_logprobs": self.server.alternatives}]}
        usage = {"prompt_tokens": 1000, "completion_tokens": 100}
        reply = json.dumps({"choices": [choice], "usage": usage})
        with self.server.lock:
            self.server.served[prompt] += act == "answer"
        self.send_response(200)
        self.end_headers()
        self.wfile.write((reply if act != "broken" else reply[:20]).encode())

    def refuse(self, act: str) -> None:
        self.send_response(STATUS[act])
        if act == "429":
            self.send_header("Retry-After", "0.05")
        if act == "redirect":
            self.send_header("Location", self.server.elsewhere)
        self.end_headers()
        said = {"filter": '{"error": {"code": "content_filter"}}', "leak": f"bad key: {self.headers}"}
        self.wfile.write(said.get(act, "no").encode())

    def pour(self, act: str) -> None:
        """Bytes without end, fast or one by one."""
        self.send_response(200)
        self.end_headers()
        piece = b" " * (1 if act == "drip" else 2**16)
        with suppress(OSError):
            while not self.server.over.wait(0.05 if act == "drip" else 0):
                self.wfile.write(piece)
                self.server.poured += len(piece)


def brightness(url: str) -> float:
    from PIL import Image

    pixels = Image.open(BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))).convert("L")
    return round(10 * sum(pixels.tobytes()) / (255 * 64), 3)


@contextmanager
def judge_server() -> Iterator[Server]:
    """A server that runs within."""
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
