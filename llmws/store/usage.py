"""What each call to a model used: tokens, seconds, outcome, cost. Rows are only added, never changed.

With them, in the same transaction, goes their sum by the hour, so that a month is told from some hundred rows and
always is what its calls add up to.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Label,
    RowMapping,
    Select,
    case,
    func,
    insert,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite

from . import tables
from .ids import new_id
from .paging import newest

HOUR_S = 3600
# What the sums can be asked by, besides the hour.
KEYS = ("owner", "groups", "provider", "model", "answered_by", "purpose", "currency")
_TOKENS = ("input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens")
_SUMS = ("calls", *_TOKENS, "cost", "unpriced_calls", "estimated_calls")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One call. `outcome` is its finish reason; `cost` is None where the model is unpriced, never 0 for that.

    Args:
        model: what was asked for, by the workspace's id.
        answered_by: who answered, which differs where another stepped in; empty is `model`.
        groups: the person's, when the call was made.
        price: the price that was applied, in a line.
        error: the code of what went wrong.

    Example:
        >>> row = UsageRow("ada", provider="echo", model="echo", purpose="chat", outcome="stop", output_tokens=7)
        >>> row.output_tokens, row.cost, row.answered_by
        (7, None, 'echo')
    """

    owner: str
    provider: str
    model: str
    purpose: str
    outcome: str
    generation_id: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    source: Literal["provider", "estimate"] = "provider"
    first_token_s: float | None = None
    total_s: float | None = None
    cost: Decimal | None = None
    currency: str | None = None
    price: str | None = None
    notebook: str | None = None
    cell: str | None = None
    groups: tuple[str, ...] = ()
    answered_by: str = ""
    error: str | None = None
    id: str = field(default_factory=new_id)
    created_at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if not self.answered_by:
            object.__setattr__(self, "answered_by", self.model)


@dataclass(slots=True)
class Sums:
    """What calls add up to. `cost` is of those with a price, in one currency."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced_calls: int = 0
    estimated_calls: int = 0

    def add(self, other: Sums | RowMapping) -> None:
        for name in _SUMS:
            more = getattr(other, name) if isinstance(other, Sums) else other[name]
            setattr(self, name, getattr(self, name) + more)


def _add_to_hours(dialect: Any) -> Any:
    statement = dialect.insert(tables.usage_hours)
    columns = tables.usage_hours.c
    more = {name: columns[name] + statement.excluded[name] for name in _SUMS}
    return statement.on_conflict_do_update(index_elements=[columns.id], set_=more)


def _added_up(column: Column[Any]) -> ColumnElement[Any]:
    """The sum of a column, in two: SQLite fails where a sum outgrows eight bytes, and nobody could be told anything."""
    value, half = type_coerce(column, BigInteger), literal_column(str(2**31), BigInteger)
    return type_coerce(func.sum(value // half) * half + func.sum(value % half), column.type)


def _added_up_rows() -> Sequence[Label[Any]]:
    """The sums of `Sums` as columns of a query over rows."""
    columns = tables.usage.c
    sums = {
        "calls": func.count(),
        **{name: _added_up(columns[name]) for name in _TOKENS},
        "cost": func.coalesce(_added_up(columns.cost), Decimal(0), type_=columns.cost.type),
        "unpriced_calls": func.sum(case((columns.cost.is_(None), 1), else_=0)),
        "estimated_calls": func.sum(case((columns.source == "estimate", 1), else_=0)),
    }
    return [sums[name].label(name) for name in _SUMS]


_ADDED_UP = _added_up_rows()
_COLUMNS = tuple(f.name for f in fields(UsageRow))
# Made once: making them takes longer than running them for a few rows.
_INSERT = insert(tables.usage)
_ADD = {"sqlite": _add_to_hours(sqlite), "postgresql": _add_to_hours(postgresql)}


def add(connection: Connection, row: UsageRow) -> UsageRow:
    """Record a call that belongs to no generation; `generations.finish` records those that do."""
    add_all(connection, [row])
    return row


def add_all(connection: Connection, rows: Sequence[UsageRow]) -> None:
    """Record many at once: one INSERT, and one more for the hours that they fall into."""
    if not rows:
        return
    connection.execute(_INSERT, [{name: getattr(row, name) for name in _COLUMNS} for row in rows])
    _sum(connection, rows)


def page(
    connection: Connection,
    owner: str | None,
    limit: int = 50,
    cursor: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> tuple[list[UsageRow], str | None]:
    """Calls, newest first, and the cursor of the next page; `owner` None is everyone's."""
    columns = tables.usage.c
    statement = _within(select(tables.usage), since, until)
    if owner is not None:
        statement = statement.where(columns.owner == owner)
    rows, following = newest(connection, statement, columns.created_at, columns.id, limit=limit, cursor=cursor)
    return [UsageRow(**row._mapping) for row in rows], following


def first(connection: Connection, owner: str | None = None) -> float | None:
    """When the first call ended; None where there is none."""
    statement = select(func.min(tables.usage.c.created_at))
    if owner is not None:
        statement = statement.where(tables.usage.c.owner == owner)
    return connection.scalar(statement)


def totals(
    connection: Connection,
    by: Sequence[str],
    since: float | None = None,
    until: float | None = None,
    owner: str | None = None,
) -> dict[tuple[Any, ...], Sums]:
    """What the calls from `since` to before `until` add up to, by names of `KEYS` and ``hour``, without rounding.

    Whole hours come from their sums; what sticks out on either side, from the calls themselves. A currency is empty
    where the calls are unpriced.
    """
    hours, edges = _hours(since, until)
    found: dict[tuple[Any, ...], Sums] = {}
    for row in connection.execute(_sums_of_hours(by, *hours, owner)).mappings() if hours else ():
        found.setdefault(tuple(row[name] for name in by), Sums()).add(row)
    for begin, end in edges:
        for row in connection.execute(_sums_of_rows(by, begin, end, owner)).mappings():
            found.setdefault(tuple(row[name] for name in by), Sums()).add(row)
    return found


def of_chat(connection: Connection, chat_id: str) -> dict[str, Sums]:
    """What the answers of a chat came to, on all its branches, with what was asked about them, by currency (see
    `totals`).
    """
    columns, generations = tables.usage.c, tables.generations.c
    asked = select(generations.id).where(generations.chat_id == chat_id)
    currency = func.coalesce(columns.currency, literal_column("''")).label("currency")
    statement = select(currency, *_ADDED_UP).where(columns.generation_id.in_(asked)).group_by(currency)
    found: dict[str, Sums] = {}
    for row in connection.execute(statement).mappings():
        found.setdefault(row["currency"], Sums()).add(row)
    return found


def _hours(
    since: float | None, until: float | None
) -> tuple[tuple[int | None, int | None] | None, list[tuple[float, float]]]:
    """The whole hours between two times, and what sticks out of them."""
    first = None if since is None else -int(-since // HOUR_S)
    last = None if until is None else int(until // HOUR_S)
    if since is not None and until is not None and first is not None and last is not None and first >= last:
        # Not even one hour, or only the seam between two.
        return None, [(since, until)] if since < until else []
    edges = []
    if since is not None and first is not None and since < first * HOUR_S:
        edges.append((since, float(first * HOUR_S)))
    if until is not None and last is not None and last * HOUR_S < until:
        edges.append((float(last * HOUR_S), until))
    return (first, last), edges


def _sums_of_hours(by: Sequence[str], first: int | None, last: int | None, owner: str | None) -> Select[Any]:
    columns = tables.usage_hours.c
    keys = [columns[name] for name in by]
    statement = select(*keys, *(_added_up(columns[name]).label(name) for name in _SUMS))
    if first is not None:
        statement = statement.where(columns.hour >= first)
    if last is not None:
        statement = statement.where(columns.hour < last)
    if owner is not None:
        statement = statement.where(columns.owner == owner)
    return statement.group_by(*keys) if keys else statement.having(func.count() > 0)


def _sums_of_rows(by: Sequence[str], since: float, until: float, owner: str | None) -> Select[Any]:
    """The same of calls that all fall into one hour, or into two of which the seam lies between `since` and `until`."""
    columns = tables.usage.c
    seam = int(until // HOUR_S)
    # Written out: to a server, two parameters of one value are not the same expression to select and to group by.
    is_before: ColumnElement[bool] = columns.created_at < literal_column(str(seam * HOUR_S))
    hour = case((is_before, literal_column(str(int(since // HOUR_S)))), else_=literal_column(str(seam)))
    currency = func.coalesce(columns.currency, literal_column("''"))
    asked: dict[str, Any] = {**columns, "hour": hour.label("hour"), "currency": currency.label("currency")}
    keys = [asked[name] for name in by]
    statement = _within(select(*keys, *_ADDED_UP), since, until)
    if owner is not None:
        statement = statement.where(columns.owner == owner)
    return statement.group_by(*keys) if keys else statement.having(func.count() > 0)


def _within(statement: Select[Any], since: float | None, until: float | None) -> Select[Any]:
    columns = tables.usage.c
    if since is not None:
        statement = statement.where(columns.created_at >= since)
    return statement if until is None else statement.where(columns.created_at < until)


def _sum(connection: Connection, rows: Iterable[UsageRow]) -> None:
    """Add the rows to the sums of their hours."""
    sums: dict[tuple[Any, ...], Sums] = {}
    for row in rows:
        key = (int(row.created_at // HOUR_S), row.owner, tuple(sorted(row.groups)), row.provider, row.model)
        total = sums.setdefault((*key, row.answered_by, row.purpose, row.currency or ""), Sums())
        total.calls += 1
        for name in _TOKENS:
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.cost += row.cost or 0
        total.unpriced_calls += row.cost is None
        total.estimated_calls += row.source == "estimate"
    names = ("hour", *KEYS)
    found = [
        {"id": _digest(key), **dict(zip(names, key, strict=True)), **{name: getattr(total, name) for name in _SUMS}}
        for key, total in sums.items()
    ]
    # In the order of their ids, so that two who write at once would not wait for each other for ever.
    ordered = sorted(found, key=lambda row: str(row["id"]))
    connection.execute(_ADD[connection.dialect.name], ordered)


def _digest(key: tuple[Any, ...]) -> str:
    return hashlib.blake2b(repr(key).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
