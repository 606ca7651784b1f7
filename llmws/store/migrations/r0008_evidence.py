"""What was seen when it was found out what a model can do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("capabilities", sa.Column("evidence", sa.Text(), nullable=False, server_default=""))
