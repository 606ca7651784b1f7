"""Accounts of people on a hub, the attempts to sign in to them, and the codes that make one.

A row is never deleted once it has a uid: files in a home belong to that number, so it goes to nobody else, and the
name goes to nobody else either. What a password or a name may be, and how many attempts are too many, is decided
above; here lies only what is remembered of them. `key` and `hash` are digests, since what people type into the field
of a name is at times their password.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select
from sqlalchemy import update as update_rows

from ..errors import Conflict, NotFound
from . import tables

State = Literal["waiting", "active", "disabled"]

# Attempts that nobody repeated for so long are forgotten.
FORGET_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Account:
    """A person of the hub. Without `password_hash` they sign in elsewhere; `uid` comes when it is first needed."""

    name: str
    uid: int | None
    password_hash: str | None
    state: State
    created_at: float
    approved_by: str | None
    approved_at: float | None


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts are free, and what one beyond costs: a wait that doubles from `first_s` to `most_s`.

    One attempt is forgiven each `forgive_s`, so that what is counted stands for what happened lately. Where `refuses`
    is false, the wait is only told, and the next attempt is free to come before it is over.
    """

    free: int
    first_s: float
    most_s: float
    forgive_s: float
    refuses: bool = True

    def wait_s(self, attempts: float) -> float:
        """The wait after so many attempts.

        Example:
            >>> limit = Limit(free=5, first_s=1, most_s=60, forgive_s=600)
            >>> [limit.wait_s(attempts) for attempts in (4, 5, 6, 8, 100)]
            [0.0, 1.0, 2.0, 8.0, 60.0]
        """
        beyond = round(attempts) - self.free
        return 0.0 if beyond < 0 else float(min(self.most_s, self.first_s * 2 ** min(beyond, 32)))

    @property
    def full(self) -> float:
        """As many attempts as are counted: a long attack is not held against an address for longer than it hurts."""
        attempts = self.free
        while self.wait_s(attempts) < self.most_s:
            attempts += 1
        return attempts


@dataclass(frozen=True, slots=True)
class Admission:
    """What `attempt` said: come back in `refused_s`; or, where that is 0, go on, and answer after `wait_s`."""

    refused_s: float
    wait_s: float


def request(connection: Connection, name: str, password_hash: str) -> Account:
    """A sign-up, which waits for an administrator; `Conflict` where the name is, or was, somebody's."""
    return _add(connection, name, password_hash, "waiting")


def found(connection: Connection, name: str, password_hash: str) -> Account:
    """An account that is active at once, without anybody's approval: the first administrator's."""
    return _add(connection, name, password_hash, "active", approved_at=time.time())


def find(connection: Connection, name: str) -> Account | None:
    """The account of this name, whatever its state."""
    row = connection.execute(select(tables.accounts).where(tables.accounts.c.name == name)).one_or_none()
    return None if row is None else Account(**row._mapping)


def get(connection: Connection, name: str) -> Account:
    """The account of this name, or `NotFound`."""
    account = find(connection, name)
    if account is None:
        raise NotFound("There is no such account.", remedy="It may have been refused meanwhile.")
    return account


def page(connection: Connection, state: State | None = None) -> Sequence[Account]:
    """All accounts, or those of one state, the longest there first."""
    columns = tables.accounts.c
    statement = select(tables.accounts).order_by(columns.created_at, columns.name)
    if state is not None:
        statement = statement.where(columns.state == state)
    return [Account(**row._mapping) for row in connection.execute(statement)]


def approve(connection: Connection, name: str, by: str) -> Account:
    """Let a waiting account sign in; `Conflict` where it no longer waits."""
    _expect(get(connection, name), "waiting")
    _set(connection, name, state="active", approved_by=by, approved_at=time.time())
    return get(connection, name)


def refuse(connection: Connection, name: str) -> None:
    """Turn down a waiting account, whose name is then free again, unless a uid was handed out with it."""
    account = get(connection, name)
    _expect(account, "waiting")
    if account.uid is None:
        connection.execute(delete(tables.accounts).where(tables.accounts.c.name == name))
    else:
        _set(connection, name, state="disabled")


def disable(connection: Connection, name: str) -> Account:
    """Let the person sign in no more; `enable` takes it back."""
    _expect(get(connection, name), "active", "disabled")
    _set(connection, name, state="disabled")
    return get(connection, name)


def enable(connection: Connection, name: str) -> Account:
    """Undo `disable`; an active account stays as it is, and a waiting one needs its approval (`Conflict`)."""
    _expect(get(connection, name), "active", "disabled")
    _set(connection, name, state="active")
    return get(connection, name)


def set_password_hash(connection: Connection, name: str, password_hash: str) -> None:
    """Put another hash in the place of what is there; `NotFound` where there is no such account."""
    get(connection, name)
    _set(connection, name, password_hash=password_hash)


def uid(connection: Connection, name: str, first: int) -> int:
    """The number that is this person's for ever, from `first` upwards; who is unknown here gets an account for it."""
    account = find(connection, name)
    if account is None:
        account = _add(connection, name, None, "active")
    if account.uid is not None:
        return account.uid
    highest = connection.execute(select(func.max(tables.accounts.c.uid))).scalar()
    number = max(first, (highest or 0) + 1)
    _set(connection, name, uid=number)
    return number


def attempt(connection: Connection, limits: Mapping[str, Limit]) -> Admission:
    """Count an attempt against each key, or refuse it where one of them has to wait.

    It is counted before anybody knows how it ends, so that many at once are no way around; `forgive` takes it back.
    What is refused is not counted: trying on does not prolong the wait.
    """
    now = time.time()
    columns = tables.attempts.c
    rows = {row.key: row for row in connection.execute(select(tables.attempts).where(columns.key.in_(limits)))}
    refusing = {key: limit for key, limit in limits.items() if limit.refuses and key in rows}
    # Never longer than the limit has it, should the clock have been ahead when this was written.
    left = [min(rows[key].blocked_until - now, limit.most_s) for key, limit in refusing.items()]
    if (refused_s := max(left, default=0.0)) > 0:
        return Admission(refused_s, 0.0)
    connection.execute(delete(tables.attempts).where(columns.updated_at < now - FORGET_S))
    wait_s = 0.0
    for key, limit in limits.items():
        count = min(_left(rows.get(key), limit, now) + 1, limit.full)
        if not limit.refuses:
            wait_s = max(wait_s, limit.wait_s(count))
        _count(connection, key, count, now, now + limit.wait_s(count))
    return Admission(0.0, wait_s)


def forgive(connection: Connection, limits: Mapping[str, Limit], forget: Sequence[str] = ()) -> None:
    """Take back one attempt of each key, and all of those in `forget`: it ended well."""
    now = time.time()
    columns = tables.attempts.c
    connection.execute(delete(tables.attempts).where(columns.key.in_(forget)))
    for row in connection.execute(select(tables.attempts).where(columns.key.in_(limits))).all():
        _count(connection, row.key, max(0.0, _left(row, limits[row.key], now) - 1), now, now)


def offer_code(connection: Connection, hash: str, expires_at: float) -> None:
    """Remember the code of this digest, in place of every other."""
    connection.execute(delete(tables.codes))
    connection.execute(insert(tables.codes).values(hash=hash, expires_at=expires_at))


def is_offered(connection: Connection, hash: str) -> bool:
    """Whether the code of this digest may still be used."""
    columns = tables.codes.c
    statement = select(columns.hash).where(columns.hash == hash, columns.expires_at > time.time())
    return connection.execute(statement).first() is not None


def use_code(connection: Connection, hash: str) -> None:
    """Use the code up, or say with `NotFound` that it was, or is too old."""
    if not is_offered(connection, hash):
        raise NotFound("This link has been used, or is too old.", remedy="Start the hub for a new one.")
    connection.execute(delete(tables.codes).where(tables.codes.c.hash == hash))


def _add(connection: Connection, name: str, password_hash: str | None, state: State, **more: Any) -> Account:
    if find(connection, name) is not None:
        raise Conflict("This name cannot be used.", remedy="Choose another one.")
    values = {"name": name, "password_hash": password_hash, "state": state, "created_at": time.time(), **more}
    connection.execute(insert(tables.accounts).values(values))
    return get(connection, name)


def _expect(account: Account, *states: State) -> None:
    if account.state not in states:
        raise Conflict("This account has changed meanwhile.", remedy="Look at the list again.")


def _set(connection: Connection, name: str, **values: Any) -> None:
    connection.execute(update_rows(tables.accounts).where(tables.accounts.c.name == name).values(values))


def _left(row: Any, limit: Limit, now: float) -> float:
    """What is still counted of a key's attempts. A clock that was set back forgives nothing."""
    return 0.0 if row is None else max(0.0, row.failures - max(0.0, now - row.updated_at) / limit.forgive_s)


def _count(connection: Connection, key: str, failures: float, now: float, blocked_until: float) -> None:
    same: ColumnElement[bool] = tables.attempts.c.key == key
    values = {"failures": failures, "updated_at": now, "blocked_until": blocked_until}
    if connection.execute(update_rows(tables.attempts).where(same).values(values)).rowcount == 0:
        connection.execute(insert(tables.attempts).values(key=key, **values))
