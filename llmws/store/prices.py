"""Prices that an administrator set: they win over what vendors publish. A model is named by a pattern (`fnmatch`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from ..errors import NotFound
from . import tables


@dataclass(frozen=True, slots=True)
class SetPrice:
    """`body` is what the price says, as JSON."""

    model: str
    body: Mapping[str, Any]
    set_by: str
    updated_at: float


def put(connection: Connection, model: str, body: Mapping[str, Any], set_by: str) -> SetPrice:
    """Set it; what was set before gives way."""
    price = SetPrice(model, body, set_by, time.time())
    connection.execute(delete(tables.prices).where(tables.prices.c.model == model))
    connection.execute(insert(tables.prices).values(asdict(price)))
    return price


def remove(connection: Connection, model: str) -> None:
    """Take it back, so that what is published holds again; `NotFound` where none was set."""
    if connection.execute(delete(tables.prices).where(tables.prices.c.model == model)).rowcount != 1:
        raise NotFound(f"No price was set for {model!r}.", remedy="See GET /api/prices for those that were.")


def all_of(connection: Connection) -> Sequence[SetPrice]:
    rows = connection.execute(select(tables.prices).order_by(tables.prices.c.model))
    return [SetPrice(**row._mapping) for row in rows]
