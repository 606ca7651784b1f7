"""Grants to people and groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("noun", sa.String(length=32), nullable=False),
        sa.Column("thing_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("grantee", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("noun", "thing_id", "kind", "grantee", name=op.f("pk_grants")),
    )
