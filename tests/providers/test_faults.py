"""Many streams at once whose server dies, and many that are given up: nothing stays open, and no place in the pool is
lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from llmws.addresses import AddressPolicy
from llmws.errors import ProviderError
from llmws.http import AsyncClient
from llmws.messages import assemble
from llmws.outbound import new_client
from llmws.providers.attempts import Attempts, Candidate, Patience
from llmws.providers.base import Provider

from .conftest import ask
from .recorded import ASKED, OPEN
from .test_bad_input import BEGUN, GOOD, TEXT

LIMIT_S = 60.0
AT_ONCE, PLACES = 40, 8
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_HERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
every_wire = pytest.mark.parametrize("wire", GOOD)


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

    async def reaches(self, what: str, count: int) -> None:
        async with asyncio.timeout(LIMIT_S), self.changed:
            await self.changed.wait_for(lambda: self.happened[what] >= count)

    async def _count(self, what: str) -> None:
        async with self.changed:
            self.happened[what] += 1
            self.changed.notify_all()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        if head.split(b" ")[1].decode() not in ASKED.values():
            writer.write(NOT_HERE)
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


@pytest.fixture
async def server() -> AsyncIterator[Server]:
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


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with new_client(AddressPolicy(), connections=PLACES, connect_s=LIMIT_S) as client:
        yield client


def open_at(wire: str, server: Server, client: AsyncClient) -> Provider:
    return OPEN[wire](f"http://127.0.0.1:{server.port}/v1", client=client, idle_s=LIMIT_S)


async def told(provider: Provider) -> str:
    """The code of the error that an answer ended with; its text where it ended well."""
    try:
        message = assemble([event async for event in provider.stream(ask())])
    except ProviderError as error:
        return error.code
    return str(message.error["code"]) if message.error else message.text


def sockets(server: Server) -> list[str]:
    """How it stands with the connections of this process to the server, save those that wait for the next request."""
    return [
        each.status
        for each in psutil.Process().net_connections("tcp")
        if each.raddr and each.raddr.port == server.port and each.status != psutil.CONN_TIME_WAIT
    ]


def tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task.get_name() != "server"}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 (it waits for the system)
            await asyncio.sleep(0.01)


async def all_places_are_free(wire: str, server: Server, client: AsyncClient) -> None:
    """As many streams as there are places can be open at once."""
    server.answer, server.then = HEAD + chunked(*GOOD[wire][: BEGUN[wire]]), "hold"
    server.happened.clear()
    held = [asyncio.create_task(told(open_at(wire, server, client))) for _ in range(PLACES)]
    await server.reaches("asked", PLACES)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await server.reaches("hung up", PLACES)


# Where a server dies: how much of its answer it writes, and how that is told.
PHASES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "before the headers": (lambda wire: b"", "provider_network"),
    "within the headers": (lambda wire: HEAD[:40], "provider_network"),
    "after the headers": (lambda wire: HEAD, "provider_network"),
    "between two events": (lambda wire: HEAD + chunked(*GOOD[wire][: BEGUN[wire]]), "provider_network"),
    "within an event": (lambda wire: HEAD + chunked(*GOOD[wire][: BEGUN[wire]])[:-9], "provider_network"),
    "before the last event": (lambda wire: HEAD + chunked(*GOOD[wire][: BEGUN[wire] + 1]), "provider_network"),
    "after the last event": (lambda wire: HEAD + chunked(*GOOD[wire]), TEXT),
}


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("phase", PHASES)
@every_wire
async def test_a_server_that_dies_leaves_nothing_behind(
    server: Server, client: AsyncClient, wire: str, phase: str, then: str
) -> None:
    written, outcome = PHASES[phase]
    server.answer, server.then = written(wire), then
    before = tasks()

    async with asyncio.timeout(LIMIT_S):
        ends = await asyncio.gather(*(told(open_at(wire, server, client)) for _ in range(AT_ONCE)))

    # A reset may overtake what was written before it.
    assert set(ends) <= {outcome, "provider_network" if then == "reset" else outcome}
    assert server.happened["asked"] == AT_ONCE
    await until(lambda: tasks() == before)
    await until(lambda: "CLOSE_WAIT" not in sockets(server) and len(sockets(server)) <= PLACES)
    await all_places_are_free(wire, server, client)


@every_wire
async def test_streams_that_are_given_up_leave_nothing_behind(server: Server, client: AsyncClient, wire: str) -> None:
    """Before the first event, after it, and while they wait for a place; by a cancel, and by closing the stream."""
    before = tasks()

    async def close_early() -> None:
        async with aclosing(open_at(wire, server, client).stream(ask())) as events:
            async for event in events:
                if event.type == "text":
                    return

    for answer, some in ((b"", told), (HEAD, told), (HEAD + chunked(*GOOD[wire][: BEGUN[wire]]), told)):
        server.answer, server.then = answer, "hold"
        server.happened.clear()
        asked = [asyncio.create_task(some(open_at(wire, server, client))) for _ in range(AT_ONCE)]
        await server.reaches("asked", PLACES)
        for task in asked:
            task.cancel()
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        await server.reaches("hung up", PLACES)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*(close_early() for _ in range(AT_ONCE)))
    await until(lambda: tasks() == before)
    await until(lambda: sockets(server) == [])
    await all_places_are_free(wire, server, client)


async def test_tries_of_many_calls_leave_nothing_behind(server: Server, client: AsyncClient) -> None:
    """Also where each dies several times, and is given up during its pause."""
    server.answer, server.then = HEAD, "close"
    before = tasks()
    provider = open_at("openai_chat", server, client)
    candidate = Candidate("v/m", "v", "Vendor", "m", lambda key: provider)
    quick = Attempts([candidate], patience=Patience(first_pause_s=0.001))
    ends = await asyncio.gather(*(told(quick) for _ in range(AT_ONCE)))
    assert set(ends) == {"provider_network"}
    assert server.happened["asked"] == 3 * AT_ONCE

    slow = Attempts([candidate], patience=Patience(first_pause_s=LIMIT_S), chance=lambda: 0.5)
    waiting = [asyncio.create_task(told(slow)) for _ in range(AT_ONCE)]
    await server.reaches("asked", 4 * AT_ONCE)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await until(lambda: tasks() == before and "CLOSE_WAIT" not in sockets(server))
    await all_places_are_free("openai_chat", server, client)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of each connection are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_five_hundred_streams_are_open_at_once(server: Server, many_files: None) -> None:
    wire = "openai_chat"
    server.answer, server.rest, server.then = HEAD + chunked(GOOD[wire][0]), chunked(*GOOD[wire][1:], ""), "go on"
    async with asyncio.timeout(LIMIT_S), new_client(AddressPolicy(), connect_s=LIMIT_S) as client:
        provider = open_at(wire, server, client)
        asked = [asyncio.create_task(told(provider)) for _ in range(500)]
        await server.reaches("asked", 500)
        server.gate.set()
        assert Counter(await asyncio.gather(*asked)) == {TEXT: 500}


async def test_who_waits_too_long_for_a_place_is_told_that_it_is_busy(server: Server) -> None:
    server.then = "hold"
    async with new_client(AddressPolicy(), connections=1) as client:
        first = asyncio.create_task(told(open_at("openai_chat", server, client)))
        await server.reaches("asked", 1)
        provider = OPEN["openai_chat"](f"http://127.0.0.1:{server.port}/v1", client=client)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("llmws.providers.wire.CONNECT_S", 0.1)
            assert await told(provider) == "provider_overloaded"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
