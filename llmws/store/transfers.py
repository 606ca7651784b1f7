"""Whole conversations, with all their branches: read to be written to a file, and put in from one.

What comes in belongs to who brings it, whatever ids it names. A message is known by what it says and by what was said
before it, so bringing the same again changes nothing, and a conversation that has grown elsewhere gets what is new.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from ..messages import Message, Parameters
from . import attachments, chats, messages, search_index, tables
from .chats import Chat
from .ids import derive_id, new_id
from .messages import ChatMessage

# Before there was anything to talk with.
_EARLIEST = 1e8


@dataclass(frozen=True, slots=True)
class Told:
    """A message of a file; `id` and `parent_id` mean something in that file alone."""

    id: str
    parent_id: str | None
    message: Message
    created_at: float


@dataclass(frozen=True, slots=True)
class Brought:
    """A conversation of a file. `key` names it wherever it was, `id` is what it was called there."""

    key: str
    id: str
    title: str
    model: str
    nodes: Sequence[Told]
    head_id: str | None
    system: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    folder: str = ""
    tags: tuple[str, ...] = ()
    pinned: bool = False
    archived: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Put:
    """What became of it: how many messages were added to which chat; `restored` where it had been deleted."""

    state: Literal["imported", "updated", "present"]
    chat_id: str
    added: int
    restored: bool = False


def ids(connection: Connection, owner: str) -> list[str]:
    """All chats of `owner` that are kept, oldest first: an order that stays while they are read one by one."""
    columns = tables.chats.c
    mine = select(columns.id).where(columns.owner == owner, columns.deleted_at.is_(None), ~columns.temporary)
    return list(connection.scalars(mine.order_by(columns.created_at, columns.id)))


def tree(connection: Connection, owner: str, id: str) -> tuple[Chat, list[ChatMessage]]:
    """A chat and all its messages, by age."""
    chat = chats.get(connection, owner, id)
    return chat, _rows(connection, id)


def put(connection: Connection, owner: str, brought: Brought) -> Put:
    """Put a conversation in, or what is new of it into the chat that it is already; all of it or nothing."""
    known = _known(connection, owner, brought)
    if known is None:
        return _create(connection, owner, brought)
    chat_id, deleted_at = known
    if deleted_at is not None:
        chats.restore(connection, owner, chat_id)
    chat, rows = tree(connection, owner, chat_id)
    there = {lineage: row_id for row_id, lineage in lineages(rows).items()}
    ours = {told_id: there.get(lineage) for told_id, lineage in lineages(brought.nodes).items()}
    added = [told for told in brought.nodes if ours[told.id] is None]
    known_as = {told_id: row_id or new_id() for told_id, row_id in ours.items()}
    if added:
        _insert(connection, owner, chat_id, added, known_as)
        parents = {row.id: row.parent_id for row in rows}
        parents |= {known_as[told.id]: known_as.get(told.parent_id or "") for told in added}
        head_id = known_as.get(brought.head_id or "")
        if head_id is not None and _leads_through(chat.head_id, head_id, parents):
            chats.update(connection, owner, chat_id, head_id=head_id)
        _set_times(connection, chat_id, updated_at=min(max(chat.updated_at, brought.updated_at), time.time()))
    restored = deleted_at is not None
    return Put("updated" if added or restored else "present", chat_id, len(added), restored)


def lineages(nodes: Iterable[Told | ChatMessage]) -> dict[str, str]:
    """What each message says, and all that was said before it, as a digest by its id.

    Of twins, which say the same in the same place, the second is another than the first.
    """
    below: dict[str | None, list[Told | ChatMessage]] = {}
    for node in nodes:
        below.setdefault(node.parent_id, []).append(node)
    found: dict[str, str] = {}
    twins: Counter[str] = Counter()
    waiting = below.get(None, [])[::-1]
    while waiting:
        node = waiting.pop()
        said = [[part.type, part.text, _lasting(part.data)] for part in node.message.parts]
        above = found.get(node.parent_id or "", "")
        told = json.dumps([above, node.message.role, node.message.model, said], sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()
        twins[digest] += 1
        found[node.id] = f"{digest}/{twins[digest]}"
        waiting += below.get(node.id, [])[::-1]
    return found


def _lasting(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "attachment"}


def _known(connection: Connection, owner: str, brought: Brought) -> tuple[str, float | None] | None:
    """The chat of `owner` that it is, by its own id where it comes back to where it was made; not one that is to go."""
    columns = tables.chats.c
    wanted = [brought.id, _chat_id(owner, brought)]
    mine = select(columns.id, columns.deleted_at).where(
        columns.owner == owner, columns.id.in_(wanted), columns.temporary.is_(False)
    )
    rows = connection.execute(mine).all()
    found = min(rows, key=lambda row: wanted.index(row.id), default=None)
    return None if found is None else (found.id, found.deleted_at)


def _chat_id(owner: str, brought: Brought) -> str:
    return derive_id(owner, f"import {brought.key}")


def _create(connection: Connection, owner: str, brought: Brought) -> Put:
    chat_id = _chat_id(owner, brought)
    chats.create(connection, owner, chat_id, brought.model, brought.title, brought.system, brought.parameters)
    where = {name: getattr(brought, name) for name in ("folder", "tags", "pinned", "archived")}
    chats.update(connection, owner, chat_id, **where)
    ours = {told.id: new_id() for told in brought.nodes}
    _insert(connection, owner, chat_id, brought.nodes, ours)
    if brought.head_id is not None:
        chats.update(connection, owner, chat_id, head_id=ours[brought.head_id])
    now = time.time()
    created_at = brought.created_at if _EARLIEST < brought.created_at < now else now
    _set_times(connection, chat_id, created_at=created_at, updated_at=min(max(brought.updated_at, created_at), now))
    return Put("imported", chat_id, len(brought.nodes))


def _insert(connection: Connection, owner: str, chat_id: str, nodes: Sequence[Told], ours: Mapping[str, str]) -> None:
    now = time.time()
    rows = [
        {
            "id": ours[told.id],
            "owner": owner,
            "chat_id": chat_id,
            "parent_id": ours[told.parent_id] if told.parent_id is not None else None,
            "generation_id": None,
            "body": told.message.to_dict(),
            # What a file does not tell is small: the order of messages alone.
            "created_at": told.created_at if told.created_at > _EARLIEST else now + told.created_at,
        }
        for told in nodes
    ]
    if rows:
        connection.execute(insert(tables.messages), rows)
        attachments.link(connection, owner, chat_id, {one for told in nodes for one in told.message.attachments})
        search_index.add_messages(connection, chat_id, ((ours[told.id], told.message) for told in nodes))


def _leads_through(above: str | None, below: str, parents: Mapping[str, str | None]) -> bool:
    """Whether the branch that ends at `below` goes through `above`: then it is that one, grown."""
    at: str | None = below
    while at is not None and at != above:
        at = parents.get(at)
    return at == above


def _set_times(connection: Connection, id: str, **times: float) -> None:
    connection.execute(update(tables.chats).where(tables.chats.c.id == id).values(**times))


def _rows(connection: Connection, chat_id: str) -> list[ChatMessage]:
    columns = tables.messages.c
    found = select(tables.messages).where(columns.chat_id == chat_id).order_by(columns.created_at, columns.id)
    return [messages.from_row(row) for row in connection.execute(found)]
