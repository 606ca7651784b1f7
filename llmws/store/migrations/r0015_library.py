"""Folders, tags and the search of chats, and what makes erasing one quick."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from llmws.messages import Message
from llmws.store import search_index
from llmws.store.search_index import Entry, place

revision = "0015"
down_revision = "0014"

_ROWS = 200


def upgrade() -> None:
    no = sa.false()
    op.add_column("chats", sa.Column("number", sa.BigInteger(), nullable=True))
    op.add_column("chats", sa.Column("folder", sa.String(length=255), nullable=False, server_default=""))
    for name in ("pinned", "archived", "temporary"):
        op.add_column("chats", sa.Column(name, sa.Boolean(), nullable=False, server_default=no))
    op.execute(
        "UPDATE chats SET number = counted.number"
        " FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS number FROM chats) AS counted"
        " WHERE counted.id = chats.id"
    )
    op.create_index(op.f("ix_chats_number"), "chats", ["number"], unique=True)
    op.drop_index(op.f("ix_chats_owner_updated_at_id"), "chats")
    op.create_index(op.f("ix_chats_owner_pinned_updated_at_id"), "chats", ["owner", "pinned", "updated_at", "id"])
    op.create_table(
        "chat_tags",
        sa.Column("chat_id", sa.String(length=32), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name=op.f("fk_chat_tags_chat_id")),
        sa.PrimaryKeyConstraint("chat_id", "tag", name=op.f("pk_chat_tags")),
    )
    op.create_index(op.f("ix_generations_message_id"), "generations", ["message_id"])
    op.create_index(op.f("ix_comparison_items_generation_id"), "comparison_items", ["generation_id"])
    op.create_table(
        "search_entries",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_entries")),
        sa.UniqueConstraint("message_id", name=op.f("uq_search_entries_message_id")),
    )
    connection = op.get_bind()
    for statement in search_index.CREATE[connection.dialect.name]:
        op.execute(statement)
    _fill(connection)


def _fill(connection: sa.Connection) -> None:
    """Take in what is there, a few rows at a time. The words are those of today, since that is who asks for them."""
    columns = ("id", "owner", "title", "number")
    chats = sa.table("chats", *map(sa.column, columns))
    last = 0
    while found := connection.execute(
        sa.select(chats).where(chats.c.number > last).order_by(chats.c.number).limit(_ROWS)
    ).all():
        search_index.add(connection, [Entry(place(chat.number), chat.owner, None, chat.title) for chat in found])
        for chat in found:
            _fill_messages(connection, chat)
        last = found[-1].number


def _fill_messages(connection: sa.Connection, chat: sa.Row[Any]) -> None:
    messages = sa.table("messages", *map(sa.column, ("id", "chat_id", "created_at")), sa.column("body", sa.JSON()))
    keys = (messages.c.created_at, messages.c.id)
    after: tuple[float, str] = (-1.0, "")
    ordinal = 0
    while found := connection.execute(
        sa.select(messages)
        .where(messages.c.chat_id == chat.id, sa.tuple_(*keys) > sa.tuple_(*after))
        .order_by(*keys)
        .limit(_ROWS)
    ).all():
        texts = [(row.id, search_index.said(Message.from_dict(row.body))) for row in found]
        texts = [(message_id, text) for message_id, text in texts if text]
        new = [
            Entry(place(chat.number, number), chat.owner, *one) for number, one in enumerate(texts, start=ordinal + 1)
        ]
        search_index.add(connection, new)
        ordinal += len(texts)
        after = found[-1].created_at, found[-1].id
