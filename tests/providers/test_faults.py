"""Many streams at once whose server dies, and many that are given up: nothing stays open, and no place in the pool is
lost.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from llmws.addresses import AddressPolicy
from llmws.errors import ProviderError
from llmws.http import AsyncClient
from llmws.messages import assemble
from llmws.outbound import new_client
from llmws.providers.attempts import Attempts, Candidate, Patience
from llmws.providers.base import Provider

from .conftest import ask
from .dying import HEAD, LIMIT_S, Server, chunked, dying_server
from .recorded import OPEN
from .test_bad_input import BEGUN, GOOD, TEXT

AT_ONCE, PLACES = 40, 8
every_wire = pytest.mark.parametrize("wire", GOOD)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with dying_server() as server:
        yield server


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
    # A connection that waited since the last request may have died meanwhile: then it is asked once more.
    assert AT_ONCE <= server.happened["asked"] <= AT_ONCE + PLACES
    await until(lambda: tasks() == before)
    await until(lambda: "CLOSE_WAIT" not in server.sockets and len(server.sockets) <= PLACES)
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
    await until(lambda: server.sockets == [])
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
    await until(lambda: tasks() == before and "CLOSE_WAIT" not in server.sockets)
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
