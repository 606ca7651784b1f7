"""Pages of a long list, newest first, that stay right while the list changes.

A cursor says where the last page ended, as the pair (time, id), rather than how many rows came before: rows that appear
or move to the top meanwhile neither repeat nor hide another.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, tuple_

from ..errors import InvalidRequest

MAX_LIMIT = 1000


def newest(
    connection: Connection,
    statement: Select[Any],
    time: ColumnElement[float],
    id: ColumnElement[str],
    *,
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[Row[Any]], str | None]:
    """The rows of `statement` after `cursor`, at most `limit`, and the cursor of the next page, None after the last.

    `time` and `id` are two of the statement's columns; a cursor that nobody was given is an `InvalidRequest`.
    """
    limit = checked_limit(limit)
    if cursor is not None:
        statement = statement.where(tuple_(time, id) < tuple_(*_decode(cursor)))
    rows = connection.execute(statement.order_by(time.desc(), id.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]._mapping
    return rows[:limit], _encode(last[time], last[id])


def checked_limit(limit: int) -> int:
    """`limit`, or an `InvalidRequest` where that cannot be the length of a page."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"A page of {limit} rows cannot be.", remedy=f"Choose a limit from 1 to {MAX_LIMIT}.")
    return limit


def _encode(time: float, id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([time, id]).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[float, str]:
    try:
        last = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return float(last[0]), str(last[1])
    except (ValueError, TypeError, LookupError):
        raise InvalidRequest("That is not a cursor.", remedy="Begin again without one.") from None
