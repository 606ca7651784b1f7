"""What is kept of how keys fare: which were refused, and when each was last used. Calls do not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlalchemy import Connection

from ..errors import StoreError
from ..store import Store, provider_keys
from .sources import Source

LOG = logging.getLogger("llmws.service")

# How often it is kept when keys were last used.
EVERY_S = 60.0


class KeyNotes:
    """Keeps them in the background.

    Args:
        sources: gives the providers.
        reload: has them take what was kept.
    """

    def __init__(
        self, store: Store, sources: Callable[[], Sequence[Source]], reload: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._sources = sources
        self._reload = reload
        self._parked: dict[str, tuple[float | None, str]] = {}
        self._parking: asyncio.Task[None] | None = None
        self._noting: asyncio.Task[None] | None = None
        self._kept: dict[str, float] = {}

    def start(self) -> None:
        self._noting = asyncio.create_task(self._note_use_for_ever(), name="use of keys")

    async def stop(self) -> None:
        """Keep what is not yet."""
        if self._noting is not None:
            self._noting.cancel()
        if self._parking is not None:
            await asyncio.wait({self._parking})
        await self._note_use()

    def park(self, key_id: str, until: float | None, reason: str) -> None:
        """A provider refused a key. Many may be refused at once, by calls that run side by side."""
        self._parked[key_id] = until, reason
        if self._parking is None:
            self._parking = asyncio.create_task(self._park_all(), name="parked keys")

    async def _park_all(self) -> None:
        try:
            while self._parked:
                parked, self._parked = self._parked, {}
                await self._store.write(_park, parked)
                await self._reload()
        except StoreError as problem:
            LOG.warning("that keys were refused could not be kept: %s", problem)
        finally:
            self._parking = None

    async def _note_use_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._note_use()

    async def _note_use(self) -> None:
        used = {key: at for source in self._sources() for key, at in source.used().items()}
        if new := {key: at for key, at in used.items() if self._kept.get(key) != at}:
            with contextlib.suppress(StoreError):  # the next time
                await self._store.write(provider_keys.used, new)
                self._kept.update(new)


def _park(connection: Connection, parked: Mapping[str, tuple[float | None, str]]) -> None:
    known = {key.id: key for key in provider_keys.all_of_them(connection)}
    for key_id, (until, reason) in parked.items():
        if (key := known.get(key_id)) is not None:
            provider_keys.update(connection, key.provider_id, key_id, parked_until=until, parked_reason=reason)
