"""Messages of chats, and the answers of one-off generations, as rows of a tree: each knows its parent.

What a message says is `llmws.messages.Message`, kept whole as JSON; this module only knows where it belongs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, exists, insert, literal, or_, select, update

from ..errors import InvalidRequest, NotFound
from ..messages import Message
from . import chats, search_index, tables
from .ids import new_id
from .paging import checked_limit

# Instead of the id of a parent: below what the chat has come to.
HEAD: Final = "head"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message where it stands. `generation_id` names the generation that wrote it, `chat_id` is None for one-offs."""

    id: str
    owner: str
    chat_id: str | None
    parent_id: str | None
    generation_id: str | None
    message: Message
    created_at: float


def append(
    connection: Connection,
    owner: str,
    id: str,
    message: Message,
    *,
    chat_id: str | None = None,
    parent_id: str | None = HEAD,
    generation_id: str | None = None,
) -> ChatMessage:
    """Put `message` below the chat's head, or another message of it, and make it the head; without a chat it stands
    alone.

    Where `owner` already has a message of this id (the request was repeated), that one is returned.
    """
    if (known := _find(connection, owner, id)) is not None:
        return known
    chat = chats.get(connection, owner, chat_id) if chat_id is not None else None
    if parent_id == HEAD or chat is None:
        parent_id = chat.head_id if chat is not None else None
    row = ChatMessage(id, owner, chat_id, parent_id, generation_id, message, time.time())
    values = {column.name: getattr(row, column.name) for column in tables.messages.c if column.name != "body"}
    connection.execute(insert(tables.messages).values(**values, body=message.to_dict()))
    if chat_id is not None:
        search_index.put_message(connection, chat_id, id, message)
        chats.update(connection, owner, chat_id, head_id=id)
    return row


def append_all(connection: Connection, owner: str, chat_id: str, said: Sequence[Message]) -> None:
    """Put many messages, one below the other, below the chat's head, and make the last one the head."""
    parent_id = chats.get(connection, owner, chat_id).head_id
    rows: list[dict[str, Any]] = []
    for message in said:
        row = {"id": new_id(), "owner": owner, "chat_id": chat_id, "parent_id": parent_id, "generation_id": None}
        rows.append({**row, "body": message.to_dict(), "created_at": time.time()})
        parent_id = row["id"]
    connection.execute(insert(tables.messages), rows)
    search_index.add_messages(connection, chat_id, zip((row["id"] for row in rows), said, strict=True))
    chats.update(connection, owner, chat_id, head_id=parent_id)


def get(connection: Connection, owner: str, id: str, chat_id: str | None = None) -> ChatMessage:
    """The message, or `NotFound` where `owner` has none of this id, or none in that chat."""
    found = _find(connection, owner, id)
    if found is None or (chat_id is not None and found.chat_id != chat_id):
        raise NotFound("There is no such message.", remedy="Its chat may have been deleted; read the messages anew.")
    return found


def path(connection: Connection, owner: str, chat_id: str, to: str | None = HEAD) -> list[ChatMessage]:
    """The messages from the first to the head, or down `to` another of the chat: what a model is given."""
    head_id = chats.get(connection, owner, chat_id).head_id
    return _climb(connection, head_id if to == HEAD else to, chat_id, None)


def siblings(connection: Connection, chat_id: str, parents: Iterable[str | None]) -> dict[str | None, list[str]]:
    """The ids of the messages below each of these parents, oldest first: of all at once, since each has few."""
    wanted = set(parents)
    columns = tables.messages.c
    below = columns.parent_id.in_(wanted - {None})
    statement = select(columns.parent_id, columns.id).where(
        columns.chat_id == chat_id, or_(below, columns.parent_id.is_(None)) if None in wanted else below
    )
    found: dict[str | None, list[str]] = {}
    for parent_id, child_id in connection.execute(statement.order_by(columns.created_at, columns.id)):
        found.setdefault(parent_id, []).append(child_id)
    return found


def newest_leaf(connection: Connection, chat_id: str, id: str) -> str:
    """Where the conversation through message `id` of the chat went last: the newest of those below it that have none
    below themselves.
    """
    columns = tables.messages.c
    tree = select(columns.id, columns.created_at).where(columns.id == id, columns.chat_id == chat_id)
    below = tree.cte("below", recursive=True)
    step = select(columns.id, columns.created_at).where(columns.parent_id == below.c.id, columns.chat_id == chat_id)
    below = below.union_all(step)
    child = tables.messages.alias("child")
    leaves = select(below.c.id).where(~exists().where(child.c.parent_id == below.c.id, child.c.chat_id == chat_id))
    found = connection.scalar(leaves.order_by(below.c.created_at.desc(), below.c.id.desc()).limit(1))
    return found if found is not None else id


def page(
    connection: Connection, owner: str, chat_id: str, limit: int = 50, cursor: str | None = None
) -> tuple[list[ChatMessage], str | None]:
    """The last `limit` messages up to the head, oldest first, and the cursor that leads to older ones."""
    chat = chats.get(connection, owner, chat_id)
    found = _climb(connection, cursor or chat.head_id, chat_id, checked_limit(limit))
    if cursor and not found:
        raise InvalidRequest("That is not a cursor of this chat.", remedy="Begin again without one.")
    return found, found[0].parent_id if found else None


def set_body(connection: Connection, id: str, message: Message) -> None:
    """Replace what the message says: an answer has ended."""
    columns = tables.messages.c
    connection.execute(update(tables.messages).where(columns.id == id).values(body=message.to_dict()))
    if (chat_id := connection.scalar(select(columns.chat_id).where(columns.id == id))) is not None:
        search_index.put_message(connection, chat_id, id, message)


def _climb(connection: Connection, start: str | None, chat_id: str, limit: int | None) -> list[ChatMessage]:
    """Up to `limit` messages that lead down to `start`, oldest first."""
    if start is None:
        return []
    table = tables.messages
    climb = (select(table, literal(1).label("depth")).where(table.c.id == start, table.c.chat_id == chat_id)).cte(
        "climb", recursive=True
    )
    above = select(table, climb.c.depth + 1).where(table.c.id == climb.c.parent_id)
    climb = climb.union_all(above if limit is None else above.where(climb.c.depth < limit))
    return [from_row(row) for row in connection.execute(select(climb).order_by(climb.c.depth.desc()))]


def _find(connection: Connection, owner: str, id: str) -> ChatMessage | None:
    columns = tables.messages.c
    row = connection.execute(select(tables.messages).where(columns.id == id, columns.owner == owner)).one_or_none()
    return None if row is None else from_row(row)


def from_row(row: Row[Any]) -> ChatMessage:
    """The message of a row of the table."""
    values = dict(row._mapping)
    values.pop("depth", None)
    return ChatMessage(message=Message.from_dict(values.pop("body")), **values)
