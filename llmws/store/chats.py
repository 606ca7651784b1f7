"""Chats: what a conversation is called, who answers and how, and which message it has come to (`head_id`)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select
from sqlalchemy import update as update_rows

from ..errors import NotFound
from ..messages import Parameters
from . import tables
from .paging import newest

_CHANGEABLE = frozenset({"title", "model", "system", "parameters", "head_id"})


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation.

    `head_id` is its latest message, `running` the generation that is answering just now. `assistant_id` tells with
    which assistant it was begun; that may be gone. A title that nobody typed is automatic, and gives way to a better.
    """

    id: str
    owner: str
    title: str
    model: str
    system: str
    parameters: Parameters
    head_id: str | None
    created_at: float
    updated_at: float
    deleted_at: float | None
    assistant_id: str | None
    automatic_title: bool
    running: str | None


_running = (
    select(tables.generations.c.id)
    .where(tables.generations.c.chat_id == tables.chats.c.id, tables.is_running)
    .scalar_subquery()
    .label("running")
)


def create(
    connection: Connection,
    owner: str,
    id: str,
    model: str,
    title: str | None = None,
    system: str | None = None,
    parameters: Parameters | None = None,
    assistant_id: str | None = None,
) -> Chat:
    """Begin a chat; where `owner` already has one of this id (the request was repeated), return that one."""
    if (known := _find(connection, owner, tables.chats.c.id == id)) is not None:
        return known
    now = time.time()
    connection.execute(
        insert(tables.chats).values(
            id=id,
            owner=owner,
            title=title or "",
            automatic_title=not title,
            model=model,
            system=system or "",
            parameters=(parameters or Parameters()).to_dict(),
            created_at=now,
            updated_at=now,
            assistant_id=assistant_id,
        )
    )
    return get(connection, owner, id)


def get(connection: Connection, owner: str, id: str) -> Chat:
    """The chat, or `NotFound` where `owner` has none of this id or deleted it."""
    return _found(_find(connection, owner, tables.chats.c.id == id, tables.chats.c.deleted_at.is_(None)))


def page(
    connection: Connection, owner: str, limit: int = 50, cursor: str | None = None, query: str | None = None
) -> tuple[list[Chat], str | None]:
    """Chats by their last change, newest first, and the cursor of the next page; `query` is a part of the title."""
    columns = tables.chats.c
    statement = select(tables.chats, _running).where(columns.owner == owner, columns.deleted_at.is_(None))
    if query:
        statement = statement.where(columns.title.icontains(query, autoescape=True))
    rows, following = newest(connection, statement, columns.updated_at, columns.id, limit=limit, cursor=cursor)
    return [_chat(row) for row in rows], following


def update(connection: Connection, owner: str, id: str, **changes: Any) -> Chat:
    """Change `title`, `model`, `system`, `parameters` or `head_id` (to another message of the same chat)."""
    if unknown := set(changes) - _CHANGEABLE:
        raise TypeError(f"a chat's {', '.join(sorted(unknown))} cannot be changed")
    get(connection, owner, id)
    if "parameters" in changes:
        changes["parameters"] = changes["parameters"].to_dict()
    if "title" in changes:
        changes["automatic_title"] = not changes["title"]
    if changes.get("head_id") is not None:
        _check_head(connection, id, changes["head_id"])
    _set(connection, id, **changes, updated_at=time.time())
    return get(connection, owner, id)


def give_title(connection: Connection, owner: str, id: str, title: str) -> bool:
    """Give the chat a title of ours; tells whether it has it: one that somebody typed stays."""
    columns = tables.chats.c
    mine = (columns.id == id, columns.owner == owner, columns.deleted_at.is_(None))
    given = connection.execute(update_rows(tables.chats).where(*mine, columns.automatic_title).values(title=title))
    return given.rowcount == 1


def go_to(connection: Connection, owner: str, id: str, head_id: str) -> Chat:
    """Move the head to another message of the chat. To look at another branch changes nothing that was said."""
    get(connection, owner, id)
    _check_head(connection, id, head_id)
    _set(connection, id, head_id=head_id)
    return get(connection, owner, id)


def delete(connection: Connection, owner: str, id: str) -> None:
    """Hide the chat; `restore` brings it back."""
    get(connection, owner, id)
    _set(connection, id, deleted_at=time.time())


def restore(connection: Connection, owner: str, id: str) -> Chat:
    """Undo `delete`; a chat that was not deleted stays as it is."""
    _found(_find(connection, owner, tables.chats.c.id == id))
    _set(connection, id, deleted_at=None)
    return get(connection, owner, id)


def _find(connection: Connection, owner: str, *conditions: ColumnElement[bool]) -> Chat | None:
    statement = select(tables.chats, _running).where(tables.chats.c.owner == owner, *conditions)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _chat(row)


def _found(chat: Chat | None) -> Chat:
    if chat is None:
        raise NotFound("There is no such chat.", remedy="It may have been deleted, or belong to somebody else.")
    return chat


def _set(connection: Connection, id: str, **values: Any) -> None:
    connection.execute(update_rows(tables.chats).where(tables.chats.c.id == id).values(values))


def _check_head(connection: Connection, id: str, head_id: str) -> None:
    columns = tables.messages.c
    if connection.execute(select(columns.id).where(columns.id == head_id, columns.chat_id == id)).first() is None:
        raise NotFound("There is no such message in this chat.", remedy="Choose a head among the chat's messages.")


def _chat(row: Row[Any]) -> Chat:
    values = dict(row._mapping)
    return Chat(**{**values, "parameters": Parameters.from_dict(values["parameters"])})
