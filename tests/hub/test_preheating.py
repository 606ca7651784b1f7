"""Kernels that no page waits for yet leave the processors to the page that a server is started for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from llmws.hub import preheating
from llmws.hub.kernels import WatchedKernels
from llmws.hub.preheating import PreheatedKernels
from llmws.hub.sockets import KernelSocket

PREHEATED, ASKED_FOR = {"VOILA_PREHEAT": "True"}, {"VOILA_PREHEAT": "False"}


class Kernels(PreheatedKernels):
    """Kernels of which is noted which were started, and for which dashboards Voilà is to have one."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[str] = []
        self.filled: list[str] = []

    def start(self, name: str, environment: dict[str, str] = PREHEATED) -> asyncio.Task[str]:
        return asyncio.create_task(self.start_kernel(kernel_name=name, env=environment))

    def fill_if_needed(self, delay: float, notebook_name: str) -> None:
        assert delay == 0
        self.filled.append(notebook_name)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    async def start(kernels: Kernels, *, kernel_name: str, env: dict[str, str]) -> str:
        kernels.started.append(kernel_name)
        return kernel_name

    monkeypatch.setattr(WatchedKernels, "start_kernel", start)
    monkeypatch.setattr(preheating, "_DRAWN_S", 0)
    monkeypatch.setattr(preheating, "_PUT_OFF_S", 3600)
    return Kernels()


def run(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(steps(), 20))


async def all_that_can_happen() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_others_wait_until_the_first_page_is_connected(kernels: Kernels) -> None:
    async def steps() -> None:
        kernels.begin_with_one(["compare.ipynb", "usage.ipynb"])
        first, next_one = kernels.start("first"), kernels.start("next")
        await first
        kernels.page_is_asked_for()
        await all_that_can_happen()
        assert (kernels.started, kernels.filled) == (["first"], [])
        kernels.page_is_connected()
        await next_one
        assert kernels.filled == ["compare.ipynb", "usage.ipynb"]
        # A second tab starts nothing twice.
        kernels.page_is_connected()
        await all_that_can_happen()
        assert len(kernels.filled) == 2

    run(steps)


def test_a_page_that_somebody_waits_for_has_its_kernel_at_once(kernels: Kernels) -> None:
    async def steps() -> None:
        kernels.begin_with_one(["compare.ipynb"])
        await kernels.start("first")
        kernels.page_is_asked_for()
        next_one = kernels.start("next")
        await kernels.start("of another dashboard", ASKED_FOR)
        assert not next_one.done()
        kernels.page_is_asked_for()
        await next_one
        assert kernels.filled == []

    run(steps)


def test_where_no_page_comes_nothing_is_put_off_for_ever(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preheating, "_PUT_OFF_S", 0)

    async def steps() -> None:
        kernels.begin_with_one(["compare.ipynb"])
        await kernels.start("first")
        await kernels.start("next")
        assert kernels.filled == ["compare.ipynb"]

    run(steps)


def test_a_server_that_ends_waits_for_no_kernel(kernels: Kernels) -> None:
    async def steps() -> None:
        kernels.begin_with_one([])
        await kernels.start("first")
        put_off = kernels.start("next")
        await kernels.shutdown_all()
        await put_off

    run(steps)


def test_a_server_that_was_started_for_no_dashboard_puts_nothing_off(kernels: Kernels) -> None:
    async def steps() -> None:
        await asyncio.gather(*map(kernels.start, ("chat", "compare", "usage")))

    run(steps)


def test_a_kernels_websocket_says_that_its_page_is_there(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    async def opened(socket: Any, kernel_id: str) -> None: ...

    monkeypatch.setattr(VoilaKernelWebsocketHandler, "open", opened)

    async def steps() -> None:
        kernels.begin_with_one(["compare.ipynb"])
        socket = KernelSocket.__new__(KernelSocket)
        socket.application = SimpleNamespace(settings={"kernel_manager": kernels})
        await socket.open("id")
        assert socket._watch is not None
        socket._watch.stop()
        await kernels.start("first")
        await kernels.start("next")
        assert kernels.filled == ["compare.ipynb"]

    run(steps)
