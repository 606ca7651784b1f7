"""What is done in a moment unless somebody takes it back: the undo of what the service could not bring back.

Everything here runs on the client's loop and therefore needs no lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

# A little longer than a page offers to undo.
UNDO_S = 10.0


class Deferred:
    """Acts that wait for `UNDO_S`, each under an id. `spawn` runs one when its time has come."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], Any]) -> None:
        self._spawn = spawn
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._running: set[str] = set()

    def __contains__(self, id: str) -> bool:
        """Whether `id` waits, or is being done."""
        return id in self._waiting or id in self._running

    def begin(self, id: str, act: Callable[[], Awaitable[Any]]) -> None:
        """Do `act` later; one that waits already goes on waiting."""
        if id not in self:
            later = asyncio.get_running_loop().call_later
            self._waiting[id] = later(UNDO_S, self._ripe, id, act)

    def cancel(self, id: str) -> bool:
        """Leave it undone; False where it is too late."""
        waiting = self._waiting.pop(id, None)
        if waiting is not None:
            waiting.cancel()
        return waiting is not None

    def _ripe(self, id: str, act: Callable[[], Awaitable[Any]]) -> None:
        del self._waiting[id]
        self._running.add(id)
        self._spawn(self._do(id, act))

    async def _do(self, id: str, act: Callable[[], Awaitable[Any]]) -> None:
        try:
            await act()
        finally:
            self._running.discard(id)
