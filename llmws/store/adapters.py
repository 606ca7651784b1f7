"""Adapters: what a fine-tune left that can be served, on top of its base, under a model id of its own.

A full fine-tune leaves a whole model instead; it stands among them, as another `kind`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Literal

from sqlalchemy import Connection, delete, insert, select

from ..errors import Conflict, NotFound
from . import grants, tables

# What tuned models are called where things of several nouns meet.
NOUN = "models"

Kind = Literal["adapter", "model"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A tuned model. `id` is its model id, the same for everybody; `path` is the file that is served."""

    id: str
    owner: str
    base: str
    job_id: str | None
    path: str
    created_at: float
    kind: Kind = "adapter"


def add(
    connection: Connection, owner: str, id: str, base: str, job_id: str | None, path: str, kind: Kind = "adapter"
) -> Adapter:
    """Record an adapter; the same one again is returned as it is, another of the same id is a `Conflict`."""
    row = connection.execute(select(tables.adapters).where(tables.adapters.c.id == id)).one_or_none()
    if row is None:
        adapter = Adapter(id, owner, base, job_id, path, time.time(), kind)
        connection.execute(insert(tables.adapters).values(asdict(adapter)))
        return adapter
    known = Adapter(**row._mapping)
    if (known.owner, known.base, known.job_id, known.path) != (owner, base, job_id, path):
        raise Conflict(f"There already is a model {id!r}.", remedy="Choose another name.")
    return known


def free_id(connection: Connection, wanted: str, others: Collection[str] = ()) -> str:
    """`wanted`, with a number behind it where that is a model's id already, here or among `others`."""
    taken = {*connection.scalars(select(tables.adapters.c.id)), *others}
    numbered = (f"{wanted}-{number}" for number in count(2))
    return wanted if wanted not in taken else next(name for name in numbered if name not in taken)


def get(connection: Connection, owner: str, id: str) -> Adapter:
    """The adapter, or `NotFound` where `owner` has none of this id."""
    columns = tables.adapters.c
    row = connection.execute(select(tables.adapters).where(columns.id == id, columns.owner == owner)).one_or_none()
    if row is None:
        raise NotFound(f"There is no tuned model {id!r}.")
    return Adapter(**row._mapping)


def served(connection: Connection) -> Sequence[Adapter]:
    """Every owner's adapters, oldest first: what a server next to the base has to load."""
    statement = select(tables.adapters).order_by(tables.adapters.c.created_at, tables.adapters.c.id)
    return [Adapter(**row._mapping) for row in connection.execute(statement)]


def remove(connection: Connection, owner: str, id: str) -> None:
    """Forget the adapter, and with whom it was shared; its file stays."""
    get(connection, owner, id)
    grants.clear(connection, NOUN, id)
    connection.execute(delete(tables.adapters).where(tables.adapters.c.id == id))


def list(connection: Connection, owner: str) -> Sequence[Adapter]:  # noqa: A001 - the noun's word for it
    """The owner's adapters, oldest first."""
    return [adapter for adapter in served(connection) if adapter.owner == owner]
