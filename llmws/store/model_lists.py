"""The last good list of models of each provider, with when that was: what is shown while a provider is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from . import tables


@dataclass(frozen=True, slots=True)
class ModelList:
    """What a provider listed, one mapping a model, in its own order."""

    provider_id: str
    models: tuple[Mapping[str, Any], ...]
    listed_at: float


def put(connection: Connection, listed: ModelList) -> None:
    """Keep a list in the place of the one before."""
    remove(connection, listed.provider_id)
    connection.execute(insert(tables.model_lists).values(asdict(listed)))


def all_of_them(connection: Connection) -> Sequence[ModelList]:
    """Every provider's list."""
    rows = connection.execute(select(tables.model_lists)).all()
    return [ModelList(row.provider_id, tuple(row.models), row.listed_at) for row in rows]


def remove(connection: Connection, provider_id: str) -> None:
    """Forget it."""
    connection.execute(delete(tables.model_lists).where(tables.model_lists.c.provider_id == provider_id))
