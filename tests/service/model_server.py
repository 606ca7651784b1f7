"""A model server that says what a test tells it, when the test tells it: the OpenAI wire, over real HTTP."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LIMIT_S = 30.0
_BREAK_OFF = object()


class ModelServer:
    """One model, `m`, that answers one caller at a time.

    Attributes:
        asked: the bodies of the completions asked for.
        context: what the list of models says of `m`.
        listing: cleared, it keeps whoever asks for the list of models waiting.
        hung_up: set when a caller closed its connection before the answer ended.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.asked: list[dict[str, Any]] = []
        self.context: int | None = None
        self.listing = threading.Event()
        self.listing.set()
        self.hung_up = threading.Event()
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self._pieces: queue.Queue[Any] = queue.Queue()

    def say(self, text: str) -> None:
        self._pieces.put({"choices": [{"index": 0, "delta": {"content": text}}]})

    def finish(self) -> None:
        self._pieces.put({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._pieces.put(None)

    def break_off(self) -> None:
        self._pieces.put(_BREAK_OFF)

    def models(self) -> dict[str, Any]:
        return {"data": [{"id": "m", "max_model_len": self.context}]}

    def pieces(self) -> Iterator[bytes]:
        while (piece := self._pieces.get(timeout=LIMIT_S)) is not None:
            if piece is _BREAK_OFF:
                return
            yield b"data: " + json.dumps(piece).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"

    def vectors(self, count: int) -> list[list[float]]:
        """What it answers for so many texts."""
        return [[float(index), 1.0] for index in range(count)]

    def whole(self) -> dict[str, Any]:
        """All of it in one piece, for who does not want it streamed."""
        choices = [piece["choices"][0] for piece in iter(lambda: self._pieces.get(timeout=LIMIT_S), None)]
        text = "".join(choice["delta"].get("content", "") for choice in choices)
        return {"choices": [{**choices[-1], "delta": None, "message": {"role": "assistant", "content": text}}]}


@contextmanager
def model_server(providers: Path) -> Iterator[ModelServer]:
    """Run one, and write the file that makes it the provider `local`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            told.listing.wait(LIMIT_S)
            self._answer(200, told.models())

        def do_POST(self) -> None:
            told.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if told.refusal is not None:
                self._answer(*told.refusal)
                return
            if self.path.endswith("/embeddings"):
                count = len(told.asked[-1]["input"])
                rows = [{"index": index, "embedding": row} for index, row in enumerate(told.vectors(count))]
                self._answer(200, {"data": rows, "usage": {"prompt_tokens": count}})
                return
            if not told.asked[-1]["stream"]:
                with suppress(BrokenPipeError):  # whoever asked may be gone
                    self._answer(200, told.whole())
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for piece in told.pieces():
                    self.wfile.write(piece)
            except (BrokenPipeError, ConnectionResetError):
                told.hung_up.set()

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told = ModelServer(server.server_port)
        providers.write_text(
            f'[local]\nname = "Local"\nwire = "openai_chat"\nneeds_key = false\nbase_url = "{told.url}"\n'
        )
        thread = threading.Thread(target=server.serve_forever, name="model server")
        thread.start()
        try:
            yield told
        finally:
            told.listing.set()
            server.shutdown()
            thread.join()
