"""The part of the chat page that is its list: conversations found, put in order, put away and brought back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .page import intent

if TYPE_CHECKING:
    from ..client.api import Api


class Library:
    """What `Chat` is made with."""

    _api: Api
    chat_id: str | None

    if TYPE_CHECKING:

        def tell(self, type: str, view: str | None = None, **content: Any) -> None: ...

    @intent
    async def find(
        self,
        view: str,
        *,
        query: str | None = None,
        folder: str | None = None,
        tag: str | None = None,
        archived: bool | None = None,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        return await self._api.chats(cursor=cursor, query=query, folder=folder, tag=tag, archived=archived)

    @intent
    async def headings(self, view: str) -> dict[str, Any]:
        """The folders and the tags that there are."""
        folders, tags = await asyncio.gather(self._api.folders(), self._api.chat_tags())
        return {"folders": folders, "tags": tags}

    @intent
    async def place(
        self,
        view: str,
        *,
        id: str,
        folder: str | None = None,
        tags: list[str] | None = None,
        pinned: bool | None = None,
        archived: bool | None = None,
    ) -> dict[str, Any]:
        """Keep a conversation elsewhere."""
        where = {"folder": folder, "tags": tags, "pinned": pinned, "archived": archived}
        given = {name: value for name, value in where.items() if value is not None}
        return self._share(view, await self._api.update_chat(id, **given))

    @intent
    async def rename_folder(self, view: str, *, folder: str, to: str) -> None:
        """Give a folder another name; an empty one dissolves it."""
        await self._api.rename_folder(folder, to)
        self.tell("folder", view, folder=folder, to=to)

    @intent
    async def delete(self, view: str, *, id: str) -> None:
        await self._api.delete_chat(id)
        if self.chat_id == id:
            self.chat_id = None
        self.tell("removed", view, id=id)

    @intent
    async def restore(self, view: str, *, id: str) -> dict[str, Any]:
        return self._share(view, await self._api.restore_chat(id))

    def _share(self, view: str, chat: dict[str, Any]) -> dict[str, Any]:
        self.tell("chat", view, chat=chat)
        return chat

    async def _outside(self) -> dict[str, Any]:
        """The first page of what stands outside of folders, and the folders and tags."""
        page, headings = await asyncio.gather(self._api.chats(folder=""), self.headings(""))
        return {**page, **headings}
