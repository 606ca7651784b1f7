"""Chats of others that a person may read: those that their owners gave to them or to a group of theirs.

What is shared is what was said on the branch that the owner sees, live, with title and model. The system prompt and the
parameters are not: who wants to share these makes an assistant of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, select

from ..errors import NotFound
from ..messages import Message
from . import chats, grants, messages, tables
from .chats import Chat
from .messages import ChatMessage
from .paging import newest

# What conversations are called where things of several nouns meet.
NOUN = "chats"


@dataclass(frozen=True, slots=True)
class SharedChat:
    """Another's conversation, as far as it is shared."""

    id: str
    owner: str
    title: str
    model: str
    created_at: float
    updated_at: float


def page(
    connection: Connection, person: str, groups: Collection[str], limit: int = 50, cursor: str | None = None
) -> tuple[list[SharedChat], str | None]:
    """What is shared with `person`, by its last change, newest first, and the cursor of the next page."""
    columns = tables.chats.c
    statement = _shared(person, groups)
    rows, following = newest(connection, statement, columns.updated_at, columns.id, limit=limit, cursor=cursor)
    return [SharedChat(**row._mapping) for row in rows], following


def get(connection: Connection, person: str, groups: Collection[str], id: str) -> SharedChat:
    """The chat, or `NotFound` where it is not shared with `person` (any more)."""
    row = connection.execute(_shared(person, groups).where(tables.chats.c.id == id)).one_or_none()
    if row is None:
        raise NotFound(
            "There is no such shared chat.", remedy="It may have been deleted, or is not shared with you any more."
        )
    return SharedChat(**row._mapping)


def said(
    connection: Connection,
    person: str,
    groups: Collection[str],
    id: str,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[ChatMessage], str | None]:
    """The latest messages of a chat that is shared with `person`, as `messages.page` tells the owner."""
    shared = get(connection, person, groups, id)
    return messages.page(connection, shared.owner, shared.id, limit, cursor)


def whole(
    connection: Connection, person: str, groups: Collection[str], id: str
) -> tuple[SharedChat, list[ChatMessage]]:
    """A chat that is shared with `person`, and all that was said in it, oldest first."""
    shared = get(connection, person, groups, id)
    return shared, messages.path(connection, shared.owner, shared.id)


def leave(connection: Connection, person: str, id: str) -> None:
    """Forget what was given to `person` alone; what a group of theirs was given stays."""
    grants.remove(connection, NOUN, id, "person", person)


def keep(connection: Connection, owner: str, id: str, shared: SharedChat, said: Sequence[Message]) -> Chat:
    """Begin a chat of `owner`'s own that goes on where another's is; what the same request began is returned."""
    chat = chats.create(connection, owner, id, shared.model, shared.title)
    if chat.head_id is None and said:
        messages.append_all(connection, owner, id, said)
    return chats.get(connection, owner, id)


def _shared(person: str, groups: Collection[str]) -> Select[tuple[str, str, str, str, float, float]]:
    columns = tables.chats.c
    told = (columns.id, columns.owner, columns.title, columns.model, columns.created_at, columns.updated_at)
    return select(*told).where(
        columns.id.in_(grants.given_to(NOUN, person, groups)),
        columns.owner != person,
        columns.deleted_at.is_(None),
    )
