"""Of jobs: their round, how far they are, what helps, whether they were deleted; of tuned models: their kind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("round", sa.Integer(), server_default="1", nullable=False))
    op.add_column("jobs", sa.Column("remedy", sa.Text(), server_default="", nullable=False))
    op.add_column("jobs", sa.Column("step", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("total_steps", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("loss", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("deleted_at", sa.Double(), nullable=True))
    op.add_column("adapters", sa.Column("kind", sa.String(length=16), server_default="adapter", nullable=False))
