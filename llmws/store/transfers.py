"""Whole conversations, with all their branches: read to be written to a file."""

from __future__ import annotations

from sqlalchemy import Connection, select

from . import chats, messages, tables
from .chats import Chat
from .messages import ChatMessage


def ids(connection: Connection, owner: str) -> list[str]:
    """All chats of `owner`, oldest first: an order that stays while they are read one by one."""
    columns = tables.chats.c
    mine = select(columns.id).where(columns.owner == owner, columns.deleted_at.is_(None))
    return list(connection.scalars(mine.order_by(columns.created_at, columns.id)))


def tree(connection: Connection, owner: str, id: str) -> tuple[Chat, list[ChatMessage]]:
    """A chat and all its messages, by age."""
    chat = chats.get(connection, owner, id)
    columns = tables.messages.c
    found = select(tables.messages).where(columns.chat_id == id).order_by(columns.created_at, columns.id)
    return chat, [messages.from_row(row) for row in connection.execute(found)]
