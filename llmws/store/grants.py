"""Grants: who besides its owner may use a thing. One table for all nouns, for people and for groups."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, delete, insert, or_, select

from . import tables

Kind = Literal["person", "group"]


@dataclass(frozen=True, slots=True)
class Grant:
    """`noun` and `thing_id` say of what, `kind` and `grantee` to whom.

    Example:
        >>> Grant("models", "seafarer-1", "group", "researchers", 0.0).grantee
        'researchers'
    """

    noun: str
    thing_id: str
    kind: Kind
    grantee: str
    created_at: float


def add(connection: Connection, noun: str, thing_id: str, kind: Kind, grantee: str) -> Grant:
    """Give; what was given before is returned as it is."""
    row = connection.execute(select(tables.grants).where(_is(noun, thing_id, kind, grantee))).one_or_none()
    if row is not None:
        return Grant(**row._mapping)
    grant = Grant(noun, thing_id, kind, grantee, time.time())
    connection.execute(insert(tables.grants).values(asdict(grant)))
    return grant


def remove(connection: Connection, noun: str, thing_id: str, kind: Kind, grantee: str) -> None:
    """Take back; without effect where nothing was given."""
    connection.execute(delete(tables.grants).where(_is(noun, thing_id, kind, grantee)))


def clear(connection: Connection, noun: str, thing_id: str) -> None:
    """Take all back: the thing is gone, and another of its name is not the same."""
    columns = tables.grants.c
    connection.execute(delete(tables.grants).where(columns.noun == noun, columns.thing_id == thing_id))


def clear_below(connection: Connection, noun: str, prefix: str) -> None:
    """Take all back of the things whose ids begin with `prefix`."""
    columns = tables.grants.c
    below = columns.thing_id.startswith(prefix, autoescape=True)
    connection.execute(delete(tables.grants).where(columns.noun == noun, below))


def of(connection: Connection, noun: str, thing_id: str) -> Sequence[Grant]:
    """Every grant of one thing, oldest first."""
    return _sorted(connection, tables.grants.c.noun == noun, tables.grants.c.thing_id == thing_id)


def all_of(connection: Connection, noun: str) -> Sequence[Grant]:
    """Every grant of a noun's things, oldest first."""
    return _sorted(connection, tables.grants.c.noun == noun)


def given_to(noun: str, person: str, groups: Collection[str]) -> ScalarSelect[str]:
    """The ids of a noun's things that `person` or one of their `groups` was given, for a statement about the things.

    Example:
        >>> "grantee IN" in str(given_to("chats", "bob", {"researchers"}))
        True
    """
    columns = tables.grants.c
    mine = and_(columns.kind == "person", columns.grantee == person)
    ours = and_(columns.kind == "group", columns.grantee.in_(sorted(groups)))
    return select(columns.thing_id).where(columns.noun == noun, or_(mine, ours)).scalar_subquery()


def _sorted(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[Grant]:
    columns = tables.grants.c
    statement = select(tables.grants).where(*conditions)
    ordered = statement.order_by(columns.created_at, columns.kind, columns.grantee)
    return [Grant(**row._mapping) for row in connection.execute(ordered)]


def _is(noun: str, thing_id: str, kind: Kind, grantee: str) -> ColumnElement[bool]:
    columns = tables.grants.c
    return and_(columns.noun == noun, columns.thing_id == thing_id, columns.kind == kind, columns.grantee == grantee)
