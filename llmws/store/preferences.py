"""What a person wants of the workspace, as far as the service must know it; who never said gets what most want."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from . import tables


@dataclass(frozen=True, slots=True)
class Preferences:
    """`automatic_titles`: whether a model may be asked for the titles of their conversations."""

    automatic_titles: bool = True


def get(connection: Connection, owner: str) -> Preferences:
    table = tables.preferences
    row = connection.execute(select(table.c.automatic_titles).where(table.c.owner == owner)).one_or_none()
    return Preferences() if row is None else Preferences(row.automatic_titles)


def update(connection: Connection, owner: str, **changes: Any) -> Preferences:
    """Change what is given."""
    wanted = {"automatic_titles": get(connection, owner).automatic_titles, **changes}
    connection.execute(delete(tables.preferences).where(tables.preferences.c.owner == owner))
    connection.execute(insert(tables.preferences).values(owner=owner, **wanted))
    return get(connection, owner)
