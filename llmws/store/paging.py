"""Pages of a long list, newest first, that stay right while the list changes.

A cursor says where the last page ended, as what the rows are sorted by (a time and an id at the least), rather than how
many rows came before: rows that appear or move to the top meanwhile neither repeat nor hide another.
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
    *keys: ColumnElement[Any],
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[Row[Any]], str | None]:
    """The rows of `statement` after `cursor`, at most `limit`, and the cursor of the next page, None after the last.

    `keys` are columns of the statement, the greatest first; the last of them is different in every row. A cursor that
    nobody was given is an `InvalidRequest`.
    """
    limit = checked_limit(limit)
    if cursor is not None:
        statement = statement.where(tuple_(*keys) < tuple_(*_decode(cursor, keys)))
    rows = connection.execute(statement.order_by(*(key.desc() for key in keys)).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]._mapping
    return rows[:limit], _encode([last[key] for key in keys])


def checked_limit(limit: int) -> int:
    """`limit`, or an `InvalidRequest` where that cannot be the length of a page."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"A page of {limit} rows cannot be.", remedy=f"Choose a limit from 1 to {MAX_LIMIT}.")
    return limit


def _encode(last: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode().rstrip("=")


def _decode(cursor: str, keys: Sequence[ColumnElement[Any]]) -> list[Any]:
    try:
        last = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return [key.type.python_type(value) for key, value in zip(keys, last, strict=True)]
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        raise InvalidRequest("That is not a cursor.", remedy="Begin again without one.") from None
