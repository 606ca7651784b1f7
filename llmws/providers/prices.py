"""What a model costs: prices as values, and where the published ones come from.

A price is per million tokens, in one currency, and may depend on how long the prompt is, on the hour, and on the kind
of token. Published are those of `prices.toml` (rows of ours, dated, each with its source) and those of the package
`genai-prices`, of which only the data is used: it comes with the package, and nothing here asks the network. What
neither knows has no price; a call that costs an unknown amount is *unpriced*, never free.

Everything is a `Decimal`: floats would make sums depend on their order.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import InvalidRequest
from ..messages import Usage

ROWS = Path(__file__).with_name("prices.toml")
CURRENCIES = ("USD", "CNY")

# Amounts are kept to the millionth of a millionth: a price of six decimals, times a token, is a whole number of these.
SMALLEST = Decimal("1e-12")
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Rates:
    """The cost of a million tokens of each kind; None is the kind that is named for it.

    Args:
        cache_read, cache_write: None is `input`. A write lasts some minutes.
        cache_write_1h: of a write that lasts an hour; None is `cache_write`.
        reasoning: of the tokens that were thought; None is `output`.
        thinking: of all output, thought and said, of an answer that reasoned (DashScope); None is `output`.
    """

    input: Decimal
    output: Decimal = Decimal(0)
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    thinking: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """What `usage` costs, exactly."""
        read, written = usage.cache_read_tokens, usage.cache_write_tokens
        hour = min(usage.cache_write_1h_tokens, written)
        write_rate = self.input if self.cache_write is None else self.cache_write
        output_rate = self.output if self.thinking is None or not usage.reasoning_tokens else self.thinking
        thought = 0 if self.reasoning is None else min(usage.reasoning_tokens, usage.output_tokens)
        # A provider whose counts contradict each other is not to make a cost negative.
        total = max(usage.input_tokens - read - written, 0) * self.input
        total += read * (self.input if self.cache_read is None else self.cache_read)
        total += (written - hour) * write_rate
        total += hour * (write_rate if self.cache_write_1h is None else self.cache_write_1h)
        total += (usage.output_tokens - thought) * output_rate
        if self.reasoning is not None:
            total += thought * self.reasoning
        return (total / _MILLION).quantize(SMALLEST)


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a call whose prompt has more than `above` tokens; they hold for all of its tokens."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Hours:
    """The rates from `begin` to `end` (UTC), every day; past midnight where `end` comes first."""

    begin: time
    end: time
    rates: Rates

    def holds(self, at: float) -> bool:
        now = datetime.fromtimestamp(at, UTC).time()
        if self.end <= self.begin:
            return now >= self.begin or now < self.end
        return self.begin <= now < self.end


@dataclass(frozen=True)
class Price:
    """What a model costs, and who says so.

    Args:
        source: where it stands; `checked`, when it was read there, and `second_hand`, by whom, if not by us.

    Example:
        >>> price = Price("USD", Rates(Decimal(2), Decimal(10), cache_read=Decimal("0.5")), source="a contract")
        >>> price.cost(Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400))
        Decimal('0.002400000000')
        >>> price.told
        'input 2, output 10, cache_read 0.5 USD per million tokens (a contract)'
    """

    currency: str
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    hours: tuple[Hours, ...] = ()
    valid_from: date | None = None
    source: str = ""
    checked: date | None = None
    second_hand: str = ""

    def rates_for(self, input_tokens: int, at: float) -> Rates:
        """The rates of a prompt of that length at that time (epoch seconds); hours go before tiers."""
        for hours in self.hours:
            if hours.holds(at):
                return hours.rates
        return next((tier.rates for tier in reversed(self.tiers) if input_tokens > tier.above), self.rates)

    def cost(self, usage: Usage, at: float = 0.0) -> Decimal:
        """What `usage` costs when the call ended at `at`."""
        return self.rates_for(usage.input_tokens, at).cost(usage)

    @cached_property
    def told(self) -> str:
        """The price in a line, as it is kept with what it was applied to."""
        kinds = ", ".join(f"{name} {plain(rate)}" for name, rate in _given(self.rates).items())
        more = "".join(f", above {tier.above} {plain(tier.rates.input)}" for tier in self.tiers)
        return f"{kinds}{more} {self.currency} per million tokens ({self.source})"

    def to_dict(self) -> dict[str, Any]:
        """The price as JSON-ready data; amounts are numbers, rounded as floats are."""
        told: dict[str, Any] = {"currency": self.currency, **_numbers(self.rates)}
        if self.tiers:
            told["tiers"] = [{"above": tier.above, **_numbers(tier.rates)} for tier in self.tiers]
        if self.hours:
            told["hours"] = [
                {"begin": f"{hours.begin:%H:%M}", "end": f"{hours.end:%H:%M}", **_numbers(hours.rates)}
                for hours in self.hours
            ]
        told["valid_from"] = self.valid_from.isoformat() if self.valid_from else None
        told["checked"] = self.checked.isoformat() if self.checked else None
        return {**told, "source": self.source, "second_hand": self.second_hand}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Price:
        """The price that a row or a request says; what no price can be is an `InvalidRequest`.

        Example:
            >>> Price.from_dict({"currency": "CNY", "input": 0.8, "output": 2}).rates.output
            Decimal('2')
        """
        known = {
            "currency",
            "tiers",
            "hours",
            "valid_from",
            "source",
            "checked",
            "second_hand",
            *(f.name for f in fields(Rates)),
        }
        if unknown := set(value) - known:
            raise InvalidRequest(f"A price has no {', '.join(sorted(unknown))}.", remedy="See docs/usage.md.")
        if (currency := value.get("currency")) not in CURRENCIES:
            raise InvalidRequest(f"The currency {currency!r} is not known.", remedy=f"One of {', '.join(CURRENCIES)}.")
        tiers = sorted((Tier(int(row["above"]), _rates(row, "above")) for row in value.get("tiers", ())), key=_above)
        hours = [
            Hours(_time(row["begin"]), _time(row["end"]), _rates(row, "begin", "end")) for row in value.get("hours", ())
        ]
        base = {name: value[name] for name in value.keys() & {f.name for f in fields(Rates)}}
        return cls(
            currency,
            _rates(base),
            tuple(tiers),
            tuple(hours),
            _date(value.get("valid_from")),
            str(value.get("source", "")),
            _date(value.get("checked")),
            str(value.get("second_hand", "")),
        )


def plain(amount: Decimal) -> str:
    """An amount without needless zeros.

    Example:
        >>> plain(Decimal("0.800")), plain(Decimal(100))
        ('0.8', '100')
    """
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Published:
    """The prices that others have published, by vendor of the catalogue and the vendor's own name for a model.

    Example:
        >>> Published().find("openai", "gpt-4o-mini", at=1760000000.0).rates.input
        Decimal('0.15')
        >>> Published().find("openai", "gpt-nonsense", at=1760000000.0) is None
        True
    """

    def __init__(self, path: Path = ROWS) -> None:
        told = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
        self._elsewhere: Mapping[str, str] = told["genai-prices"]
        self._rows: dict[str, list[tuple[str, Price]]] = {}
        for row in told["row"]:
            price = Price.from_dict({name: value for name, value in row.items() if name not in ("vendors", "models")})
            for vendor in row["vendors"]:
                self._rows.setdefault(vendor, []).extend((pattern, price) for pattern in row["models"])
        self._matched: dict[tuple[str, str], Callable[[float], Price | None]] = {}

    @property
    def vendors(self) -> frozenset[str]:
        """The vendors of which prices are known."""
        return frozenset({*self._rows, *self._elsewhere})

    @property
    def elsewhere(self) -> frozenset[str]:
        """Those of which the package knows them."""
        return frozenset(self._elsewhere)

    def find(self, vendor: str, model: str, at: float) -> Price | None:
        """The price that held at `at`; None where none is known."""
        key = (vendor, model)
        if (price_at := self._matched.get(key)) is None:
            # Names come from requests: what is remembered of them must not grow for ever.
            if len(self._matched) >= _MOST_REMEMBERED:
                self._matched.clear()
            price_at = self._matched[key] = self._match(vendor, model)
        return price_at(at)

    def context(self, vendor: str, model: str) -> int | None:
        """How many tokens a model reads, as the package knows it; None where it does not."""
        if vendor not in self._elsewhere:
            return None
        providers = _providers()
        found = providers[self._elsewhere[vendor]].find_model(model, all_providers=list(providers.values()))
        return found.context_window if found is not None else None

    def load(self) -> None:
        """Read what takes a second to read; else the first who asks for such a price waits for it."""
        _providers()

    def _match(self, vendor: str, model: str) -> Callable[[float], Price | None]:
        rows = [price for pattern, price in self._rows.get(vendor, ()) if fnmatchcase(model, pattern)]
        if rows:
            return lambda at: _latest(rows, at)
        if vendor in self._elsewhere:
            return _genai(self._elsewhere[vendor], model)
        return lambda at: None


_MOST_REMEMBERED = 10_000
_providers_by_id: dict[str, Any] = {}


def _latest(rows: Sequence[Price], at: float) -> Price | None:
    """The row that began last before `at`; one without a date has always held."""
    today = datetime.fromtimestamp(at, UTC).date()
    begun = [row for row in rows if row.valid_from is None or row.valid_from <= today]
    return max(begun, key=lambda row: row.valid_from or date.min, default=None)


def _providers() -> dict[str, Any]:
    if not _providers_by_id:
        # A second and 70 MB, which only a service pays, and only once it asks.
        from genai_prices.data import providers

        _providers_by_id.update({provider.id: provider for provider in providers})
    return _providers_by_id


def _genai(provider: str, model: str) -> Callable[[float], Price | None]:
    """What `genai-prices` knows of a model, as prices of ours."""
    providers = _providers()
    found = providers[provider].find_model(model, all_providers=list(providers.values()))
    if found is None:
        return lambda at: None
    converted: dict[int, Price | None] = {}

    def price(at: float) -> Price | None:
        # It keeps dates and hours itself, and answers with one of the few objects that it holds.
        told = found.get_prices(datetime.fromtimestamp(at, UTC))
        if id(told) not in converted:
            converted[id(told)] = _converted(told)
        return converted[id(told)]

    return price


def _converted(told: Any) -> Price | None:
    names = {
        "input": "input_mtok",
        "output": "output_mtok",
        "cache_read": "cache_read_mtok",
        "cache_write": "cache_write_mtok",
        "cache_write_1h": "cache_write_1h_mtok",
        "reasoning": "output_reasoning_mtok",
    }
    by_kind = {name: rate for name, key in names.items() if (rate := getattr(told, key, None)) is not None}
    if "input" not in by_kind:
        return None
    starts = sorted({tier.start for rate in by_kind.values() for tier in getattr(rate, "tiers", ())})

    def above(rate: Any, tokens: int) -> Decimal:
        if isinstance(rate, Decimal):
            return rate
        return next((tier.price for tier in reversed(rate.tiers) if tier.start <= tokens), rate.base)

    def rates(tokens: int) -> Rates:
        return Rates(**{name: above(rate, tokens) for name, rate in by_kind.items()})

    return Price(
        "USD",
        rates(-1),
        tuple(Tier(start, rates(start)) for start in starts),
        source=f"genai-prices {version('genai-prices')}",
    )


def _above(tier: Tier) -> int:
    return tier.above


def _given(rates: Rates) -> dict[str, Decimal]:
    told = {f.name: getattr(rates, f.name) for f in fields(Rates)}
    return {name: rate for name, rate in told.items() if rate is not None}


def _numbers(rates: Rates) -> dict[str, float]:
    return {name: float(rate) for name, rate in _given(rates).items()}


def _rates(row: Mapping[str, Any], *besides: str) -> Rates:
    given = {name: _amount(name, amount) for name, amount in row.items() if name not in besides and amount is not None}
    try:
        return Rates(**given)
    except TypeError:
        raise InvalidRequest("These rates are not whole.", remedy="Give at least `input` and `output`.") from None


def _amount(name: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise InvalidRequest(f"The price {name} is {value!r}.", remedy="Give an amount per million tokens, 0 or more.")
    return amount


def _time(value: Any) -> time:
    try:
        return value if isinstance(value, time) else time.fromisoformat(str(value))
    except ValueError:
        raise InvalidRequest(f"{value!r} is no hour of the day.", remedy="Write it as 16:30, in UTC.") from None


def _date(value: Any) -> date | None:
    try:
        return value if value is None or isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise InvalidRequest(f"{value!r} is no date.", remedy="Write it as 2026-11-26.") from None
