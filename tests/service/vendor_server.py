"""A vendor of the OpenAI wire that knows keys: each is accepted, or refused in a way of its own, over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LIMIT_S = 30.0


class VendorServer:
    """Answers every chat with `Yes.` in one piece, or with what it sees in the pictures that came along.

    Attributes:
        refusals: what it answers to a key, by the key: a status and a text. It repeats the key in both.
        open_list: whether it lists its models to anybody.
        asked: path, key and body of each request.
        listing: cleared, it keeps whoever asks for the list waiting.
        rounds: what it calls, by name and arguments, before it says `Yes.`: an answer for each round.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.models = ["m", "m-large", "text-embedding-m"]
        self.refusals: dict[str, tuple[int, str]] = {}
        self.open_list = False
        self.asked: list[tuple[str, str, Any]] = []
        self.listing = threading.Event()
        self.listing.set()
        self.rounds: list[list[tuple[str, str]]] = []

    def asked_with(self, path: str = "/chat/completions") -> list[str]:
        """The keys that requests to `path` came with."""
        return [key for asked, key, _ in self.asked if asked == path]

    def answer(self, path: str, key: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        self.asked.append((path.removeprefix("/v1"), key, body))
        listing = path == "/v1/models"
        if listing:
            self.listing.wait(LIMIT_S)
        if key in self.refusals and not (listing and self.open_list):
            status, text = self.refusals[key]
            return _json(status, {"error": {"message": f"{text} (you sent {key})", "code": key}}, {"X-Request-Id": key})
        if listing:
            return _json(200, {"data": [{"id": one, "max_model_len": 4096} for one in self.models]})
        if path != "/v1/chat/completions":
            return 404, {"Content-Type": "text/html"}, b"<html>Nothing here.</html>"
        if body["model"] not in self.models:
            return _json(404, {"error": {"message": f"The model `{body['model']}` does not exist"}})
        usage = {"prompt_tokens": 5, "completion_tokens": 2}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "Yes."}
            return _json(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})
        chunks = [*self._said(body["messages"]), {"choices": [], "usage": usage}]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        return 200, {"Content-Type": "text/event-stream"}, "".join(lines).encode()

    def _said(self, messages: list[Any]) -> list[dict[str, Any]]:
        calls = self.rounds.pop(0) if self.rounds else []
        delta: dict[str, Any] = {"content": "; ".join(map(seen, pictures(messages[-1]))) or "Yes."}
        if calls:
            told = [
                {"index": n, "id": f"call-{len(self.asked)}-{n}", "function": {"name": name, "arguments": arguments}}
                for n, (name, arguments) in enumerate(calls)
            ]
            delta = {"tool_calls": told}
        reason = "tool_calls" if calls else "stop"
        return [
            {"choices": [{"index": 0, "delta": delta}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]


@contextmanager
def vendor_server(kind: type[VendorServer] = VendorServer) -> Iterator[VendorServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, headers, data = server.answer(self.path, key, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        server = kind(listener.server_port)
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,), name="vendor server")
        thread.start()
        try:
            yield server
        finally:
            server.listing.set()
            listener.shutdown()
            thread.join()


def pictures(message: Any) -> list[bytes]:
    """The pictures of a message as it came over the wire."""
    parts = message["content"] if isinstance(message["content"], list) else []
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


def seen(picture: bytes) -> str:
    """What there is to see in a PNG of 8 bits without a palette: its size, and the colour of its corner.

    Example:
        >>> from tests.service.test_media import png
        >>> seen(png(30, 20))
        '30 × 20, #ff0000'
    """
    width, height = (int.from_bytes(picture[at : at + 4]) for at in (16, 20))
    chunks, at = b"", 8
    while at < len(picture):
        length, kind = int.from_bytes(picture[at : at + 4]), picture[at + 4 : at + 8]
        chunks += picture[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    # Before the corner there is nothing that a filter could refer to.
    return f"{width} × {height}, #{zlib.decompress(chunks)[1:4].hex()}"


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode()
