"""The one loop: waiting for it, interrupting it, leaving it, forking it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator

import pytest

from llmws.client.bridge import bridge


async def _thread() -> str:
    return threading.current_thread().name


def test_everything_runs_in_one_thread() -> None:
    assert {bridge().run(_thread()) for _ in range(3)} == {"llmws-client"}
    assert bridge().submit(_thread()).result(10) == "llmws-client"
    called = threading.Event()
    bridge().call_soon(called.set)
    assert called.wait(10)


def test_an_error_is_raised_where_it_is_waited_for() -> None:
    async def fail() -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        bridge().run(fail())


def test_an_interrupt_cancels_and_waits_for_the_tidying_up() -> None:
    told: list[str] = []

    async def work() -> None:
        # As the stop button does, from wherever it is pressed.
        threading.Timer(0, _interrupt).start()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            told.append("tidied up")
            raise

    with pytest.raises(KeyboardInterrupt):
        bridge().run(work())
    assert told == ["tidied up"]


def test_a_loop_that_is_left_closes_its_source() -> None:
    closed = threading.Event()

    async def count() -> AsyncGenerator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            closed.set()

    for number in bridge().iterate(count()):
        if number == 3:
            break
    assert closed.wait(10)


def test_an_error_in_a_source_comes_after_its_items() -> None:
    async def source() -> AsyncGenerator[int]:
        yield 1
        raise LookupError("no more")

    items = bridge().iterate(source())
    assert next(items) == 1
    with pytest.raises(LookupError, match="no more"):
        next(items)


def test_a_call_from_the_loop_itself_is_refused_instead_of_waiting_for_ever() -> None:
    async def nested() -> str:
        return bridge().run(_thread())

    with pytest.raises(RuntimeError, match=r"await `client\.api`"):
        bridge().run(nested())


def test_a_forked_process_has_a_loop_of_its_own() -> None:
    bridge().run(_thread())
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)  # a child that waits for its parent's loop waits for ever
        try:
            os.write(write, bridge().run(_thread()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        assert told.read() == "llmws-client"
    os.waitpid(child, 0)


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
