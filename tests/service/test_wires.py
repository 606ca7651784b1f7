"""Each wire through the whole service: what a provider streams becomes an answer and a settled row."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llmws.settings import Settings

from .harness import Running, running_service, wait_for
from .test_media import png

STREAMS = Path(__file__).parents[1] / "providers" / "streams"


@dataclass(frozen=True)
class Wire:
    """Where a wire asks, what it is answered, and what that is in words and in tokens."""

    path: str
    base: str
    good: str
    text: str
    tokens: tuple[int, int]


WIRES = {
    "openai_chat": Wire("/v1/chat/completions", "/v1", "openai.sse", "Hello, 世界 👋", (19, 10)),
    "openai_responses": Wire("/v1/responses", "/v1", "text.sse", "Hi there, 世界 👋", (37, 11)),
    "anthropic_messages": Wire("/v1/messages", "/v1", "basic.sse", "Hello 世界!", (25, 15)),
    "ollama": Wire("/api/chat", "", "chat.ndjson", "The sky 天空 👋", (26, 282)),
}
LISTS = {
    "/v1/models": {"data": [{"id": "m"}]},
    "/api/tags": {"models": [{"model": "m"}]},
    "/api/show": {"capabilities": ["completion", "vision"], "model_info": {"llama.context_length": 8192}},
    "/api/ps": {"models": []},
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    streams: dict[str, bytes]
    asked: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked[self.path] = json.loads(body) if body else None
        told = LISTS.get(self.path)
        data = self.streams[self.path] if told is None else json.dumps(told).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def streams() -> dict[str, bytes]:
    """What is answered at each path."""
    return {}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, streams: dict[str, bytes]) -> Iterator[Running]:
    """A service with a provider of each wire."""
    data = tmp_path_factory.mktemp("data")
    told = type("Told", (Handler,), {"streams": streams})
    with ThreadingHTTPServer(("127.0.0.1", 0), told) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="model server")
        thread.start()
        rows = (
            f'[{name}]\nname = "{name}"\nwire = "{name}"\nneeds_key = false\n'
            f'base_url = "http://127.0.0.1:{server.server_port}{wire.base}"\n'
            for name, wire in WIRES.items()
        )
        (data / "providers.toml").write_text("".join(rows))
        settings = Settings(data=data / "llmws", embedded=False, providers=data / "providers.toml", title_model="none")
        try:
            with running_service(settings) as service:
                yield service
        finally:
            server.shutdown()
            thread.join()


def ask(service: Running, wire: str) -> list[dict[str, Any]]:
    """The chunks of an answer."""
    body = {"model": f"{wire}/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    said = service.http.post("/v1/chat/completions", json=body)
    lines = [line.removeprefix("data: ") for line in said.text.split("\n\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_of(chunks: list[dict[str, Any]]) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def last_call(service: Running, wire: str) -> dict[str, Any]:
    calls = service.get("/api/usage/calls")["items"]
    return next(call for call in calls if call["model"] == f"{wire}/m")


@pytest.mark.parametrize("name", WIRES)
def test_an_answer_comes_through_and_its_row_says_what_the_provider_counted(
    service: Running, streams: dict[str, bytes], name: str
) -> None:
    wire = WIRES[name]
    streams[wire.path] = (STREAMS / name / wire.good).read_bytes()
    assert text_of(ask(service, name)) == wire.text
    call = last_call(service, name)
    assert (call["outcome"], call["input_tokens"], call["output_tokens"]) == ("stop", *wire.tokens)
    assert call["source"] == "provider"


@pytest.mark.parametrize("name", WIRES)
def test_an_answer_that_breaks_off_says_so_and_its_row_is_settled(
    service: Running, streams: dict[str, bytes], name: str
) -> None:
    wire = WIRES[name]
    streams[wire.path] = next((STREAMS / name).glob("broken-off.*")).read_bytes()
    chunks = ask(service, name)
    assert text_of(chunks)
    assert chunks[-1]["error"]["message"]
    assert last_call(service, name)["outcome"] == "error"


def test_what_ollama_says_of_its_models_is_listed(service: Running) -> None:
    def listed() -> dict[str, Any] | None:
        return next((it for it in service.get("/api/models")["items"] if it["id"] == "ollama/m"), None)

    model = wait_for(listed, "Ollama's list")
    assert (model["context"], model["vision"], model["tools"]) == (8192, True, False)


PICTURE = base64.b64encode(png()).decode()
FILE = '<file name="moons.csv">\nIo,3\n</file>\n\n'
# A message of a picture, a file and words, as each vendor's documentation wants it.
SEEN = {
    "openai_chat": [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        {"type": "text", "text": FILE},
        {"type": "text", "text": "What is this?"},
    ],
    "openai_responses": [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}", "detail": "auto"},
        {"type": "input_text", "text": FILE},
        {"type": "input_text", "text": "What is this?"},
    ],
    "anthropic_messages": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        {"type": "text", "text": FILE},
        {"type": "text", "text": "What is this?"},
    ],
}


@pytest.mark.parametrize("name", WIRES)
def test_each_vendor_gets_pictures_and_files_in_its_own_words(
    service: Running, streams: dict[str, bytes], name: str
) -> None:
    wire = WIRES[name]
    streams[wire.path] = (STREAMS / name / wire.good).read_bytes()
    parts = []
    for kind, body, file in (("image", png(), "a.png"), ("file", b"Io,3", "moons.csv")):
        added = service.http.post("/api/attachments", content=body, params={"name": file}).json()
        parts.append({"type": kind, "data": {"attachment": added["id"]}})
    said = {"parts": [*parts, {"type": "text", "text": "What is this?"}]}
    chat = service.new_chat(model=f"{name}/m")
    sent = service.post(f"/api/chats/{chat['id']}/messages", said)
    assert service.message(sent["generation"]["id"]).text == wire.text
    body = Handler.asked[wire.path]
    [message] = body.get("messages") or body["input"]
    if name == "ollama":
        assert message == {"role": "user", "content": f"{FILE}What is this?", "images": [PICTURE]}
    else:
        assert message == {"role": "user", "content": SEEN[name]}
