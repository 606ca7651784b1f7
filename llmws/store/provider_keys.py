"""The keys of providers, encrypted. What they say, and how they are encrypted, is not known here.

A key that its provider refused is parked: until a time, or, without one, until a person takes it up again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy import update as update_rows

from ..errors import Conflict, NotFound
from . import tables

_CHANGEABLE = frozenset({"label", "weight", "parked_until", "parked_reason"})


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One key. `weight` says how often it is taken beside others; it is parked where there is a `parked_reason`."""

    id: str
    provider_id: str
    label: str
    weight: int
    ciphertext: str
    created_at: float
    parked_until: float | None = None
    parked_reason: str | None = None
    last_used_at: float | None = None


def add(
    connection: Connection, provider_id: str, id: str, ciphertext: str, label: str | None = None, weight: int = 1
) -> ProviderKey:
    """Add a key; what the same request added before is returned as it is. Without a `label` it gets a number."""
    row = connection.execute(select(tables.provider_keys).where(tables.provider_keys.c.id == id)).one_or_none()
    if row is not None:
        if row.provider_id != provider_id:
            raise Conflict("This Idempotency-Key added a key elsewhere.", remedy="Use a new one for each key.")
        return ProviderKey(**row._mapping)
    label = label or f"key {len(of(connection, provider_id)) + 1}"
    key = ProviderKey(id, provider_id, label, weight, ciphertext, time.time())
    connection.execute(insert(tables.provider_keys).values(asdict(key)))
    return key


def of(connection: Connection, provider_id: str) -> Sequence[ProviderKey]:
    """A provider's keys, oldest first."""
    return [key for key in all_of_them(connection) if key.provider_id == provider_id]


def all_of_them(connection: Connection) -> Sequence[ProviderKey]:
    """Every provider's keys, oldest first."""
    columns = tables.provider_keys.c
    statement = select(tables.provider_keys).order_by(columns.created_at, columns.id)
    return [ProviderKey(**row._mapping) for row in connection.execute(statement)]


def update(connection: Connection, provider_id: str, id: str, **changes: Any) -> ProviderKey:
    """Change `label` or `weight`, park it or take it up again; `NotFound` where the provider has no such key."""
    if unknown := set(changes) - _CHANGEABLE:
        raise TypeError(f"a key's {', '.join(sorted(unknown))} cannot be changed")
    found = _found(connection, provider_id, id)
    if not changes:
        return ProviderKey(**found._mapping)
    connection.execute(update_rows(tables.provider_keys).where(tables.provider_keys.c.id == id).values(changes))
    return ProviderKey(**_found(connection, provider_id, id)._mapping)


def remove(connection: Connection, provider_id: str, id: str) -> None:
    """Forget the key."""
    _found(connection, provider_id, id)
    connection.execute(delete(tables.provider_keys).where(tables.provider_keys.c.id == id))


def used(connection: Connection, times: Mapping[str, float]) -> None:
    """Keep when keys were last used, by their ids; one that is gone is passed over."""
    _set_each(connection, "last_used_at", times)


def reencrypt(connection: Connection, ciphertexts: Mapping[str, str]) -> None:
    """Put other ciphertexts in the place of those of the keys with these ids."""
    _set_each(connection, "ciphertext", ciphertexts)


def _set_each(connection: Connection, column: str, values: Mapping[str, Any]) -> None:
    for key_id, value in values.items():
        here = tables.provider_keys.c.id == key_id
        connection.execute(update_rows(tables.provider_keys).where(here).values({column: value}))


def _found(connection: Connection, provider_id: str, id: str) -> Row[Any]:
    columns = tables.provider_keys.c
    statement = select(tables.provider_keys).where(columns.id == id, columns.provider_id == provider_id)
    if (row := connection.execute(statement).one_or_none()) is None:
        raise NotFound("There is no such key.", remedy="It may have been removed.")
    return row
