"""Exchange rates, as administrators set them, each from a day on. Where there is none, nothing is converted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, with_config

from ..errors import InvalidRequest
from ..store import exchange_rates as kept
from ..store.exchange_rates import ExchangeRate
from .access import Administrator, Reader
from .bodies import STRICT
from .here import TheStore
from .ledger import TheLedger

Currency = Literal["USD", "CNY"]
router = APIRouter(prefix="/api/exchange-rates", tags=["money"])


@with_config(STRICT)
@dataclass(frozen=True)
class GivenRate:
    """From `valid_from` on, one `currency` is `rate` of `into`."""

    currency: Currency
    into: Currency
    rate: Annotated[Decimal, Field(gt=0, le=1_000_000, max_digits=18, decimal_places=12)]
    valid_from: date


@router.get("")
async def list_rates(person: Reader, store: TheStore) -> dict[str, Any]:
    """The rates that were set, newest first."""
    return {"items": [to_json(rate) for rate in await store.read(kept.all_of)]}


@router.put("")
async def set_rate(given: GivenRate, person: Administrator, store: TheStore, ledger: TheLedger) -> dict[str, Any]:
    """Set the rate from a day on; one of the same day gives way."""
    if given.currency == given.into:
        raise InvalidRequest("A currency has no rate to itself.", remedy="Name two different ones.")
    rate = ExchangeRate(given.currency, given.into, given.valid_from, given.rate, person.name)
    rate = await store.write(kept.put, rate)
    await ledger.limits.load()
    return to_json(rate)


def to_json(rate: ExchangeRate) -> dict[str, Any]:
    return {**asdict(rate), "valid_from": rate.valid_from.isoformat(), "rate": float(rate.rate)}
