"""Chats that go: the deleted after a month; the temporary ten minutes after their person's last notebook and dashboard,
a day after their last change, or when the service starts.

Until then a deleted chat can be restored; so can an assistant. Erasing leaves nothing of a chat but what it cost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated

from ..errors import StoreError
from ..store import Store
from ..store import assistants as kept_assistants
from ..store import chats as kept
from .generations import Generations
from .here import here

LOG = logging.getLogger("llmws.service")

DAY_S = 86_400.0
DELETED_FOR_S, TEMPORARY_FOR_S = 30 * DAY_S, DAY_S
# As long as nobody is away who only reloads a page, or whose server starts again.
AWAY_S = 600.0
_LOOK_S, _LOOK_AWAY_S = 3600.0, 60.0


class Erasing:
    """Deletes chats, and erases those whose time has come.

    Args:
        away: tells who has been away for so many seconds, each of them once.
    """

    def __init__(
        self, store: Store, generations: Generations, away: Callable[[float], Collection[str]] = lambda for_s: ()
    ) -> None:
        self._store = store
        self._generations = generations
        self._away = away
        self._began = time.time()

    async def delete(self, owner: str, id: str) -> None:
        """Hide a chat, or erase it for good where it is temporary; its answer is stopped then."""
        chat = await self._store.read(kept.get, owner, id)
        if not chat.temporary:
            await self._store.write(kept.delete, owner, id)
            return
        if chat.running is not None:
            await self._generations.end(owner, chat.running)
        await self._store.write(kept.erase_temporary, owner, id)

    async def run(self) -> None:
        """Look for what is due: every minute at who left, and now and every hour at all that is kept."""
        while True:
            await self._look(self.sweep(time.time()))
            for _ in range(int(_LOOK_S / _LOOK_AWAY_S)):
                await asyncio.sleep(_LOOK_AWAY_S)
                await self._look(self.sweep_after())

    async def _look(self, sweeping: Awaitable[None]) -> None:
        try:
            await sweeping
        except StoreError as problem:
            LOG.warning("what is to go could not be erased yet: %s", problem)
        except Exception:
            LOG.exception("what is to go could not be erased")

    async def sweep_after(self) -> None:
        """Erase the temporary chats of those who left."""
        if (people := self._away(AWAY_S)) and (ids := await self._store.read(kept.temporary, people)):
            await self._store.write(kept.erase, ids)

    async def sweep(self, now: float) -> None:
        """Erase what is due at `now`, a few chats at a time, so that nobody waits long for the writer."""
        # What was said to an earlier run of the service is nobody's present conversation.
        temporary_before = max(self._began, now - TEMPORARY_FOR_S)
        while ids := await self._store.read(kept.outdated, now - DELETED_FOR_S, temporary_before):
            await self._store.write(kept.erase, ids)
        await self._store.write(kept_assistants.erase_deleted, now - DELETED_FOR_S)


TheErasing = Annotated[Erasing, here("erasing")]
