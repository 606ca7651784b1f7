"""Chats that go: the deleted after a month, the temporary a day after their last change, or when the service starts.

Until then a deleted chat can be restored; so can an assistant. Erasing leaves nothing of a chat but what it cost.
"""

from __future__ import annotations

import asyncio
import logging
import time
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
_LOOK_S = 3600.0


class Erasing:
    """Deletes chats, and erases those whose time has come."""

    def __init__(self, store: Store, generations: Generations) -> None:
        self._store = store
        self._generations = generations
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
        """Look for what is due, now and every hour."""
        while True:
            try:
                await self.sweep(time.time())
            except StoreError as problem:
                LOG.warning("what was deleted could not be erased yet: %s", problem)
            except Exception:
                LOG.exception("what was deleted could not be erased")
            await asyncio.sleep(_LOOK_S)

    async def sweep(self, now: float) -> None:
        """Erase what is due at `now`, a few chats at a time, so that nobody waits long for the writer."""
        # What was said to an earlier run of the service is nobody's present conversation.
        temporary_before = max(self._began, now - TEMPORARY_FOR_S)
        while ids := await self._store.read(kept.outdated, now - DELETED_FOR_S, temporary_before):
            await self._store.write(kept.erase, ids)
        await self._store.write(kept_assistants.erase_deleted, now - DELETED_FOR_S)


TheErasing = Annotated[Erasing, here("erasing")]
