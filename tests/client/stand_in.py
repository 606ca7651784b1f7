"""A stand-in for the service, for what the real one does not do on request: breaking off, lying, being a stranger."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llmws.client.api import Api
from llmws.client.finding import Address, Given
from llmws.messages import StreamEvent


@dataclass(frozen=True)
class Asked:
    """A request as it arrived, and the ways to answer it; one that is not answered sees its connection close."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    number: int
    _handler: BaseHTTPRequestHandler

    def json(self, value: Any, status: int = 200) -> None:
        self.raw(json.dumps(value).encode(), status, "application/json")

    def raw(self, body: bytes, status: int = 200, kind: str = "text/html") -> None:
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", kind)
        self._handler.send_header("Content-Length", str(len(body)))
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def stream(self, events: list[tuple[int, StreamEvent]], *, whole: bool = True) -> None:
        """Server-sent events; without `whole` the connection breaks off after them."""
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        body = "".join(f"id: {at}\ndata: {json.dumps(event.to_dict())}\n\n" for at, event in events).encode()
        self._handler.send_header("Content-Length", str(len(body) + (0 if whole else 1)))
        self._handler.end_headers()
        self._handler.wfile.write(body)


class StandIn:
    """Its `asked` are the requests so far; `api` is a client's."""

    def __init__(self, url: str) -> None:
        self.asked: list[Asked] = []
        self.api = Api(Given(url, "token"), Address(url, "token"))


@contextmanager
def stand_in(answer: Callable[[Asked], None]) -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            asked = Asked(self.command, self.path, dict(self.headers), body, len(served.asked), self)
            served.asked.append(asked)
            answer(asked)
            self.close_connection = True

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = StandIn(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()
