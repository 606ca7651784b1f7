"""Prices: what administrators set, before what vendors publish. A model without one is unpriced, never free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, with_config

from ..providers.prices import Price, Published
from ..store import Store
from ..store import prices as kept
from ..store.prices import SetPrice
from .access import Administrator, Reader
from .bodies import STRICT, Text
from .here import TheStore, here
from .models import TheModels


class Prices:
    """All prices, by the workspace's ids of models.

    Args:
        vendor_of: says of which vendor of the catalogue a provider is.
    """

    def __init__(self, store: Store, vendor_of: Callable[[str], str] = lambda provider_id: provider_id) -> None:
        self._store = store
        self._vendor_of = vendor_of
        self._published = Published()
        self.set: dict[str, SetPrice] = {}
        self._prices: dict[str, Price] = {}
        self._patterns: list[str] = []

    async def load(self) -> None:
        """Read what was set."""
        rows = await self._store.read(kept.all_of)
        self.set = {row.model: row for row in rows}
        self._prices = {row.model: Price.from_dict(row.body) for row in rows}
        # The longest says most about whom it means.
        self._patterns = sorted((model for model in self._prices if any(c in model for c in "*?[")), key=len)[::-1]

    async def warm(self, vendors: Iterable[str]) -> None:
        """Read what is published of these vendors, in a thread; else the first call to one of them waits a second."""
        if self._published.elsewhere & set(vendors):
            await asyncio.to_thread(self._published.load)

    def find(self, model: str, provider_id: str | None = None, at: float | None = None) -> Price | None:
        """The price of a model at a time; None where it is unpriced.

        Args:
            model: its id in the workspace.
            provider_id: whose it is, where that is known.
            at: epoch seconds; by default now.
        """
        at = time.time() if at is None else at
        for name in (model, *(pattern for pattern in self._patterns if fnmatchcase(model, pattern))):
            price = self._prices.get(name)
            if price is not None and (price.valid_from is None or price.valid_from <= _day(at)):
                return price
        provider_id = provider_id or provider_of(model)
        return self._published.find(self._vendor_of(provider_id), model.removeprefix(f"{provider_id}/"), at)

    def context(self, vendor: str, model: str) -> int | None:
        """How many tokens a vendor's model reads, where that is published with its price."""
        return self._published.context(vendor, model)


def provider_of(model: str) -> str:
    """The provider of a model, by the id that the workspace gives it.

    Example:
        >>> provider_of("deepseek/deepseek-chat"), provider_of("echo"), provider_of("smollm2-135m")
        ('deepseek', 'echo', 'embedded')
    """
    provider, slash, _ = model.partition("/")
    return provider if slash or model == "echo" else "embedded"


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()


ThePrices = Annotated[Prices, here("prices")]
# A pattern of models, too: `house/*` is free, say.
Pattern = Annotated[Text, Field(min_length=1, max_length=255)]
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6)]
Hour = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
router = APIRouter(prefix="/api/prices", tags=["money"])


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class GivenRates:
    """Per million tokens; what is None costs as much as the kind it is named for."""

    input: Amount
    output: Amount = Decimal(0)
    cache_read: Amount | None = None
    cache_write: Amount | None = None
    cache_write_1h: Amount | None = None
    reasoning: Amount | None = None
    thinking: Amount | None = None


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class GivenTier(GivenRates):
    above: Annotated[int, Field(ge=0)]


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class GivenHours(GivenRates):
    """From `begin` to `end`, in UTC."""

    begin: Hour
    end: Hour


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class GivenPrice(GivenRates):
    currency: Literal["USD", "CNY"]
    tiers: Annotated[list[GivenTier], Field(max_length=20)] = field(default_factory=list)
    hours: Annotated[list[GivenHours], Field(max_length=24)] = field(default_factory=list)
    valid_from: date | None = None
    source: Annotated[Text, Field(max_length=2000)] = ""

    def body(self) -> dict[str, Any]:
        """As it is kept: amounts as texts, which lose nothing."""
        told: dict[str, Any] = _texts(asdict(self))
        return told


@router.get("")
async def list_prices(person: Reader, models: TheModels, prices: ThePrices) -> dict[str, Any]:
    """What each model costs now, `price` null where it is unpriced; and what an administrator set besides."""
    items = {model.id: to_json(prices, model.id, model.provider) for model in await models.list()}
    items |= {model: to_json(prices, model) for model in prices.set if model not in items}
    return {"items": list(items.values())}


@router.put("/{model:path}")
async def set_price(
    model: Pattern, given: GivenPrice, person: Administrator, store: TheStore, prices: ThePrices
) -> dict[str, Any]:
    """Set what a model, or all of a pattern, costs; it holds for calls that end from now on."""
    given = replace(given, source=given.source or f"set by {person.name}")
    await store.write(kept.put, model, given.body(), person.name)
    await prices.load()
    return to_json(prices, model)


@router.delete("/{model:path}", status_code=204)
async def remove_price(model: Pattern, person: Administrator, store: TheStore, prices: ThePrices) -> None:
    """Take back what was set, so that what is published holds again."""
    await store.write(kept.remove, model)
    await prices.load()


def to_json(prices: Prices, model: str, provider_id: str | None = None) -> dict[str, Any]:
    price, row = prices.find(model, provider_id), prices.set.get(model)
    return {
        "model": model,
        "price": price.to_dict() if price is not None else None,
        "set_by": row.set_by if row is not None else None,
        "updated_at": row.updated_at if row is not None else None,
    }


def _texts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _texts(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return str(value) if isinstance(value, Decimal | date) else value
