"""Comparisons: one question put to several models, and which generation answers for which model.

An item either has a generation, which knows everything about its answer, or the error for which none could begin. How
answers are written, and how many at a time, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, func, insert, select

from ..errors import NotFound
from ..messages import Message, Parameters
from . import tables
from .paging import newest


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was asked of whom. `running` is how many of its answers are still being written."""

    id: str
    owner: str
    messages: tuple[Message, ...]
    models: tuple[str, ...]
    repeat: int
    parameters: Parameters
    created_at: float
    running: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One answer of a comparison: the `repeat`-th (from 1) of `model`.

    `error` is why it could not begin; else `generation_id` names the generation, of which `state` and
    `finish_reason` are told, and `message` once it has ended.
    """

    model: str
    repeat: int
    generation_id: str | None = None
    error: Mapping[str, Any] | None = None
    state: str = "running"
    finish_reason: str | None = None
    message: Message | None = None


_running = (
    select(func.count())
    .select_from(tables.comparison_items.join(tables.generations))
    .where(tables.comparison_items.c.comparison_id == tables.comparisons.c.id, tables.is_running)
    .scalar_subquery()
    .label("running")
)


def create(connection: Connection, comparison: Comparison, items: Sequence[Item]) -> None:
    """Keep a comparison and its items, whose generations must be there already."""
    connection.execute(
        insert(tables.comparisons).values(
            id=comparison.id,
            owner=comparison.owner,
            messages=[message.to_dict() for message in comparison.messages],
            models=list(comparison.models),
            repeat=comparison.repeat,
            parameters=comparison.parameters.to_dict(),
            created_at=comparison.created_at,
        )
    )
    connection.execute(
        insert(tables.comparison_items),
        [
            {
                "comparison_id": comparison.id,
                "position": position,
                "model": item.model,
                "repeat": item.repeat,
                "generation_id": item.generation_id,
                "error": None if item.error is None else dict(item.error),
            }
            for position, item in enumerate(items)
        ],
    )


def find(connection: Connection, owner: str, id: str) -> Comparison | None:
    """The comparison, or None where `owner` has none of this id."""
    columns = tables.comparisons.c
    statement = select(tables.comparisons, _running).where(columns.id == id, columns.owner == owner)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _comparison(row)


def get(connection: Connection, owner: str, id: str) -> tuple[Comparison, list[Item]]:
    """The comparison with its items, in the order asked; `NotFound` where `owner` has none of this id."""
    found = find(connection, owner, id)
    if found is None:
        raise NotFound("There is no such comparison.")
    items, generations, messages = tables.comparison_items.c, tables.generations.c, tables.messages.c
    statement = (
        select(
            items.model,
            items.repeat,
            items.generation_id,
            items.error,
            generations.state,
            generations.finish_reason,
            messages.body,
        )
        .select_from(tables.comparison_items)
        .outerjoin(tables.generations)
        .outerjoin(tables.messages, messages.id == generations.message_id)
        .where(items.comparison_id == id)
        .order_by(items.position)
    )
    return found, [_item(row) for row in connection.execute(statement).mappings()]


def page(
    connection: Connection, owner: str, limit: int = 50, cursor: str | None = None
) -> tuple[list[Comparison], str | None]:
    """Comparisons, newest first, and the cursor of the next page."""
    columns = tables.comparisons.c
    statement = select(tables.comparisons, _running).where(columns.owner == owner)
    rows, following = newest(connection, statement, columns.created_at, columns.id, limit=limit, cursor=cursor)
    return [_comparison(row) for row in rows], following


def _comparison(row: Row[Any]) -> Comparison:
    values = dict(row._mapping)
    values["messages"] = tuple(Message.from_dict(body) for body in values["messages"])
    values["models"] = tuple(values["models"])
    return Comparison(**{**values, "parameters": Parameters.from_dict(values["parameters"])})


def _item(row: RowMapping) -> Item:
    values: dict[str, Any] = dict(row)
    body = values.pop("body")
    if values["generation_id"] is None:
        return Item(**{**values, "state": "ended", "finish_reason": "error"})
    if values["state"] == "running":
        return Item(**values)
    message = Message.from_dict(body)
    return Item(**{**values, "error": message.error, "message": message})
