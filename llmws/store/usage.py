"""What each call to a model used: tokens, seconds, outcome, cost. Rows are only added, never changed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Literal

from sqlalchemy import Connection, insert, select

from . import tables
from .ids import new_id
from .paging import newest


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One call. `outcome` is its finish reason; `cost` is None where the model is unpriced, never 0 for that.

    Example:
        >>> row = UsageRow("ada", provider="echo", model="echo", purpose="chat", outcome="stop", output_tokens=7)
        >>> row.output_tokens, row.cost
        (7, None)
    """

    owner: str
    provider: str
    model: str
    purpose: str
    outcome: str
    generation_id: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    source: Literal["provider", "estimate"] = "provider"
    first_token_s: float | None = None
    total_s: float | None = None
    cost: float | None = None
    currency: str | None = None
    notebook: str | None = None
    cell: str | None = None
    id: str = field(default_factory=new_id)
    created_at: float = field(default_factory=time.time)


def add(connection: Connection, row: UsageRow) -> UsageRow:
    """Record a call that belongs to no generation; `generations.finish` records those that do."""
    connection.execute(insert(tables.usage).values(asdict(row)))
    return row


def page(
    connection: Connection, owner: str, limit: int = 50, cursor: str | None = None
) -> tuple[list[UsageRow], str | None]:
    """Calls, newest first, and the cursor of the next page."""
    columns = tables.usage.c
    statement = select(tables.usage).where(columns.owner == owner)
    rows, following = newest(connection, statement, columns.created_at, columns.id, limit=limit, cursor=cursor)
    return [UsageRow(**row._mapping) for row in rows], following
