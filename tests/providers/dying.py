"""A model server that dies, or holds the line, at the same place for all who ask it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from .recorded import ASKED

LIMIT_S = 60.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_NOT_HERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"


def chunked(*parts: str) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (part.encode() for part in parts))


@dataclass
class Server:
    """Writes the same `answer` to all who ask, waits for `gate`, writes the `rest`, and dies or holds the line."""

    answer: bytes = b""
    rest: bytes = b""
    then: str = "close"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    happened: Counter[str] = field(default_factory=Counter)
    port: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Python 3.11 reports a cancelled handler as an error in its own callback.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                continue
        if self.then == "reset":
            writer.transport.abort()
        writer.close()

    @property
    def sockets(self) -> list[str]:
        """How it stands with the connections of this process to the server."""
        return [
            each.status
            for each in psutil.Process().net_connections("tcp")
            if each.raddr and each.raddr.port == self.port and each.status != psutil.CONN_TIME_WAIT
        ]

    async def reaches(self, what: str, count: int) -> None:
        async with asyncio.timeout(LIMIT_S), self.changed:
            await self.changed.wait_for(lambda: self.happened[what] >= count)

    async def _count(self, what: str) -> None:
        async with self.changed:
            self.happened[what] += 1
            self.changed.notify_all()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(int(lengths[0]) if lengths else 0)
        if head.split(b" ")[1].decode() not in ASKED.values():
            writer.write(_NOT_HERE)
            return True
        await self._count("asked")
        writer.write(self.answer)
        await writer.drain()
        if self.then == "hold":
            await reader.read(1)
            await self._count("hung up")
            return False
        if self.rest:
            await self.gate.wait()
            writer.write(self.rest)
            await writer.drain()
        return self.then == "go on"


@asynccontextmanager
async def dying_server() -> AsyncIterator[Server]:
    server = Server()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            task.set_name("server")
            tasks.add(task)
        await server.serve(reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1_000)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
