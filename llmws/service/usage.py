"""What was used: sums by whatever one asks by, and the calls themselves. People see their own; administrators all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection

from ..errors import InvalidRequest
from ..store import exchange_rates as kept_rates
from ..store import usage as kept
from ..store.exchange_rates import ExchangeRate, convert
from ..store.usage import HOUR_S, Sums, UsageRow
from . import allowances
from .access import Reader, Rule
from .chats import Limit
from .exchange_rates import Currency
from .here import TheStore

By = Literal["model", "answered_by", "provider", "purpose", "person", "group", "day", "hour"]
# What the store calls what people ask by.
_KEYS = {"person": "owner", "group": "groups", "day": "hour"}
_TOKENS = ("input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens")
_MOST_DAYS = 3660

router = APIRouter(prefix="/api/usage", tags=["money"])


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose calls, from when until when (epoch seconds); `owner` None is everyone's."""

    owner: str | None
    since: float | None
    until: float | None


async def _asked(
    request: Request,
    person: Reader,
    since: datetime | None = None,
    until: datetime | None = None,
    everyone: bool = False,
) -> Asked:
    if everyone:
        # Asked anew, as by every route for administrators.
        person = await Rule("administer")(request)
    return Asked(None if everyone else person.name, _epoch(since), _epoch(until))


def _epoch(at: datetime | None) -> float | None:
    try:
        return None if at is None else at.timestamp()
    except (OverflowError, ValueError, OSError):
        raise InvalidRequest(f"{at} is too far away.", remedy="Choose a time since 1970.") from None


TheAsked = Annotated[Asked, Depends(_asked)]


@dataclass(slots=True)
class Item:
    """The sums of one value, by currency; an empty one is of what is unpriced."""

    by_currency: dict[str, Sums] = field(default_factory=dict)
    total: Decimal | None = Decimal(0)

    def add(self, currency: str, sums: Sums, converted: Decimal | None) -> None:
        self.by_currency.setdefault(currency, Sums()).add(sums)
        self.total = None if self.total is None or converted is None else self.total + converted

    def to_json(self) -> dict[str, Any]:
        every = Sums()
        for sums in self.by_currency.values():
            every.add(sums)
        return {
            "calls": every.calls,
            **{name: getattr(every, name) for name in _TOKENS},
            "costs": {currency: float(sums.cost) for currency, sums in sorted(self.by_currency.items()) if currency},
            "unpriced_calls": every.unpriced_calls,
            "estimated_calls": every.estimated_calls,
        }


@router.get("")
async def show(store: TheStore, asked: TheAsked, by: By = "model", currency: Currency | None = None) -> dict[str, Any]:
    """Sums of calls, tokens and costs, each currency on its own, of calls that ended from `since` to before `until`.

    With `currency` each item has a `total` in it too, converted by the rate of the day where administrators set one;
    null where a cost cannot be.
    """
    items = await store.read(_items, asked, by, currency)
    told = []
    for value, item in _ordered(items, by):
        told.append({by: value, **item.to_json()})
        if currency is not None:
            told[-1]["total"] = None if item.total is None else float(item.total)
    return {"items": told, "currency": currency}


@router.get("/calls")
async def list_calls(
    store: TheStore, asked: TheAsked, limit: Limit = 50, cursor: Annotated[str | None, Query(max_length=500)] = None
) -> dict[str, Any]:
    """The calls themselves, newest first."""
    rows, following = await store.read(kept.page, asked.owner, limit, cursor, asked.since, asked.until)
    return {"items": [to_json(row) for row in rows], "next_cursor": following}


def to_json(row: UsageRow) -> dict[str, Any]:
    return {**asdict(row), "groups": list(row.groups), "cost": None if row.cost is None else float(row.cost)}


def _items(connection: Connection, asked: Asked, by: By, currency: str | None) -> dict[Any, Item]:
    rates = kept_rates.all_of(connection) if currency is not None else ()
    key = _KEYS.get(by, by)
    found: dict[Any, Item] = {}
    # By the day where that decides the rate, or is what is asked: its ends need not lie between two hours.
    for day, since, until in _days(connection, asked) if by == "day" or rates else [(None, asked.since, asked.until)]:
        names = (key, "currency") if by != "day" else ("currency",)
        for keys, sums in kept.totals(connection, names, since, until, asked.owner).items():
            for value in [day] if by == "day" else _values(by, keys[0]):
                item = found.setdefault(value, Item())
                item.add(keys[-1], sums, _converted(rates, sums, keys[-1], currency, since))
    return found


def _converted(
    rates: Sequence[ExchangeRate], sums: Sums, currency: str, into: str | None, at: float | None
) -> Decimal | None:
    if into is None or currency in ("", into):
        return sums.cost
    return convert(rates, sums.cost, currency, into, datetime.fromtimestamp(at or 0.0).date())


def _values(by: By, value: Any) -> Iterable[Any]:
    """What a key of the store counts for: a call of somebody in two groups counts for both."""
    if by == "group":
        return value or [""]
    return [allowances.iso(value * HOUR_S)] if by == "hour" else [value]


def _days(connection: Connection, asked: Asked) -> Iterator[tuple[str, float, float]]:
    """The days of the service's time zone that are asked for, as ISO, each with its begin and end."""
    since, until = asked.since, min(asked.until or time.time() + 1, time.time() + 1)
    begun = kept.first(connection, asked.owner)
    if begun is None:
        return
    begin = max(since or 0.0, begun)
    if (until - begin) / 86_400 > _MOST_DAYS:
        raise InvalidRequest("That are more than ten years.", remedy="Ask for less.")
    while begin < until:
        end = min(allowances.end_of("day", begin), until)
        yield datetime.fromtimestamp(begin).date().isoformat(), begin, end
        begin = end


def _ordered(items: Mapping[Any, Item], by: By) -> list[tuple[Any, Item]]:
    """Days and hours as they come, everything else by what was called most."""
    if by in ("day", "hour"):
        return sorted(items.items(), key=lambda one: str(one[0]))
    return sorted(items.items(), key=lambda one: (-sum(s.calls for s in one[1].by_currency.values()), str(one[0])))
