"""Chats of others that a person may read: those that their owners gave to them or to a group of theirs.

What is shared is what was said on the branch that the owner sees, live, with title and model. The system prompt and the
parameters are not: who wants to share these makes an assistant of them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Select, select

from ..errors import NotFound
from ..messages import Message, Part
from . import attachments, chats, grants, messages, tables
from .attachments import Attachment
from .chats import Chat
from .ids import new_id
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


def attachment(connection: Connection, person: str, groups: Collection[str], id: str, attachment_id: str) -> Attachment:
    """What is attached in a chat that is shared with `person`, where they see it; else `NotFound`."""
    shared, rows = whole(connection, person, groups, id)
    if not any(attachment_id == one for row in rows for one in row.message.attachments):
        raise NotFound("There is no such attachment in this chat.")
    return attachments.get(connection, shared.owner, attachment_id)


def content(
    connection: Connection, person: str, groups: Collection[str], id: str, attachment_id: str
) -> tuple[Attachment, bytes]:
    """The same with its bytes."""
    found = attachment(connection, person, groups, id, attachment_id)
    return attachments.whole(connection, found.owner, found.id)


def leave(connection: Connection, person: str, groups: Collection[str], id: str) -> None:
    """Forget what was given to `person` alone; what a group of theirs was given stays."""
    get(connection, person, groups, id)
    grants.remove(connection, NOUN, id, "person", person)


def keep(connection: Connection, owner: str, id: str, shared: SharedChat, said: Sequence[Message], quota: int) -> Chat:
    """Begin a chat of `owner`'s own that goes on where another's is; what the same request began is returned.

    What is attached becomes the new owner's, too, and counts among their `quota` bytes, see `attachments.add`.
    """
    chat = chats.create(connection, owner, id, shared.model, shared.title)
    if chat.head_id is None and said:
        own = {
            one: _own(connection, owner, shared.owner, one, quota) for message in said for one in message.attachments
        }
        messages.append_all(connection, owner, id, [_with(message, own) for message in said])
        attachments.link(connection, owner, id, [one for one in own.values() if one is not None])
    return chats.get(connection, owner, id)


def _own(connection: Connection, owner: str, of: str, attachment_id: str, quota: int) -> str | None:
    """The id of `owner`'s own copy; None where there is nothing to copy any more."""
    try:
        about, body = attachments.whole(connection, of, attachment_id)
    except NotFound:
        return None
    copy = replace(about, id=new_id(), owner=owner, created_at=time.time())
    return attachments.add(connection, copy, body, quota).id


def _with(message: Message, own: Mapping[str, str | None]) -> Message:
    """`message`, whose attachments are those that became the owner's own."""

    def mine(part: Part) -> Part:
        known = own.get(part.attachment or "")
        return replace(part, data={**part.data, "attachment": known}) if known is not None else part

    return replace(message, parts=tuple(map(mine, message.parts)))


def _shared(person: str, groups: Collection[str]) -> Select[tuple[str, str, str, str, float, float]]:
    columns = tables.chats.c
    told = (columns.id, columns.owner, columns.title, columns.model, columns.created_at, columns.updated_at)
    return select(*told).where(
        columns.id.in_(grants.given_to(NOUN, person, groups)),
        columns.owner != person,
        columns.deleted_at.is_(None),
    )
