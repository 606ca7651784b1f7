"""The door forwards bytes, and nothing else: no cookie, no token, no path but its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest

BODY = b"0123456789" * 200_000


class StandIn(BaseHTTPRequestHandler):
    """Stands in for the service: remembers what reached it."""

    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []
    received: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        refused = "missing" in self.path
        body = b'{"error": {"code": "not_found"}}' if refused else BODY
        self.send_response(404 if refused else 200)
        self.send_header("Content-Type", "text/markdown")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Disposition", 'attachment; filename="chat.md"')
        self.send_header("Set-Cookie", "stolen=1")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


class Server(NamedTuple):
    port: int
    token: str

    def get(self, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", f"/base/{path}", headers=headers)
        response = connection.getresponse()
        return response, response.read()

    def post(self, path: str, body: bytes | Iterator[bytes], **headers: str) -> http.client.HTTPResponse:
        """As a signed-in page does it: by cookie, not by token, and without the server's own XSRF header."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", f"/base/{path}", body, {"Cookie": self._signed_in(), **headers})
        response = connection.getresponse()
        response.read()
        return response

    def _signed_in(self) -> str:
        response, _ = self.get(f"tree?token={self.token}")
        cookies = SimpleCookie("; ".join(response.headers.get_all("Set-Cookie") or ()))
        name = next(name for name in cookies if name.startswith("username-"))
        return f"{name}={cookies[name].value}"

    def open(self, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        return self.get(path, Authorization=f"token {self.token}", **headers)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Jupyter Server with the door, in front of a stand-in for the service."""
    folder = tmp_path_factory.mktemp("jupyter")
    service = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        "LLMWS_URL": f"http://127.0.0.1:{service.server_port}",
        "JUPYTER_TOKEN": token,
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
    }
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--ServerApp.base_url=/base/"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *options, f"--ServerApp.root_dir={folder}"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield Server(_port_of(folder, process), token)
    finally:
        process.terminate()
        process.wait(20)
        service.shutdown()
        service.server_close()


def _port_of(folder: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for info in folder.glob("runtime/jpserver-*.json"):
            port = int(json.loads(info.read_text())["port"])
            # It is told before anybody listens.
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                return port
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())


def test_a_download_passes_whole_and_named(jupyter: Server) -> None:
    response, body = jupyter.open("llmws/chats/1/download?ticket=t%20t&format=md")
    assert (response.status, body == BODY) == (200, True)
    assert response.headers["Content-Disposition"] == 'attachment; filename="chat.md"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert StandIn.seen[-1][0] == "/door/chats/1/download?ticket=t%20t&format=md"


def test_cookies_and_tokens_stop_at_the_door(jupyter: Server) -> None:
    response, _ = jupyter.open("llmws/chats/1/download?ticket=t", Cookie="session=secret", Range="bytes=0-3")
    _, headers = StandIn.seen[-1]
    assert not {"cookie", "authorization"} & set(headers)
    assert jupyter.token not in str(headers)
    assert headers["range"] == "bytes=0-3"
    assert "stolen" not in str(response.headers)


def test_an_upload_passes_whole_without_cookie(jupyter: Server) -> None:
    body = secrets.token_bytes(2**20)
    response = jupyter.post("llmws/attachments/upload?ticket=t&name=a%20b.png", body, **{"Content-Type": "image/png"})
    path, headers = StandIn.seen[-1]
    assert (response.status, StandIn.received[-1] == body) == (200, True)
    assert path == "/door/attachments/upload?ticket=t&name=a%20b.png"
    assert (headers["content-type"], headers["content-length"]) == ("image/png", str(len(body)))
    assert not {"cookie", "authorization"} & set(headers)


@pytest.mark.parametrize("told", [True, False])
def test_what_is_too_large_stops_at_the_door(jupyter: Server, told: bool) -> None:
    before = len(StandIn.received)
    body = bytes(10 * 2**20)
    try:
        response = jupyter.post("llmws/attachments/upload?ticket=t", body if told else iter([body]))
        assert response.status in (400, 413)
    except ConnectionError:
        pass  # it hangs up on who goes on sending
    assert len(StandIn.received) == before


def test_a_refusal_of_the_service_reaches_the_browser(jupyter: Server) -> None:
    response, body = jupyter.open("llmws/missing?ticket=t")
    assert (response.status, json.loads(body)["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "llmws/../api/chats",
        "llmws/a/../../api/chats",
        "llmws/%2e%2e/api/chats",
        "llmws/a%2f..%2fapi",
        "llmws//api",
        "llmws/a%5c..%5capi",
    ],
)
def test_no_path_leads_past_the_door(jupyter: Server, path: str) -> None:
    before = len(StandIn.seen)
    response, _ = jupyter.open(path)
    assert response.status in (400, 404)
    assert all(seen.startswith("/door/") and ".." not in seen for seen, _ in StandIn.seen[before:])
    assert len(StandIn.seen) == before


def test_who_has_not_signed_in_does_not_pass(jupyter: Server) -> None:
    before = len(StandIn.seen)
    response, _ = jupyter.get("llmws/chats/1/download?ticket=t")
    assert response.status in (302, 403)
    assert jupyter.post("llmws/attachments/upload?ticket=t", b"x", Cookie="").status == 403
    assert len(StandIn.seen) == before
