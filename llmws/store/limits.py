"""Limits: how much a person, a group or everyone may use, of which models, in which time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update

from ..errors import NotFound
from . import tables

Kind = Literal["person", "group", "everyone"]
Unit = Literal["requests", "tokens", "parallel", "USD", "CNY"]
Period = Literal["minute", "day", "month"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: a budget, a rate, or how many calls may run at the same time.

    Args:
        kind, name: whom it binds. A person or group ``*`` is each of them on their own; everyone is all together.
        model: a pattern (`fnmatch`) of the models that count.
        period: None for parallel calls.
        soft: from here on people are warned. None: never.
        hard: more is refused. None: never.
        forbid_unpriced: models without a price are refused, since their cost could not be counted.

    Example:
        >>> Limit("1", "person", "*", "*", "USD", "month", soft=4.0, hard=5.0).forbid_unpriced
        False
    """

    id: str
    kind: Kind
    name: str
    model: str
    unit: Unit
    period: Period | None
    soft: float | None = None
    hard: float | None = None
    forbid_unpriced: bool = False
    created_at: float = 0.0


def create(connection: Connection, limit: Limit) -> Limit:
    """Keep it; one of the same id is returned as it is."""
    row = connection.execute(select(tables.limits).where(tables.limits.c.id == limit.id)).one_or_none()
    if row is not None:
        return Limit(**row._mapping)
    kept = Limit(**{**asdict(limit), "created_at": time.time()})
    connection.execute(insert(tables.limits).values(asdict(kept)))
    return kept


def change(connection: Connection, id: str, **values: Any) -> Limit:
    """Change what is given; `NotFound` where there is none of this id."""
    columns = tables.limits.c
    if values:
        connection.execute(update(tables.limits).where(columns.id == id).values(values))
    row = connection.execute(select(tables.limits).where(columns.id == id)).one_or_none()
    if row is None:
        raise NotFound("There is no such limit.", remedy="See GET /api/limits for those there are.")
    return Limit(**row._mapping)


def remove(connection: Connection, id: str) -> None:
    """Lift it; `NotFound` where there is none of this id."""
    if connection.execute(delete(tables.limits).where(tables.limits.c.id == id)).rowcount != 1:
        raise NotFound("There is no such limit.", remedy="See GET /api/limits for those there are.")


def all_of(connection: Connection) -> Sequence[Limit]:
    """All of them, oldest first."""
    columns = tables.limits.c
    rows = connection.execute(select(tables.limits).order_by(columns.created_at, columns.id))
    return [Limit(**row._mapping) for row in rows]
