"""Assistants: a model with a system prompt and parameters, under a name, to begin conversations with.

Its owner changes it; whom it was given (see `grants`) uses it. A conversation copies what it was begun with, so that a
change or the end of an assistant changes nothing that was begun.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, or_, select, update
from sqlalchemy import delete as delete_rows

from ..errors import NotFound
from ..messages import Parameters
from . import grants, tables

# What assistants are called where things of several nouns meet.
NOUN = "assistants"

_CHANGEABLE = frozenset({"name", "description", "model", "system", "parameters"})


@dataclass(frozen=True, slots=True)
class Assistant:
    """Who answers, and how, for whoever begins a conversation with it."""

    id: str
    owner: str
    name: str
    description: str
    model: str
    system: str
    parameters: Parameters
    created_at: float
    updated_at: float
    deleted_at: float | None


def create(
    connection: Connection,
    owner: str,
    id: str,
    *,
    name: str,
    model: str,
    description: str = "",
    system: str = "",
    parameters: Parameters | None = None,
) -> Assistant:
    """Make an assistant; where `owner` already has one of this id (the request was repeated), return that one."""
    if (known := _find(connection, _is(owner, id))) is not None:
        return known
    now = time.time()
    made = Assistant(id, owner, name, description, model, system, parameters or Parameters(), now, now, None)
    connection.execute(insert(tables.assistants).values({**asdict(made), "parameters": made.parameters.to_dict()}))
    return made


def get(connection: Connection, owner: str, id: str) -> Assistant:
    """The owner's assistant, or `NotFound` where they have none of this id or deleted it."""
    return _found(_find(connection, _is(owner, id), tables.assistants.c.deleted_at.is_(None)))


def usable(connection: Connection, person: str, groups: Collection[str], id: str) -> Assistant:
    """One that `person` may begin with: their own, or given to them or to a group of theirs; else `NotFound`."""
    return _found(_find(connection, _open_to(person, groups), tables.assistants.c.id == id))


def all_for(connection: Connection, person: str, groups: Collection[str]) -> Sequence[Assistant]:
    """Those that `person` may begin with, by name."""
    columns = tables.assistants.c
    statement = select(tables.assistants).where(_open_to(person, groups)).order_by(columns.name, columns.id)
    return [_assistant(row) for row in connection.execute(statement)]


def change(connection: Connection, owner: str, id: str, **changes: Any) -> Assistant:
    """Change `name`, `description`, `model`, `system` or `parameters`."""
    if unknown := set(changes) - _CHANGEABLE:
        raise TypeError(f"an assistant's {', '.join(sorted(unknown))} cannot be changed")
    get(connection, owner, id)
    if "parameters" in changes:
        changes["parameters"] = changes["parameters"].to_dict()
    _set(connection, id, **changes, updated_at=time.time())
    return get(connection, owner, id)


def delete(connection: Connection, owner: str, id: str) -> None:
    """Put the assistant away, for those whom it was given, too; `restore` brings it back."""
    get(connection, owner, id)
    _set(connection, id, deleted_at=time.time())


def restore(connection: Connection, owner: str, id: str) -> Assistant:
    """Undo `delete`; an assistant that was not deleted stays as it is."""
    _found(_find(connection, _is(owner, id)))
    _set(connection, id, deleted_at=None)
    return get(connection, owner, id)


def erase_deleted(connection: Connection, before: float) -> None:
    """Forget those that were deleted before this time, and with whom they were shared."""
    columns = tables.assistants.c
    for gone in connection.scalars(select(columns.id).where(columns.deleted_at < before)).all():
        grants.clear(connection, NOUN, gone)
        connection.execute(delete_rows(tables.assistants).where(columns.id == gone))


def _is(owner: str, id: str) -> ColumnElement[bool]:
    columns = tables.assistants.c
    return (columns.owner == owner) & (columns.id == id)


def _open_to(person: str, groups: Collection[str]) -> ColumnElement[bool]:
    columns = tables.assistants.c
    mine = or_(columns.owner == person, columns.id.in_(grants.given_to(NOUN, person, groups)))
    return mine & columns.deleted_at.is_(None)


def _find(connection: Connection, *conditions: ColumnElement[bool]) -> Assistant | None:
    row = connection.execute(select(tables.assistants).where(*conditions)).one_or_none()
    return None if row is None else _assistant(row)


def _found(assistant: Assistant | None) -> Assistant:
    if assistant is None:
        raise NotFound(
            "There is no such assistant.", remedy="It may have been deleted, or is not shared with you any more."
        )
    return assistant


def _set(connection: Connection, id: str, **values: Any) -> None:
    connection.execute(update(tables.assistants).where(tables.assistants.c.id == id).values(values))


def _assistant(row: Row[Any]) -> Assistant:
    values = dict(row._mapping)
    return Assistant(**{**values, "parameters": Parameters.from_dict(values["parameters"])})
