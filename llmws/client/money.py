"""What was used, paid and limited, as tables with plain column names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from .listings import table

if TYPE_CHECKING:
    import pandas

Time = float | str | date | datetime | None

_SUMS = ["calls", "input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens"]
_CURRENCIES = ["USD", "CNY"]
_USAGE = [*_SUMS, *_CURRENCIES, "unpriced_calls", "estimated_calls"]
_LIMITS = ["kind", "name", "subject", "model", "unit", "period", "soft", "hard", "used", "held", "remaining"]
_LIMITS += ["resets_at", "forbid_unpriced", "id"]
_PRICE = ["currency", "input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning", "thinking"]
_PRICE += ["tiers", "hours", "valid_from", "source", "checked", "second_hand"]


def moment(at: Time) -> float | str | None:
    """A time as the service takes it; what is without a time zone is meant in the service's.

    Example:
        >>> moment(date(2026, 11, 1)), moment(1.5), moment(None)
        ('2026-11-01', 1.5, None)
    """
    return at.isoformat() if isinstance(at, date) else at


def usage_table(items: Sequence[Mapping[str, Any]], by: str) -> pandas.DataFrame:
    """The rows of GET /api/usage; costs are 0 where nothing was paid in that currency."""
    rows = [{**item, **{currency: item["costs"].get(currency, 0.0) for currency in _CURRENCIES}} for item in items]
    return table(rows, [by, *_USAGE])


def limits_table(items: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """The rows of GET /api/limits."""
    import pandas  # which `table` has loaded anyhow

    frame = table(items, _LIMITS)
    frame["resets_at"] = pandas.to_datetime(frame["resets_at"], utc=True)
    return frame


def prices_table(items: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """The rows of GET /api/prices."""
    rows = [{"model": item["model"], **(item["price"] or {}), "set_by": item["set_by"]} for item in items]
    return table(rows, ["model", *_PRICE, "set_by"])
