"""Branches of a conversation are found, and their figures added up, without reading all of it."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    op.drop_index(op.f("ix_messages_chat_id"), table_name="messages")
    op.create_index(op.f("ix_messages_chat_id_parent_id"), "messages", ["chat_id", "parent_id"], unique=False)
    op.create_index(op.f("ix_messages_parent_id"), "messages", ["parent_id"], unique=False)
