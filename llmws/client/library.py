"""Conversations put in order from a cell: listed and found, in folders, under tags, pinned, archived.

A folder, like a tag, is there while a conversation is in it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .listings import listed, table

if TYPE_CHECKING:
    import pandas

    from .client import Client

_TIMES = ("created_at", "updated_at")
_COLUMNS = ["id", "title", "model", "folder", "tags", "pinned", "archived", *_TIMES, "running"]
_HEADINGS = ["name", "chats"]


class Placed:
    """What `Chat` is made with: where it is kept."""

    id: str
    folder: str
    tags: tuple[str, ...]
    pinned: bool
    archived: bool
    _client: Client

    def _take(self, about: dict[str, Any]) -> None:
        raise NotImplementedError

    def move(self, folder: str) -> None:
        """Put the chat into a folder; ``""`` takes it out of all.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.move("Sky")
            >>> chat.folder
            'Sky'
        """
        self._place(folder=folder)

    def tag(self, *names: str) -> None:
        """Add tags.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.tag("blue", "air")
            >>> chat.tags
            ('air', 'blue')
        """
        self._place(tags=sorted({*self._tags_now(), *names}))

    def untag(self, *names: str) -> None:
        """Take tags away; without names, all.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.tag("blue", "air")
            >>> chat.untag("blue")
            >>> chat.tags
            ('air',)
        """
        self._place(tags=sorted(set(self._tags_now()).difference(names)) if names else [])

    def pin(self) -> None:
        """Keep the chat above the others.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.pin()
            >>> client.chats.list(limit=1).id[0] == chat.id
            True
            >>> chat.unpin()
        """
        self._place(pinned=True)

    def unpin(self) -> None:
        """Undo `pin`.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.unpin()
            >>> chat.pinned
            False
        """
        self._place(pinned=False)

    def archive(self) -> None:
        """Put the chat out of the way: it is found, and listed where archived ones are asked for.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.archive()
            >>> chat.id in list(client.chats.list().id), chat.id in list(client.chats.list(archived=True).id)
            (False, True)
        """
        self._place(archived=True)

    def unarchive(self) -> None:
        """Undo `archive`.

        Example:
            >>> chat = client.chats.create(model="echo")
            >>> chat.archive()
            >>> chat.unarchive()
            >>> chat.id in list(client.chats.list().id)
            True
        """
        self._place(archived=False)

    def _tags_now(self) -> list[str]:
        """Those that another page or cell has given meanwhile, too."""
        return list(self._client.run(self._client.api.chat(self.id))["tags"])

    def _place(self, **where: Any) -> None:
        self._take(self._client.run(self._client.api.update_chat(self.id, **where)))


class Library:
    """What `Chats` is made with: the lists."""

    _client: Client

    def list(
        self,
        query: str | None = None,
        limit: int | None = None,
        *,
        folder: str | None = None,
        tag: str | None = None,
        archived: bool | None = None,
    ) -> pandas.DataFrame:
        """The conversations, the pinned first, then the last changed first.

        Args:
            query: only those with all these words in their title or in one message, the last word perhaps unfinished;
                those that are called so come first. Chinese needs no spaces.
            limit: only so many.
            folder: only those in it; ``""`` those in none, and the pinned.
            tag: only those that have it.
            archived: True only the archived, False only the others. By default a list is of the others, and a search
                finds both.

        Returns:
            DataFrame: id, title, model, folder, tags, pinned, archived, created_at, updated_at (with time zone),
            running (a generation's id or None); with a query also match (a line of the message that was found, or "").

        Example:
            >>> chat = client.chats.create(model="echo", title="Journey")
            >>> message = chat.send("我们坐船去南方", show=False)
            >>> client.chats.list("南方", limit=1).match[0]
            '我们坐船去南方'
        """
        among: dict[str, Any] = {"query": query, "folder": folder, "tag": tag, "archived": archived}
        found = self._client.run(listed(partial(self._client.api.chats, **among), limit))
        if query is None:
            return table(found, _COLUMNS, _TIMES)
        return table(({**chat, "match": chat["match"]["text"]} for chat in found), [*_COLUMNS, "match"], _TIMES)

    def folders(self) -> pandas.DataFrame:
        """The folders by name, and how many conversations each has.

        Returns:
            DataFrame: name, chats.

        Example:
            >>> client.chats.create(model="echo").move("Sky")
            >>> "Sky" in list(client.chats.folders().name)
            True
        """
        return table(self._client.run(self._client.api.folders()), _HEADINGS)

    def rename_folder(self, folder: str, to: str) -> int:
        """Give a folder another name, that of another one, or ``""``: then its conversations are in none.

        Returns:
            int: how many conversations were in it.

        Example:
            >>> client.chats.create(model="echo").move("Seas")
            >>> client.chats.rename_folder("Seas", "Oceans")
            1
        """
        moved: int = self._client.run(self._client.api.rename_folder(folder, to))["moved"]
        return moved

    def tags(self) -> pandas.DataFrame:
        """The tags by name, and how many conversations have each.

        Returns:
            DataFrame: name, chats.

        Example:
            >>> client.chats.create(model="echo").tag("blue")
            >>> "blue" in list(client.chats.tags().name)
            True
        """
        return table(self._client.run(self._client.api.chat_tags()), _HEADINGS)
