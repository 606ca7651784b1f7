"""Many calls through the gateway whose model server dies, and many that are hung up: each is settled, nothing stays
open, and no place is lost.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmws.settings import Settings
from llmws.store import usage

from ..providers.conftest import DONE, chunk
from ..providers.dying import HEAD, LIMIT_S, Server, chunked, dying_server
from .harness import Running, running_service

AT_ONCE = 30
BEGUN = HEAD + chunked(chunk({"content": "Once"}))
TOLD = {"prompt_tokens": 5, "completion_tokens": 2}
GOOD = HEAD + chunked(chunk({"content": "Once"}), chunk({}, "stop"), chunk(None, usage=TOLD), DONE)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with dying_server() as server:
        yield server


@pytest.fixture
def service(settings: Settings, tmp_path: Path, server: Server) -> Iterator[Running]:
    file = tmp_path / "providers.toml"
    row = f'name = "Local"\nwire = "openai_chat"\nbase_url = "http://127.0.0.1:{server.port}/v1"\nneeds_key = false\n'
    file.write_text(f"[local]\n{row}")
    with running_service(replace(settings, providers=file)) as service:
        yield service


@pytest.fixture
async def http(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    token = {"Authorization": f"Bearer {service.instance.token}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=service.instance.url, headers=token, limits=limits, timeout=LIMIT_S, trust_env=False
    ) as http:
        yield http


async def told(http: httpx.AsyncClient, **more: Any) -> str:
    """How an answer ended: its finish reason, or the code of its error."""
    body = {"model": "local/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, **more}
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        ends = []
        async for line in response.aiter_lines():
            chunk = json.loads(line.removeprefix("data: ")) if line.startswith(("data: {", "{")) else {}
            ends += [choice["finish_reason"] for choice in chunk.get("choices", ()) if choice["finish_reason"]]
            ends += [chunk["error"]["code"]] if "error" in chunk else []
    return str(ends[-1])


def tasks(service: Running) -> Counter[str]:
    """What runs on the loop of the service, by its name where it has one of its own."""
    names = [task.get_name() for task in asyncio.all_tasks(service.server.servers[0].get_loop())]
    return Counter("" if name.startswith("Task-") else name for name in names)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 (it waits for another thread)
            await asyncio.sleep(0.02)


async def rows(service: Running) -> list[usage.UsageRow]:
    account = service.get("/api/status")["service"]["account"]
    found, _ = await service.server.app.state.store.read(usage.page, account, limit=1_000)
    return list(found)


@pytest.mark.long
async def test_whatever_a_model_server_does_each_call_is_settled_and_nothing_stays(
    service: Running, server: Server, http: httpx.AsyncClient
) -> None:
    await asyncio.to_thread(service.post, "/api/limits", {"kind": "everyone", "unit": "parallel", "hard": AT_ONCE})
    before = tasks(service)
    for answer, then, ends in [
        (b"", "close", {"provider_network"}),
        (HEAD, "close", {"provider_network"}),
        (BEGUN, "reset", {"provider_network"}),
        (BEGUN, "close", {"provider_network"}),
        (GOOD, "close", {"stop"}),
    ]:
        server.answer, server.then = answer, then
        async with asyncio.timeout(LIMIT_S):
            assert set(await asyncio.gather(*(told(http) for _ in range(AT_ONCE)))) == ends
        await until(lambda: "CLOSE_WAIT" not in server.sockets)

    server.answer, server.then = BEGUN, "hold"
    for _ in range(2):
        server.happened.clear()
        held = [asyncio.create_task(told(http)) for _ in range(AT_ONCE)]
        await server.reaches("asked", AT_ONCE)
        assert await told(http) == "limit_reached"
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        await server.reaches("hung up", AT_ONCE)
    await until(lambda: tasks(service) == before)
    await until(lambda: server.sockets == [])
    outcomes = Counter(row.outcome for row in await rows(service))
    assert outcomes == {"error": 4 * AT_ONCE, "stop": AT_ONCE, "cancelled": 2 * AT_ONCE}
