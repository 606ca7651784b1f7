"""Chats found by what they are called and what was said in them, each with the message that best shows why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from ..messages import Message
from . import chats, tables
from .chats import Chat
from .paging import newest
from .search_index import ORDINAL_BITS, chat_number, holds, index, said
from .words import Excerpt, Query, excerpt, ranges

# Of a chat in which the words asked stand apart, so many messages are looked at for one in which they stand together.
_LOOKED_AT = 8


@dataclass(frozen=True, slots=True)
class Match:
    """Why a chat was found: a line of the newest message that holds all that was asked, and where the words stand in it
    and in the title (in code points). Where only the title does, `message_id` is None and `text` is empty."""

    message_id: str | None
    text: str
    ranges: tuple[tuple[int, int], ...]
    title_ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chat that was found."""

    chat: Chat
    match: Match


def find(
    connection: Connection,
    owner: str,
    text: str,
    limit: int = 50,
    cursor: str | None = None,
    *,
    folder: str | None = None,
    tag: str | None = None,
    archived: bool | None = None,
) -> tuple[list[Hit], str | None]:
    """Chats that hold every word of `text` in their title or in one message, and the cursor of the next page.

    Those that are called so come first, then the order is that of `chats.page`, as are `folder`, `tag` and `archived`.
    The last word may be the beginning of one. A text without a word finds nothing.
    """
    query = Query.of(text)
    if not query.words:
        return [], None
    at = index.c.rowid
    found = (
        select(
            chat_number.label("number"),
            func.max(at).label("last"),
            (func.min(at).bitwise_and((1 << ORDINAL_BITS) - 1) == 0).label("titled"),
        )
        .where(holds(connection, owner, query))
        .group_by(chat_number)
        .subquery("found")
    )
    columns = tables.chats.c
    statement = chats.listed(owner, folder=folder, tag=tag, archived=archived)
    statement = statement.add_columns(found.c.titled, found.c.last).join(found, found.c.number == columns.number)
    keys = (found.c.titled, columns.pinned, columns.updated_at, columns.id)
    rows, following = newest(connection, statement, *keys, limit=limit, cursor=cursor)
    shown = _shown(connection, owner, query, [row.last for row in rows])
    told = zip(rows, chats.of_rows(connection, rows), strict=True)
    return [Hit(chat, _match(chat.title, query, shown.get(row.last))) for row, chat in told], following


def _match(title: str, query: Query, shown: tuple[str, Excerpt] | None) -> Match:
    title_ranges = ranges(title, query)
    if shown is None:
        return Match(None, "", (), title_ranges)
    message_id, line = shown
    return Match(message_id, line.text, line.ranges, title_ranges)


def _shown(connection: Connection, owner: str, query: Query, places: Sequence[int]) -> dict[int, tuple[str, Excerpt]]:
    """The messages at these places of the index, or others of their chats that hold the words together."""
    shown = _excerpts(connection, query, places)
    for place in [place for place, (_, line) in shown.items() if not line.whole]:
        first = place >> ORDINAL_BITS << ORDINAL_BITS
        inside = (index.c.rowid > first, index.c.rowid < place)
        statement = select(index.c.rowid).where(holds(connection, owner, query), *inside)
        others = connection.scalars(statement.order_by(index.c.rowid.desc()).limit(_LOOKED_AT)).all()
        better = (one for one in _excerpts(connection, query, others).values() if one[1].whole)
        shown[place] = next(better, shown[place])
    return shown


def _excerpts(connection: Connection, query: Query, places: Sequence[int]) -> dict[int, tuple[str, Excerpt]]:
    entries, messages = tables.search_entries.c, tables.messages.c
    statement = (
        select(entries.id, messages.id.label("message_id"), messages.body)
        .join(tables.messages, messages.id == entries.message_id)
        .where(entries.id.in_(places))
        .order_by(entries.id.desc())
    )
    rows: Sequence[Any] = connection.execute(statement).all()
    return {row.id: (row.message_id, excerpt(said(Message.from_dict(row.body)), query)) for row in rows}
