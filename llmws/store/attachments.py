"""Attachments: the pictures and text files that people add to what they say, with their bytes.

They lie in the database, so that a backup of it holds them and a chat that is erased takes them along. One that no chat
uses a day after it was sent in goes, too: it was taken out of a message again, or belonged to a question of its own.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, insert, select, update

from ..errors import InvalidRequest, NotFound
from . import tables

UNUSED_S = 86_400.0
_ABOUT = [column for column in tables.attachments.c if column.name != "body"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """What is known of an attachment; `width` and `height` are those of a picture, in pixels."""

    id: str
    owner: str
    sha256: str
    name: str
    media_type: str
    size: int
    width: int | None
    height: int | None
    created_at: float


def add(connection: Connection, attachment: Attachment, body: bytes, quota: int) -> Attachment:
    """Keep it; the same bytes under the same name are kept once, and found again.

    Raises:
        InvalidRequest: the owner's attachments would be more than `quota` bytes.
    """
    _forget_unused(connection, attachment.created_at - UNUSED_S)
    columns, owner = tables.attachments.c, attachment.owner
    same = (columns.owner == owner, columns.sha256 == attachment.sha256, columns.name == attachment.name)
    known = connection.execute(select(*_ABOUT).where(*same)).first()
    if known is not None:
        # It is wanted anew: what is a day old would otherwise go before it is said.
        connection.execute(update(tables.attachments).where(columns.id == known.id).values(created_at=time.time()))
        return _attachment(known)
    if (used := used_by(connection, owner)) + attachment.size > quota:
        raise InvalidRequest(
            f"Your attachments have {used / 2**20:,.0f} of {quota / 2**20:,.0f} MiB already.",
            remedy="Delete chats that hold some: 30 days later their room is free. An administrator can give you more"
            " (LLMWS_ATTACHMENTS_MIB).",
            code="attachments_full",
            details={"used": used, "quota": quota},
        )
    values = {column.name: getattr(attachment, column.name) for column in _ABOUT}
    connection.execute(insert(tables.attachments).values(**values, body=body))
    return attachment


def get(connection: Connection, owner: str, id: str) -> Attachment:
    """The attachment, or `NotFound` where `owner` has none of this id."""
    row = connection.execute(select(*_ABOUT).where(*_is(owner, id))).one_or_none()
    if row is None:
        raise NotFound(
            "There is no such attachment.", remedy="Attach the file again: what no chat uses is forgotten after a day."
        )
    return _attachment(row)


def whole(connection: Connection, owner: str, id: str) -> tuple[Attachment, bytes]:
    """The attachment and its bytes; a `NotFound` like `get`."""
    about = get(connection, owner, id)
    body: bytes = connection.execute(select(tables.attachments.c.body).where(*_is(owner, id))).scalar_one()
    return about, body


def used_by(connection: Connection, owner: str) -> int:
    """How many bytes the attachments of `owner` have."""
    columns = tables.attachments.c
    return connection.execute(
        select(func.coalesce(func.sum(columns.size), 0)).where(columns.owner == owner)
    ).scalar_one()


def link(connection: Connection, owner: str, chat_id: str, ids: Iterable[str]) -> None:
    """Note that a chat uses these, so that they stay as long as it does; a `NotFound` like `get`."""
    columns = tables.chat_attachments.c
    known = set(connection.scalars(select(columns.attachment_id).where(columns.chat_id == chat_id)))
    for attachment_id in set(ids) - known:
        get(connection, owner, attachment_id)
        connection.execute(insert(tables.chat_attachments).values(chat_id=chat_id, attachment_id=attachment_id))


def erase_of_chats(connection: Connection, chat_ids: Collection[str]) -> None:
    """Forget what only these chats used."""
    links = tables.chat_attachments
    ids = list(connection.scalars(select(links.c.attachment_id).where(links.c.chat_id.in_(chat_ids)).distinct()))
    connection.execute(delete(links).where(links.c.chat_id.in_(chat_ids)))
    connection.execute(delete(tables.attachments).where(tables.attachments.c.id.in_(ids), _is_unused()))


def _forget_unused(connection: Connection, before: float) -> None:
    connection.execute(delete(tables.attachments).where(tables.attachments.c.created_at < before, _is_unused()))


def _is_unused() -> ColumnElement[bool]:
    return ~exists().where(tables.chat_attachments.c.attachment_id == tables.attachments.c.id)


def _is(owner: str, id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return tables.attachments.c.id == id, tables.attachments.c.owner == owner


def _attachment(row: Row[Any]) -> Attachment:
    return Attachment(**row._mapping)
