"""Prices, exchange rates and limits as administrators set them, on every database."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from llmws.errors import NotFound
from llmws.store import Store, exchange_rates, limits, new_id, prices
from llmws.store.exchange_rates import ExchangeRate, convert
from llmws.store.limits import Limit


async def test_a_price_gives_way_to_the_next_and_can_be_taken_back(store: Store) -> None:
    await store.write(prices.put, "p/m", {"currency": "USD", "input": "0.1"}, "root")
    await store.write(prices.put, "p/m", {"currency": "CNY", "input": "0.2"}, "grace")
    [kept] = await store.read(prices.all_of)
    assert (kept.model, kept.body, kept.set_by) == ("p/m", {"currency": "CNY", "input": "0.2"}, "grace")
    await store.write(prices.remove, "p/m")
    assert await store.read(prices.all_of) == []
    with pytest.raises(NotFound):
        await store.write(prices.remove, "p/m")


async def test_rates_are_exact_and_the_day_decides(store: Store) -> None:
    told = [("2026-01-01", "0.1399999999999"), ("2026-06-01", "0.15"), ("2026-06-01", "0.16")]
    for day, rate in told:
        await store.write(
            exchange_rates.put, ExchangeRate("CNY", "USD", date.fromisoformat(day), Decimal(rate), "root")
        )
    kept = await store.read(exchange_rates.all_of)
    assert [(rate.valid_from, rate.rate) for rate in kept] == [
        (date(2026, 6, 1), Decimal("0.16")),
        (date(2026, 1, 1), Decimal("0.1399999999999")),
    ]
    days = [date(2025, 12, 31), date(2026, 5, 31), date(2026, 6, 1)]
    found = [convert(kept, Decimal(10), "CNY", "USD", day) for day in days]
    assert found == [None, Decimal("1.399999999999"), Decimal("1.60")]
    assert convert(kept, Decimal("1.6"), "USD", "CNY", days[2]) == 10
    assert convert((), Decimal(0), "CNY", "USD", days[0]) == 0


async def test_a_limit_is_kept_changed_and_lifted(store: Store) -> None:
    limit = Limit(new_id(), "person", "*", "openai/*", "USD", "month", soft=4.0, hard=5.0)
    made = await store.write(limits.create, limit)
    assert await store.write(limits.create, limit) == made, "a repeated request finds it"
    assert await store.read(limits.all_of) == [made]
    changed = await store.write(limits.change, limit.id, soft=None, forbid_unpriced=True)
    assert (changed.soft, changed.hard, changed.forbid_unpriced) == (None, 5.0, True)
    await store.write(limits.remove, limit.id)
    for write in (limits.remove, limits.change):
        with pytest.raises(NotFound):
            await store.write(write, limit.id)
