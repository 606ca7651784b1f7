"""Exchange rates that an administrator set, each from a day on. Where there is none, nothing is converted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, delete, insert, select

from . import tables


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """From `valid_from` on, one `currency` is `rate` of `into`."""

    currency: str
    into: str
    valid_from: date
    rate: Decimal
    set_by: str = ""
    updated_at: float = 0.0


def put(connection: Connection, rate: ExchangeRate) -> ExchangeRate:
    """Set it; one of the same day gives way."""
    columns = tables.exchange_rates.c
    row = {**asdict(rate), "valid_from": rate.valid_from.isoformat(), "rate": f"{rate.rate:f}"}
    row["updated_at"] = time.time()
    connection.execute(
        delete(tables.exchange_rates).where(
            columns.currency == rate.currency, columns.into == rate.into, columns.valid_from == row["valid_from"]
        )
    )
    connection.execute(insert(tables.exchange_rates).values(row))
    return ExchangeRate(**{**row, "valid_from": rate.valid_from, "rate": rate.rate})


def all_of(connection: Connection) -> Sequence[ExchangeRate]:
    """All of them, newest first."""
    columns = tables.exchange_rates.c
    order = (columns.valid_from.desc(), columns.currency, columns.into)
    rows = connection.execute(select(tables.exchange_rates).order_by(*order)).mappings()
    return [
        ExchangeRate(**{**row, "valid_from": date.fromisoformat(row["valid_from"]), "rate": Decimal(row["rate"])})
        for row in rows
    ]


def convert(rates: Sequence[ExchangeRate], amount: Decimal, currency: str, into: str, day: date) -> Decimal | None:
    """`amount` in another currency, by the rate of that day; None where there is none.

    Example:
        >>> rates = [ExchangeRate("CNY", "USD", date(2026, 1, 1), Decimal("0.14"))]
        >>> convert(rates, Decimal(10), "CNY", "USD", date(2026, 5, 1)), convert(rates, Decimal(7), "USD", "CNY",
        ...         date(2025, 5, 1))
        (Decimal('1.40'), None)
    """
    if currency == into or not amount:
        return amount
    there = [rate for rate in rates if rate.valid_from <= day and {rate.currency, rate.into} == {currency, into}]
    if not there:
        return None
    rate = max(there, key=lambda rate: rate.valid_from)
    return amount * rate.rate if rate.currency == currency else amount / rate.rate
