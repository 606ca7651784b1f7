"""A scripted model server on loopback: it writes exactly the bytes that a test wants, when the test wants them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from llmws.messages import Message, Parameters
from llmws.providers.base import CompletionRequest

LIMIT_S = 10.0


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Upstream:
    """The server. `answers` says what the next requests get, `refuses` and `tells` what each of the next gets before;
    `received`, `asked` and `hung_up` say what happened.
    """

    url: str = ""
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    _status: int = 200
    _headers: dict[str, str] = field(default_factory=dict)
    _parts: Sequence[bytes | asyncio.Event] = ()
    _then: str = "end"
    _before: list[tuple[int, bytes]] = field(default_factory=list)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _apart: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def answers(
        self,
        *parts: bytes | str | asyncio.Event,
        status: int = 200,
        headers: dict[str, str] | None = None,
        then: str = "end",
    ) -> None:
        """Write `parts` one by one, waiting at each event that is among them, and `then` ``end`` the body well, ``cut``
        the connection or ``hold`` it open until the client hangs up.
        """
        self._status, self._then = status, then
        self._headers = {"Content-Type": "text/event-stream", **(headers or {})}
        self._parts = [part.encode() if isinstance(part, str) else part for part in parts]

    def answers_at(self, path: str, body: Any, status: int = 200) -> None:
        """Answer each request to `path` with JSON, whatever the others get."""
        self._apart[path] = (status, json.dumps(body).encode())

    def refuses(self, *bodies: str, status: int = 400) -> None:
        """Answer as many requests with `status` and a body each before the others."""
        self._before += [(status, body.encode()) for body in bodies]

    def tells(self, *bodies: str) -> None:
        """Answer as many requests with a body each before the others."""
        self.refuses(*bodies, status=200)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if task := asyncio.current_task():
            self._tasks.append(task)
        # Python 3.11 reports a cancelled handler as an error in its own callback.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                continue
        writer.close()

    async def hang_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(method, path, headers, json.loads(body) if body else None))
        self.asked.set()
        if path in self._apart or self._before:
            status, content = self._apart[path] if path in self._apart else self._before.pop(0)
            writer.write(b"HTTP/1.1 %d Scripted\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content))
            await writer.drain()
            return True

        lines = [f"{name}: {value}" for name, value in {**self._headers, "Transfer-Encoding": "chunked"}.items()]
        writer.write("\r\n".join([f"HTTP/1.1 {self._status} Scripted", *lines, "", ""]).encode())
        for part in self._parts:
            if isinstance(part, asyncio.Event):
                await part.wait()
                continue
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
        if self._then == "end":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        if self._then == "hold":
            await reader.read(1)
            self.hung_up.set()
        return False


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield upstream
    server.close()
    await upstream.hang_up()


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **more: Any) -> str:
    """An event of a chat completion, as every compatible server sends it."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": choices, **more}
    return f"data: {json.dumps(body)}\n\n"


DONE = "data: [DONE]\n\n"


def happened(type: str, **more: Any) -> str:
    """An event of a response, as OpenAI names them."""
    return f"event: {type}\ndata: {json.dumps({'type': type, **more})}\n\n"


def line(message: dict[str, Any] | None = None, **more: Any) -> str:
    """A line of Ollama's own wire."""
    return json.dumps({"model": "m", "message": {"role": "assistant", **(message or {})}, "done": False, **more}) + "\n"


def ask(text: str = "Hello", *, model: str = "m", **parameters: Any) -> CompletionRequest:
    return CompletionRequest(model, (Message.user(text),), Parameters(**parameters))
