"""What full-text search looks at: the words of titles and messages, in the index of the database.

A place in the index is a number that holds the chat's: ``chat << 20 | ordinal``, where 0 is the title and messages are
counted from 1. So the chats that a word occurs in are told by the index alone, without a look at a single message.
Every place also has a word for its owner, which no text can hold: what others said does not slow a search down.

This is the one thing that SQL has no common words for. SQLite has FTS5, PostgreSQL `tsvector` with GIN; to both the
words are handed ready (`words.py`), so that the same is found in both. Neither knows the order of words in a text:
positions would make the index several times as large, and PostgreSQL's end at 16,383.

Entries are written in the transaction that writes what they speak of. Temporary chats have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Text,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from ..messages import Message
from . import tables
from .words import Query, Word, words

ORDINAL_BITS = 20
_ROLES = ("user", "assistant")
_NAMED = ("image", "file")

# Made by a migration of its own for each database, and so not in `tables`.
index = table("search_index", column("rowid"), column("words"))
chat_number = index.c.rowid.bitwise_rshift(ORDINAL_BITS)

CREATE = {
    # `ascii` splits at spaces alone, as far as `words` are concerned. Beginnings of up to three characters are kept.
    "sqlite": (
        "CREATE VIRTUAL TABLE search_index"
        " USING fts5(words, tokenize='ascii', detail='none', columnsize=0, prefix='1 2 3')",
    ),
    # Words that wait to be sorted in are searched one by one: few may.
    "postgresql": (
        "CREATE TABLE search_index (rowid BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
        "CREATE INDEX ix_search_index_words ON search_index USING gin (words) WITH (gin_pending_list_limit = 256)",
    ),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a place of the index: of a title `message_id` is None."""

    place: int
    owner: str
    message_id: str | None
    text: str


def place(number: int, ordinal: int = 0) -> int:
    """Where the message that was the `ordinal`-th to come into the chat of this number stands; its title, at 0."""
    return number << ORDINAL_BITS | ordinal


def said(message: Message) -> str:
    """What of a message is searched: what was said, and the names of what was attached; not what was thought."""
    if message.role not in _ROLES:
        return ""
    texts = [part.text for part in message.parts if part.type == "text"]
    names = [str(part.data.get("name", "")) for part in message.parts if part.type in _NAMED]
    return "\n".join(filter(None, [*texts, *names]))


def put_title(connection: Connection, chat_id: str, title: str) -> None:
    """Have the chat found by `title`, and no longer by what it was called before."""
    if (chat := _searched(connection, chat_id)) is not None:
        owner, number = chat
        _remove(connection, place(number), place(number))
        add(connection, [Entry(place(number), owner, None, title)])


def put_message(connection: Connection, chat_id: str, message_id: str, message: Message) -> None:
    """Have the chat found by what `message` says now."""
    entries = tables.search_entries.c
    known = connection.scalar(select(entries.id).where(entries.message_id == message_id))
    if known is None:
        add_messages(connection, chat_id, [(message_id, message)])
    elif (chat := _searched(connection, chat_id)) is not None:
        _remove(connection, known, known)
        add(connection, [Entry(known, chat[0], message_id, said(message))])


def add_messages(connection: Connection, chat_id: str, new: Iterable[tuple[str, Message]]) -> None:
    """Have the chat found by what these messages say, which it was not before."""
    texts = [(message_id, text) for message_id, message in new if (text := said(message))]
    if not texts or (chat := _searched(connection, chat_id)) is None:
        return
    owner, number = chat
    at = tables.search_entries.c.id
    last = connection.scalar(select(func.max(at)).where(at > place(number), at < place(number + 1))) or place(number)
    add(connection, [Entry(last + n, owner, *one) for n, one in enumerate(texts, start=1)])


def add(connection: Connection, new: Collection[Entry]) -> None:
    """Take in entries at places where there are none."""
    is_sqlite = connection.dialect.name == "sqlite"
    rows: list[dict[str, Any]] = []
    for entry in new:
        if found := words(entry.text):
            found.append(_of_owner(entry.owner))
            rows.append({"at": entry.place, "found": " ".join(found) if is_sqlite else found})
    given = bindparam("found") if is_sqlite else func.array_to_tsvector(bindparam("found", type_=ARRAY(Text)))
    if rows:
        connection.execute(insert(index).values(rowid=bindparam("at"), words=given), rows)
    if messages := [{"id": entry.place, "message_id": entry.message_id} for entry in new if entry.message_id]:
        connection.execute(insert(tables.search_entries), messages)


def remove(connection: Connection, numbers: Iterable[int]) -> None:
    """Forget all words of the chats of these numbers."""
    for number in numbers:
        _remove(connection, place(number), place(number + 1) - 1)


def holds(connection: Connection, owner: str, query: Query) -> ColumnElement[bool]:
    """The condition that an entry of `index` is `owner`'s and has all that is asked."""
    asked = [Word(_of_owner(owner)), *query.words]
    if connection.dialect.name == "sqlite":
        match = " AND ".join(f'"{word.text}"{" *" if word.is_beginning else ""}' for word in asked)
        return column(index.name).op("MATCH", is_comparison=True)(match)
    match = " & ".join(f"'{word.text}'{':*' if word.is_beginning else ''}" for word in asked)
    return index.c.words.op("@@", is_comparison=True)(cast(literal(match, Text), TSQUERY))


def _remove(connection: Connection, first: int, last: int) -> None:
    connection.execute(delete(index).where(index.c.rowid.between(first, last)))
    connection.execute(delete(tables.search_entries).where(tables.search_entries.c.id.between(first, last)))


def _searched(connection: Connection, chat_id: str) -> tuple[str, int] | None:
    """Whose the chat is and its number; None where it is not to be found."""
    columns = tables.chats.c
    row = connection.execute(
        select(columns.owner, columns.number).where(columns.id == chat_id, columns.temporary.is_(False))
    ).one_or_none()
    return None if row is None else (row.owner, row.number)


def _of_owner(owner: str) -> str:
    return f"§{hashlib.blake2s(owner.encode(), digest_size=8).hexdigest()}"
