"""Comparisons: what was asked of which models, and the generations that answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
    )
    op.create_index(op.f("ix_comparisons_owner_created_at_id"), "comparisons", ["owner", "created_at", "id"])
    op.create_table(
        "comparison_items",
        sa.Column("comparison_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("generation_id", sa.String(length=32), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["comparison_id"], ["comparisons.id"], name=op.f("fk_comparison_items_comparison_id")),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name=op.f("fk_comparison_items_generation_id")),
        sa.PrimaryKeyConstraint("comparison_id", "position", name=op.f("pk_comparison_items")),
    )
