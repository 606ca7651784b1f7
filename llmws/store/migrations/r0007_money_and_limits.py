"""Costs, hourly sums of usage, prices, exchange rates, limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    _widen_usage()
    _sum_usage()
    op.create_table(
        "prices",
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("set_by", sa.String(length=255), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_prices")),
    )
    op.create_table(
        "exchange_rates",
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("into", sa.String(length=8), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("rate", sa.String(length=32), nullable=False),
        sa.Column("set_by", sa.String(length=255), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("currency", "into", "valid_from", name=op.f("pk_exchange_rates")),
    )
    op.create_table(
        "limits",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("unit", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=True),
        sa.Column("soft", sa.Double(), nullable=True),
        sa.Column("hard", sa.Double(), nullable=True),
        sa.Column("forbid_unpriced", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limits")),
    )


def _widen_usage() -> None:
    # No call had a cost before this step, so nothing is lost with the column of doubles.
    op.drop_column("usage", "cost")
    op.add_column("usage", sa.Column("cost", sa.BigInteger(), nullable=True))
    op.add_column("usage", sa.Column("groups", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("usage", sa.Column("answered_by", sa.String(length=255), nullable=False, server_default=""))
    op.add_column("usage", sa.Column("error", sa.String(length=64), nullable=True))
    op.add_column("usage", sa.Column("cache_write_1h_tokens", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("usage", sa.Column("price", sa.Text(), nullable=True))
    op.create_index(op.f("ix_usage_created_at_id"), "usage", ["created_at", "id"], unique=False)
    op.execute("UPDATE usage SET answered_by = model")


def _sum_usage() -> None:
    sums = ("calls", "input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens")
    op.create_table(
        "usage_hours",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        *(sa.Column(name, sa.String(length=255), nullable=False) for name in ("provider", "model", "answered_by")),
        sa.Column("purpose", sa.String(length=255), nullable=False),
        sa.Column("currency", sa.String(length=8), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in sums),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
        sa.Column("estimated_calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_hours")),
    )
    op.create_index(op.f("ix_usage_hours_hour"), "usage_hours", ["hour"], unique=False)
    op.create_index(op.f("ix_usage_hours_owner_hour"), "usage_hours", ["owner", "hour"], unique=False)
    # What was used before is summed under an id of its own kind; what is used from now on is added beside it.
    hour = "FLOOR(created_at / 3600)" if op.get_bind().dialect.name == "postgresql" else "created_at / 3600"
    op.execute(
        f"""
        INSERT INTO usage_hours
        SELECT MIN(id), CAST({hour} AS INTEGER), owner, '[]', provider, model, model, purpose, '', COUNT(*),
               SUM(input_tokens), SUM(output_tokens), SUM(reasoning_tokens), SUM(cache_read_tokens),
               SUM(cache_write_tokens), 0, COUNT(*), SUM(CASE WHEN source = 'estimate' THEN 1 ELSE 0 END)
        FROM usage GROUP BY CAST({hour} AS INTEGER), owner, provider, model, purpose
        """
    )
