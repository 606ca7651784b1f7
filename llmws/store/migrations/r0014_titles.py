"""Titles that models give, what people want of that, and what a conversation came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("chats", sa.Column("automatic_title", sa.Boolean(), nullable=False, server_default=sa.false()))
    # Nobody knows of those that have one whether it was typed.
    op.execute("UPDATE chats SET automatic_title = TRUE WHERE title = ''")
    op.create_table(
        "preferences",
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("automatic_titles", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_preferences")),
    )
    op.create_index(op.f("ix_generations_chat_id"), "generations", ["chat_id"], unique=False)
    of_generations = sa.text("generation_id IS NOT NULL")
    op.create_index(
        op.f("ix_usage_generation_id"),
        "usage",
        ["generation_id"],
        unique=False,
        sqlite_where=of_generations,
        postgresql_where=of_generations,
    )
