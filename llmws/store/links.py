"""Links: whoever has one reads a conversation without an account, as it was when the link was made.

Of its secret the hash alone is kept: who reads the database opens nothing. A link names the message that the
conversation had come to; what is said later, or on another branch, is not for its readers. It opens nothing while the
chat is deleted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Row, insert, or_, select, update

from ..errors import Conflict, NotFound
from . import chats, tables


@dataclass(frozen=True, slots=True)
class Link:
    """`head_id` is the last message that it shows, `expires_at` None where it is good until it is revoked."""

    id: str
    owner: str
    chat_id: str
    head_id: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None


def create(
    connection: Connection, owner: str, chat_id: str, id: str, secret_hash: str, expires_at: float | None
) -> Link:
    """Make a link to what was said up to now.

    A repeated request makes none anew: the secret of the first was lost on its way, and gives way to this one.
    """
    chat = chats.get(connection, owner, chat_id)
    if (known := _find(connection, owner, chat_id, id)) is not None:
        _set(connection, id, secret_hash=secret_hash)
        return known
    if chat.head_id is None:
        raise Conflict("There is nothing to share yet.", remedy="Say something first.")
    link = Link(id, owner, chat_id, chat.head_id, time.time(), expires_at, None)
    connection.execute(insert(tables.links).values(**asdict(link), secret_hash=secret_hash))
    return link


def of(connection: Connection, owner: str, chat_id: str) -> Sequence[Link]:
    """The links to a chat of the owner's that were not revoked, oldest first; those that have expired, too."""
    chats.get(connection, owner, chat_id)
    columns = tables.links.c
    mine = (columns.owner == owner, columns.chat_id == chat_id, columns.revoked_at.is_(None))
    rows = connection.execute(select(tables.links).where(*mine).order_by(columns.created_at, columns.id))
    return [_link(row) for row in rows]


def revoke(connection: Connection, owner: str, chat_id: str, id: str) -> None:
    """Have the link open nothing, from now on; `restore` undoes it."""
    _found(_find(connection, owner, chat_id, id))
    _set(connection, id, revoked_at=time.time())


def restore(connection: Connection, owner: str, chat_id: str, id: str) -> Link:
    """Undo `revoke`; an expired link stays one."""
    chats.get(connection, owner, chat_id)
    _found(_find(connection, owner, chat_id, id))
    _set(connection, id, revoked_at=None)
    return _found(_find(connection, owner, chat_id, id))


def opened(connection: Connection, secret_hash: str) -> Link:
    """The link with this secret, where it is good for anything; `NotFound` says of no other why not."""
    links, chat = tables.links.c, tables.chats.c
    good = (
        links.secret_hash == secret_hash,
        links.revoked_at.is_(None),
        or_(links.expires_at.is_(None), links.expires_at > time.time()),
        chat.deleted_at.is_(None),
    )
    statement = select(tables.links).join(tables.chats, chat.id == links.chat_id).where(*good)
    row = connection.execute(statement).one_or_none()
    return _found(None if row is None else _link(row))


def _find(connection: Connection, owner: str, chat_id: str, id: str) -> Link | None:
    columns = tables.links.c
    mine = (columns.id == id, columns.owner == owner, columns.chat_id == chat_id)
    row = connection.execute(select(tables.links).where(*mine)).one_or_none()
    return None if row is None else _link(row)


def _found(link: Link | None) -> Link:
    if link is None:
        raise NotFound("There is no such link.", remedy="It may have expired, or been revoked.")
    return link


def _set(connection: Connection, id: str, **values: str | float | None) -> None:
    connection.execute(update(tables.links).where(tables.links.c.id == id).values(values))


def _link(row: Row[tuple[object, ...]]) -> Link:
    return Link(**{name: value for name, value in row._mapping.items() if name != "secret_hash"})
