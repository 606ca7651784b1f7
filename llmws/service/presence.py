"""Who is there: a laptop's service lives as long as a client holds a presence stream, or something still runs.

A kernel opens the stream when it connects and never reads it; that it broke is how the service learns that the kernel
is gone, and how the kernel learns of another service (`boot_id`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from ..instance import Instance
from . import events
from .access import Reader
from .here import here


class Presence:
    """Counts the clients, and notices when nobody has been there for `idle_exit_s` (0: it does not matter).

    Args:
        busy: whether something runs that must not be ended.
        leave: called once, when the service has nobody to be there for.
    """

    def __init__(self, idle_exit_s: float, busy: Callable[[], bool], leave: Callable[[], None]) -> None:
        self._clients: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._idle_exit_s = idle_exit_s
        self._busy = busy
        self._leave = leave
        self._closing = asyncio.Event()

    @property
    def clients(self) -> int:
        return self._clients.total()

    def away(self, for_s: float) -> list[str]:
        """Who was here, and has had no client for `for_s` seconds; everybody who leaves is told once."""
        before = time.monotonic() - for_s
        gone = [person for person, since in self._left.items() if since <= before]
        for person in gone:
            del self._left[person]
        return gone

    async def watch(self) -> None:
        """Run beside the service; ends it when it is idle."""
        last = time.monotonic()
        while self._idle_exit_s > 0:
            await asyncio.sleep(min(self._idle_exit_s / 4, 5.0))
            if self.clients or self._busy():
                last = time.monotonic()
            elif time.monotonic() - last >= self._idle_exit_s:
                self._leave()
                return

    def close(self) -> None:
        """End all streams: the service shuts down."""
        self._closing.set()

    async def attend(self, person: str, hello: bytes) -> AsyncGenerator[Sequence[bytes], None]:
        self._clients[person] += 1
        self._left.pop(person, None)
        try:
            yield [hello]
            while not self._closing.is_set():
                try:
                    async with asyncio.timeout(events.SILENCE_S):
                        await self._closing.wait()
                except TimeoutError:
                    yield []
        finally:
            self._clients[person] -= 1
            if not self._clients[person]:
                del self._clients[person]
                self._left[person] = time.monotonic()


ThePresence = Annotated[Presence, here("presence")]
router = APIRouter(tags=["service"])


@router.get("/api/presence", response_class=StreamingResponse, responses=events.STREAM)
async def attend(
    person: Reader, presence: ThePresence, instance: Annotated[Instance, here("instance")]
) -> StreamingResponse:
    """Say that a client is there, for as long as the stream is open; its first event tells `boot_id`."""
    return events.respond(presence.attend(person.name, events.frame({"boot_id": instance.boot_id})))
