"""A scripted service for the runner: what `llmws.training.runner` says of the protocol, kept in memory."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llmws.training.orders import Order

TOKEN = "runner-token"
ENDED = ("finished", "stopped", "failed", "interrupted", "deleted")


@dataclass
class Row:
    """A job as a service would store it."""

    order: dict[str, Any]
    states: list[str] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    points: dict[int, dict[str, Any]] = field(default_factory=dict)
    output: str = ""
    output_offset: int = 0
    intent: dict[str, Any] = field(default_factory=dict)
    reported_round: int = 0

    @property
    def state(self) -> str:
        return self.states[-1] if self.states else "queued"

    def take(self, told: dict[str, Any]) -> dict[str, Any]:
        if told["round"] >= self.order["round"]:
            self.reported_round = told["round"]
            self.last = told
            self.points.update({point["step"]: point for point in told["points"]})
            if (output := told["output"]) and output["offset"] >= self.output_offset:
                self.output += output["text"]
                self.output_offset = output["end"]
            # Last: a test that waits for a state looks at the rest without the lock.
            if told["state"] != self.state:
                self.states.append(told["state"])
            if self.state in ENDED and (self.intent.get("intent") != "delete" or self.state == "deleted"):
                self.intent = {}
        return {"output_offset": self.output_offset, **self.intent}


class Service:
    """Listens on loopback; `down` makes it answer 503, `forbidden` 403."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.claims: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.down = self.forbidden = False
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def order(self, order: Order) -> Row:
        return self.order_raw(order.to_dict())

    def order_raw(self, told: dict[str, Any]) -> Row:
        with self._lock:
            row = self.rows.setdefault(told["id"], Row(told))
            row.order = told
            return row

    def ask(self, row: Row, intent: str, **more: Any) -> None:
        with self._lock:
            row.intent = {"intent": intent, "by": "alice", **more}

    def answer(self, path: str, told: dict[str, Any]) -> dict[str, Any] | None:
        with self._lock:
            if path == "/api/runner/claim":
                self.claims.append(told)
                orders = [row.order for row in self.rows.values() if row.reported_round < row.order["round"]]
                intents = [{"id": job_id, **row.intent} for job_id, row in self.rows.items() if row.intent]
                return {"orders": orders if told["ready"] else [], "intents": intents}
            row = self.rows.get(path.split("/")[4])
            return row.take(told) if row else None

    def _handler(service) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if service.forbidden or self.headers["Authorization"] != f"Bearer {TOKEN}":
                    return self._say(403, {"error": {"code": "forbidden", "message": "No.", "remedy": ""}})
                if service.down:
                    service.refused.append(told)
                    return self._say(503, {"error": {"code": "unavailable", "message": "Later.", "remedy": ""}})
                answer = service.answer(self.path, told)
                if answer is None:
                    return self._say(404, {"error": {"code": "not_found", "message": "No such job.", "remedy": ""}})
                return self._say(200, answer)

            def _say(self, status: int, told: dict[str, Any]) -> None:
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
