"""What is known of models beside what providers and catalogue say: what a live probe found, what a person corrected."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from . import tables

Source = Literal["catalogue", "provider", "probe", "person"]


@dataclass(frozen=True, slots=True)
class Capability:
    """What `source` says of a provider's model; `evidence` is what a probe saw.

    Example:
        >>> Capability("deepseek", "deepseek-chat", "tools", True, "probe", 0.0).value
        True
    """

    provider_id: str
    model: str
    name: str
    value: bool | int
    source: Source
    checked_at: float
    evidence: str = ""


def put(
    connection: Connection,
    provider_id: str,
    model: str,
    name: str,
    value: bool | int,
    source: Source,
    evidence: str = "",
) -> Capability:
    """Keep what `source` says now, in the place of what it said before."""
    remove(connection, provider_id, model, name, source)
    known = Capability(provider_id, model, name, value, source, time.time(), evidence)
    connection.execute(insert(tables.capabilities).values(asdict(known)))
    return known


def remove(connection: Connection, provider_id: str, model: str, name: str, source: Source) -> None:
    """Forget what `source` says; without effect where it says nothing."""
    connection.execute(delete(tables.capabilities).where(_is(provider_id, model, name, source)))


def clear(connection: Connection, provider_id: str) -> None:
    """Forget all of a provider's models."""
    connection.execute(delete(tables.capabilities).where(tables.capabilities.c.provider_id == provider_id))


def all_of_them(connection: Connection) -> Sequence[Capability]:
    """What is known of every provider's models."""
    return [Capability(**row._mapping) for row in connection.execute(select(tables.capabilities))]


def _is(provider_id: str, model: str, name: str, source: Source) -> ColumnElement[bool]:
    columns = tables.capabilities.c
    return and_(
        columns.provider_id == provider_id, columns.model == model, columns.name == name, columns.source == source
    )
