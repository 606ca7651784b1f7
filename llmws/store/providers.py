"""Providers: accounts at a vendor that people configured. A model's id begins with its provider's.

What opens one is in `provider_keys`; who besides its owner may use it is in `grants`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy import update as update_rows

from ..errors import Conflict, NotFound
from . import capabilities, grants, model_lists, tables

# What providers, and single models of theirs, are called where things of several nouns meet.
NOUN, MODEL_NOUN = "providers", "models"

_CHANGEABLE = frozenset({"name", "base_url", "only", "fallbacks", "enabled"})


@dataclass(frozen=True, slots=True)
class Provider:
    """An account at `vendor` (a row of the catalogue).

    Args:
        creation_id: of the request that made it, by which a repeated one finds it.
        base_url: None where it is the vendor's.
        only: patterns of the models that are offered; empty for all.
        fallbacks: ids of models to ask when this provider cannot answer.
    """

    id: str
    creation_id: str
    owner: str
    name: str
    vendor: str
    base_url: str | None
    only: tuple[str, ...]
    fallbacks: tuple[str, ...]
    enabled: bool
    created_at: float
    updated_at: float


def create(
    connection: Connection,
    owner: str,
    creation_id: str,
    *,
    vendor: str,
    name: str,
    id: str | None = None,
    base_url: str | None = None,
    only: Sequence[str] = (),
    fallbacks: Sequence[str] = (),
    enabled: bool = True,
    taken: Collection[str] = (),
) -> Provider:
    """Add a provider; what the same request made before is returned as it is.

    Args:
        id: `Conflict` where it is another's; by default the vendor's, with a number behind it where needed.
        taken: ids that providers have which are not in the store.
    """
    columns = tables.providers.c
    known = connection.execute(select(tables.providers).where(columns.creation_id == creation_id)).one_or_none()
    if known is not None:
        return _provider(known)
    others = {*connection.scalars(select(columns.id)), *taken}
    if id in others:
        raise Conflict(f"There already is a provider {id!r}.", remedy="Choose another id.")
    chosen = id or free_id(vendor, others)
    now = time.time()
    made = Provider(
        chosen, creation_id, owner, name, vendor, base_url, tuple(only), tuple(fallbacks), enabled, now, now
    )
    connection.execute(insert(tables.providers).values(asdict(made)))
    return made


def get(connection: Connection, owner: str, id: str) -> Provider:
    """The provider, or `NotFound` where `owner` has none of this id."""
    found = anybodys(connection, id)
    if found.owner != owner:
        raise _missing(id)
    return found


def anybodys(connection: Connection, id: str) -> Provider:
    """The provider, whoever owns it."""
    row = connection.execute(select(tables.providers).where(tables.providers.c.id == id)).one_or_none()
    if row is None:
        raise _missing(id)
    return _provider(row)


def all_of_them(connection: Connection) -> Sequence[Provider]:
    """Every owner's, oldest first."""
    columns = tables.providers.c
    statement = select(tables.providers).order_by(columns.created_at, columns.id)
    return [_provider(row) for row in connection.execute(statement)]


def update(connection: Connection, id: str, **changes: Any) -> Provider:
    """Change `name`, `base_url`, `only`, `fallbacks` or `enabled`."""
    if unknown := set(changes) - _CHANGEABLE:
        raise TypeError(f"a provider's {', '.join(sorted(unknown))} cannot be changed")
    values = {**changes, "updated_at": time.time()}
    connection.execute(update_rows(tables.providers).where(tables.providers.c.id == id).values(values))
    return anybodys(connection, id)


def remove(connection: Connection, id: str) -> None:
    """Forget the provider with its keys, its list, what is known of its models, and with whom it was shared."""
    connection.execute(delete(tables.provider_keys).where(tables.provider_keys.c.provider_id == id))
    model_lists.remove(connection, id)
    capabilities.clear(connection, id)
    grants.clear(connection, NOUN, id)
    grants.clear_below(connection, MODEL_NOUN, f"{id}/")
    connection.execute(delete(tables.providers).where(tables.providers.c.id == id))


def free_id(vendor: str, others: Collection[str]) -> str:
    """The vendor's own id, with a number behind it where that is one of `others`."""
    numbered = (f"{vendor}-{number}" for number in count(2))
    return vendor if vendor not in others else next(name for name in numbered if name not in others)


def _missing(id: str) -> NotFound:
    return NotFound(f"There is no provider {id!r}.", remedy="See client.providers.list() for those there are.")


def _provider(row: Row[Any]) -> Provider:
    values = dict(row._mapping)
    return Provider(**{**values, "only": tuple(values["only"]), "fallbacks": tuple(values["fallbacks"])})
