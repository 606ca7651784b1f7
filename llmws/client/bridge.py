"""The one bridge between plain notebook cells and asynchronous code: one event loop in one daemon thread per process.

A kernel's own loop stands still while a cell runs, so nothing of ours lives there. Everything asynchronous of the
client and its pages runs on this loop; a plain call is a thin, interruptible wait for it. This module must not know of
HTTP or of the service.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

# How long an interrupted call may tidy up (cancel its generation in the service) before the cell gets its prompt back.
_TIDY_UP_S = 5.0


class Bridge:
    """The event loop of this process, started at first use and anew after a fork; get it with `bridge`.

    Example:
        >>> async def answer() -> int:
        ...     return 42
        >>> bridge().run(answer())
        42
    """

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running event loop; whoever keeps something bound to it compares, since a fork gives a new one."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="llmws-client", daemon=True).start()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run `coroutine` on the loop; from any thread, without waiting. Cancelling the future cancels the task."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call a plain, quick function on the loop: how handlers of widgets hand over."""
        self.loop.call_soon_threadsafe(function, *args)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` on the loop and wait for its result.

        KeyboardInterrupt (Lab's stop button) cancels the coroutine, lets it tidy up, and is raised on.
        """
        call = _Call(self, coroutine)
        try:
            call.start()
            return call.result()
        except BaseException:
            call.stop()
            raise

    def iterate(self, source: AsyncGenerator[T]) -> Generator[T, None, None]:
        """The items of `source`, as they come. Leaving early, by `break` or an interrupt, cancels and closes it."""
        items: SimpleQueue[tuple[T] | None] = SimpleQueue()

        async def pump() -> None:
            try:
                async for item in source:
                    items.put((item,))
            finally:
                await source.aclose()
                items.put(None)

        call = _Call(self, pump())
        try:
            call.start()
            while (item := items.get()) is not None:
                yield item[0]
            call.result()
        finally:
            call.stop()

    def _forget(self) -> None:
        # The thread of the loop does not exist in a forked child, and its locks may be held for ever.
        self.__init__()  # type: ignore[misc]


class _Call:
    """A coroutine on its way, which can be stopped and waited for (a future's `cancel` does not wait).

    Made first and started within the caller's `try`, so that an interrupt finds something to stop whenever it comes.
    """

    def __init__(self, bridge: Bridge, coroutine: Coroutine[Any, Any, Any]) -> None:
        if _is_this_thread(bridge.loop):
            coroutine.close()
            raise RuntimeError("This call would wait for itself: on the client's loop, await `client.api` instead.")
        self._bridge = bridge
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None
        self._done: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def start(self) -> None:
        self._bridge.call_soon(self._begin)

    def result(self) -> Any:
        return self._done.result()

    def stop(self) -> None:
        """Cancel what still runs and wait until it has tidied up."""
        if self._done.done():
            return
        self._bridge.call_soon(self._cancel)
        concurrent.futures.wait([self._done], _TIDY_UP_S)

    def _begin(self) -> None:
        if not self._done.done():
            self._task = asyncio.ensure_future(self._coroutine)
            self._task.add_done_callback(self._finish)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._coroutine.close()
            self._done.set_exception(concurrent.futures.CancelledError())

    def _finish(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._done.set_exception(concurrent.futures.CancelledError())
        elif (problem := task.exception()) is not None:
            self._done.set_exception(problem)
        else:
            self._done.set_result(task.result())


def _is_this_thread(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


_BRIDGE = Bridge()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_BRIDGE._forget)


def bridge() -> Bridge:
    """The bridge of this process."""
    return _BRIDGE
