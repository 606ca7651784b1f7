"""Asks a gateway as many programs at once do, and times what it answers: plain HTTP/1.1 over asyncio, nothing between.

It needs a twentieth of the time of what it measures, so it and the scripted model server share a core.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

# A token, see `_upstream`; a gateway may have joined several.
_TIME = re.compile(rb"(\d+\.\d{6}) ")


@dataclass(frozen=True)
class Target:
    """A gateway under load: where it listens, whose token it takes, and what it calls a model."""

    name: str
    port: int
    token: str
    models: str = "{}"

    def request(self, model: str, **more: Any) -> bytes:
        asked = {"model": self.models.format(model), "messages": [{"role": "user", "content": "hi there"}], **more}
        body = json.dumps(asked).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer {self.token}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class _Connection(asyncio.Protocol):
    """Asks one thing after the other; `take` gets what has come of an answer, and whether that is all of it."""

    def __init__(self, take: Callable[[_Connection, bytearray, bool], None]) -> None:
        self.transport: Any = None
        self.asked_at = 0.0
        self._take = take
        self._received = bytearray()
        self._needed: int | None = None

    @classmethod
    async def open(cls, target: Target, take: Callable[[_Connection, bytearray, bool], None]) -> _Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: cls(take), "127.0.0.1", target.port))[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> None:
        self._received = bytearray()
        self._needed = None
        self.asked_at = time.monotonic()
        self.transport.write(request)

    def close(self) -> None:
        self._take = lambda connection, answer, whole: None
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._needed is None and (end := self._received.find(b"\r\n\r\n")) >= 0:
            _, length, rest = bytes(self._received[:end]).lower().partition(b"content-length:")
            self._needed = end + 4 + int(rest.split(b"\r\n")[0]) if length else 0
        whole = self._needed is not None and (
            len(self._received) >= self._needed if self._needed else self._received.endswith(b"\r\n0\r\n\r\n")
        )
        self._take(self, self._received, whole)

    def connection_lost(self, problem: Exception | None) -> None:
        self._take(self, bytearray(), True)


@dataclass
class Rate:
    """What a gateway answered within a stretch of time; `latencies_s` of each answer."""

    latencies_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    wall_s: float = 0.0

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.wall_s


async def saturate(
    target: Target, request: bytes, connections: int, for_s: float = 1e9, requests: int = 1 << 60
) -> Rate:
    """Ask over and over on `connections` at once, until `for_s` have passed or `requests` were made."""
    rate = Rate()
    asked = connections
    idle: asyncio.Queue[None] = asyncio.Queue()

    def answered(connection: _Connection, answer: bytearray, whole: bool) -> None:
        nonlocal asked
        if not whole:
            return
        now = time.monotonic()
        if answer.startswith(b"HTTP/1.1 200"):
            rate.latencies_s.append(now - connection.asked_at)
        else:
            rate.failures.append(answer[:300].decode(errors="replace") or "nothing")
        if answer and asked < requests and now - begun < for_s:
            asked += 1
            connection.ask(request)
        else:
            idle.put_nowait(None)

    open_ones = [await _Connection.open(target, answered) for _ in range(connections)]
    begun = time.monotonic()
    for connection in open_ones:
        connection.ask(request)
    for _ in open_ones:
        await idle.get()
    rate.wall_s = time.monotonic() - begun
    for connection in open_ones:
        connection.close()
    return rate


@dataclass
class Streams:
    """What streams met.

    Attributes:
        first_s: seconds from the request to the first token.
        gaps_s: how much longer than at the upstream it was from one token to the next.
        complete: how many came whole.
    """

    first_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    complete: int = 0
    failures: list[str] = field(default_factory=list)


async def stream(target: Target, count: int, tokens: int, ramp_s: float, patience_s: float = 60.0) -> Streams:
    """Read `count` streams of `tokens` at once, one begun each `ramp_s`."""
    told = Streams()
    request = target.request("paced", stream=True, max_tokens=tokens, stream_options={"include_usage": True})
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def one(number: int) -> None:
        await asyncio.sleep(begun + number * ramp_s - loop.time())
        reading = _Reading()
        before = time.monotonic()
        connection = await _Connection.open(target, reading.take)
        connection.ask(request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(tokens / 10 + patience_s):
                await reading.ended.wait()
        connection.close()
        times = reading.times
        if len(times) == tokens and b"data: [DONE]" in reading.answer:
            told.complete += 1
        else:
            told.failures.append(f"{len(times)} tokens of {reading.answer[:200]!r}")
        told.first_s += [came - before for came, _ in times[:1]]
        told.gaps_s += [(came - last) - (sent - last_sent) for (last, last_sent), (came, sent) in pairwise(times)]

    await asyncio.gather(*(one(number) for number in range(count)))
    return told


class _Reading:
    """One stream: when each token came, and when it was sent."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []
        self.answer = bytearray()
        self.ended = asyncio.Event()
        self._read = 0

    def take(self, _: _Connection, answer: bytearray, whole: bool) -> None:
        now = time.monotonic()
        for token in _TIME.finditer(answer, self._read):
            self.times.append((now, float(token[1])))
            self._read = token.end()
        self.answer = answer or self.answer
        if whole:
            self.ended.set()
