"""Limits: budgets, rates and parallel calls, as administrators set them and as they bind who calls.

All that is needed to judge a call is in memory: the limits, and what was used this month by day, read when the service
starts and added to with every call that ends. So a limit that is set in mid-month counts what was used before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, with_config
from sqlalchemy import Connection

from ..errors import InvalidRequest
from ..messages import StreamEvent
from ..store import Store
from ..store import exchange_rates as kept_rates
from ..store import limits as kept
from ..store import usage as kept_usage
from ..store.exchange_rates import ExchangeRate, convert
from ..store.limits import Kind, Limit, Period, Unit
from ..store.usage import Sums
from . import allowances
from .access import Administrator, Reader, may
from .allowances import Allowance, Calendar, Demand, Minute, Number
from .bodies import STRICT, Name, Text
from .here import CreatedId, TheStore, here
from .identity import Person
from .metering import Hold, Receipt

_BY = ("owner", "groups", "model", "answered_by", "currency")
# Names come from requests; what is remembered of them must not grow for ever.
_MOST_REMEMBERED = 10_000
ONE, SOME = Demand(1, 1), Demand(0, 1)


class Limits:
    """The limits, what counts against them, and the calls that run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rates: Sequence[ExchangeRate] = ()
        self._spent: dict[date, dict[tuple[Any, ...], Sums]] = {}
        self._running: set[Hold] = set()
        self._allowances: dict[tuple[str, str], Allowance] = {}
        self._binding: dict[tuple[str, frozenset[str], str], tuple[Allowance, ...]] = {}
        self.all: Sequence[Limit] = ()

    async def start(self) -> None:
        """Read what was used this month, and the limits."""
        self._spent = await self._store.read(_spent_since, allowances.begin_of("month", time.time()))
        await self.load()

    async def load(self) -> None:
        """Read limits and exchange rates; what was counted and is held stays."""
        limits, self._rates = await self._store.read(lambda c: (kept.all_of(c), kept_rates.all_of(c)))
        minutes = {key: one for key, one in self._allowances.items() if isinstance(one.tally, Minute)}
        self.all, self._allowances, self._binding = limits, {}, {}
        for limit in limits:
            for key, old in minutes.items():
                if key[0] == limit.id and (old.limit.unit, old.limit.model) == (limit.unit, limit.model):
                    self._allowances[key] = Allowance(limit, key[1], old.tally)
        now = time.time()
        for hold in self._running:
            bound = self.binding(hold.call.person, hold.call.model)
            hold.taken = self._taken([one for one in bound if not one.counts_beginnings], hold, now)

    def binding(self, person: Person, model: str) -> tuple[Allowance, ...]:
        """What binds `person` when `model` is asked."""
        key = (person.name, person.groups, model)
        if (found := self._binding.get(key)) is None:
            if len(self._binding) >= _MOST_REMEMBERED:
                self._binding.clear()
            found = self._binding[key] = tuple(
                self.allowance(limit, subject)
                for limit in self.all
                if fnmatchcase(model, limit.model)
                for subject in subjects(limit, person)
            )
        return found

    def reserve(self, hold: Hold, at: float) -> None:
        """Take what the call may use, or raise the `LimitReached` that says why there is not enough."""
        bound = self.binding(hold.call.person, hold.call.model)
        for allowance in bound:
            allowance.check(self._demand(allowance, hold, at), at)
        hold.taken = self._taken(bound, hold, at)
        self._running.add(hold)
        if told := [text for allowance in bound if (text := allowance.warning(at))]:
            hold.warnings = tuple(StreamEvent("warning", text=text, data={"code": "soft_limit"}) for text in told)

    def check(self, bound: Iterable[Allowance], at: float) -> None:
        """Raise the `LimitReached` of the first that has nothing left."""
        for allowance in bound:
            counts = allowance.limit.unit in ("requests", "parallel")
            allowance.check(ONE if counts else SOME, at)

    def settle(self, hold: Hold, receipt: Receipt) -> None:
        """Give back what the call held, and count what it used, of who was asked and of who answered."""
        person, usage, bill = receipt.call.person, receipt.usage, receipt.bill
        sums = Sums(1, usage.input_tokens, usage.output_tokens, cost=bill.cost or Decimal(0))
        self._running.discard(hold)
        taken = dict(hold.taken)
        bound = self.binding(person, receipt.call.model)
        stepped_in = [one for one in self.binding(person, receipt.answered_by) if one not in bound]
        for allowance in stepped_in:
            if allowance.counts_beginnings:
                allowance.take(ONE, receipt.at)
        for allowance in (*bound, *stepped_in):
            used = allowances.used_of(
                allowance.limit, sums, self._in(allowance.limit, sums.cost, bill.currency or "", receipt.at)
            )
            allowance.settle(taken.get(allowance, 0), used, receipt.at)
        # Last: an allowance that is only made by `binding` above counts from what was spent before.
        self._spend(receipt, sums)

    def allowance(self, limit: Limit, subject: str) -> Allowance:
        """One limit as it binds one subject, with what was used already."""
        if (found := self._allowances.get((limit.id, subject))) is None:
            tally = self._tally(limit, subject, time.time())
            found = self._allowances[limit.id, subject] = Allowance(limit, subject, tally)
        return found

    def _taken(self, bound: Iterable[Allowance], hold: Hold, at: float) -> tuple[tuple[Allowance, Number], ...]:
        return tuple((one, one.take(self._demand(one, hold, at), at)) for one in bound)

    def _demand(self, allowance: Allowance, hold: Hold, at: float) -> Demand:
        match allowance.limit.unit:
            case "requests" | "parallel":
                return ONE
            case "tokens":
                return hold.tokens
        least, most = (self._in(allowance.limit, cost, hold.currency, at) for cost in (hold.cost.least, hold.cost.most))
        return Demand(least, most)

    def _in(self, limit: Limit, cost: Number, currency: str, at: float) -> Decimal:
        """A cost in a limit's currency; what cannot be converted does not count."""
        if currency == limit.unit:
            return Decimal(cost)
        if not cost or limit.unit not in ("USD", "CNY"):
            return Decimal(0)
        day = datetime.fromtimestamp(at).date()
        return convert(self._rates, Decimal(cost), currency, limit.unit, day) or Decimal(0)

    def _spend(self, receipt: Receipt, sums: Sums) -> None:
        today = datetime.fromtimestamp(receipt.at).date()
        if today not in self._spent:
            self._spent = {day: spent for day, spent in self._spent.items() if day >= today.replace(day=1)}
        person, call = receipt.call.person, receipt.call
        groups = tuple(sorted(person.groups))
        key = (person.name, groups, call.model, receipt.answered_by, receipt.bill.currency or "")
        self._spent.setdefault(today, {}).setdefault(key, Sums()).add(sums)

    def _tally(self, limit: Limit, subject: str, at: float) -> Minute | Calendar | None:
        if limit.period is None:
            return None
        if limit.period == "minute":
            return Minute()
        first = datetime.fromtimestamp(allowances.begin_of(limit.period, at)).date()
        used: Number = 0
        for day, spent in self._spent.items():
            for (owner, groups, model, answered_by, currency), sums in spent.items() if day >= first else ():
                counted = {"person": subject == owner, "group": subject in groups, "everyone": True}[limit.kind]
                if counted and (fnmatchcase(model, limit.model) or fnmatchcase(answered_by, limit.model)):
                    noon = datetime(day.year, day.month, day.day, 12).timestamp()
                    used += allowances.used_of(limit, sums, self._in(limit, sums.cost, currency, noon))
        return Calendar(limit.period, at, used)


def subjects(limit: Limit, person: Person) -> Iterator[str]:
    """As whom a limit binds a person.

    Example:
        >>> ada = Person("ada", groups=frozenset({"researchers"}))
        >>> [list(subjects(Limit("1", kind, name, "*", "USD", "day"), ada))
        ...  for kind, name in (("person", "*"), ("person", "eve"), ("group", "researchers"), ("everyone", ""))]
        [['ada'], [], ['researchers'], ['']]
    """
    match limit.kind:
        case "person":
            yield from [person.name] if limit.name in ("*", person.name) else []
        case "group":
            yield from (group for group in sorted(person.groups) if limit.name in ("*", group))
        case "everyone":
            yield ""


def _spent_since(connection: Connection, begin: float) -> dict[date, dict[tuple[Any, ...], Sums]]:
    """What was used, by the days of the service's time zone."""
    found: dict[date, dict[tuple[Any, ...], Sums]] = {}
    while begin < time.time():
        end = allowances.end_of("day", begin)
        if spent := kept_usage.totals(connection, _BY, begin, end):
            found[datetime.fromtimestamp(begin).date()] = spent
        begin = end
    return found


Bound = Annotated[float, Field(ge=0, le=1e15)]
TheLimits = Annotated[Limits, here("limits")]
router = APIRouter(prefix="/api/limits", tags=["money"])


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class NewLimit:
    """Who is bound (`name` ``*`` is each person or group on their own), of which models, and by how much."""

    kind: Kind
    name: Annotated[Text, Field(max_length=255)] = ""
    model: Name = "*"
    unit: Unit
    period: Period | None = None
    soft: Bound | None = None
    hard: Bound | None = None
    forbid_unpriced: bool = False


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is left out stays; null takes a bound away."""

    soft: Bound | None = None
    hard: Bound | None = None
    forbid_unpriced: bool = False


@router.get("")
async def list_limits(person: Reader, limits: TheLimits, mine: bool = False) -> dict[str, Any]:
    """The limits that bind who asks, with what is left of them; for an administrator all, unless `mine` is asked."""
    told = _all if may(person, "administer") and not mine else _mine
    return {"items": list(told(limits, person))}


@router.post("", status_code=201)
async def create_limit(
    new: NewLimit, id: CreatedId, person: Administrator, store: TheStore, limits: TheLimits
) -> dict[str, Any]:
    """Set a limit; what was used in its period before counts."""
    limit = await store.write(kept.create, _checked(Limit(id, **asdict(new))))
    await limits.load()
    return to_json(limit)


@router.patch("/{id}")
async def change_limit(
    id: str, changes: Changes, request: Request, person: Administrator, store: TheStore, limits: TheLimits
) -> dict[str, Any]:
    """Change how much it allows."""
    said = await request.json()
    values = {name: value for name, value in asdict(changes).items() if name in said}

    def change(connection: Connection) -> Limit:
        return _checked(kept.change(connection, id, **values))

    limit = await store.write(change)
    await limits.load()
    return to_json(limit)


@router.delete("/{id}", status_code=204)
async def remove_limit(id: str, person: Administrator, store: TheStore, limits: TheLimits) -> None:
    """Lift a limit."""
    await store.write(kept.remove, id)
    await limits.load()


def to_json(limit: Limit, allowance: Allowance | None = None, at: float = 0.0) -> dict[str, Any]:
    told = {**asdict(limit), "used": None, "held": None, "remaining": None, "resets_at": None}
    if allowance is None:
        return told
    remaining, resets_at = allowance.remaining(at), allowance.resets_at(at)
    return {
        **told,
        "used": float(allowance.used(at)),
        "held": float(allowance.held),
        "remaining": None if remaining is None else max(float(remaining), 0.0),
        "resets_at": None if resets_at is None else allowances.iso(resets_at),
    }


def _mine(limits: Limits, person: Person) -> Iterable[dict[str, Any]]:
    now = time.time()
    for limit in limits.all:
        for subject in subjects(limit, person):
            yield {**to_json(limit, limits.allowance(limit, subject), now), "subject": subject}


def _all(limits: Limits, person: Person) -> Iterable[dict[str, Any]]:
    now = time.time()
    for limit in limits.all:
        # Of a limit that binds each on their own there is no one figure; who asks sees their own, if there is one.
        subject = next(iter(subjects(limit, person)), None) if limit.name == "*" else limit.name
        shown = limits.allowance(limit, subject) if subject is not None else None
        yield {**to_json(limit, shown, now), "subject": subject}


def _checked(limit: Limit) -> Limit:
    """The limit, or the `InvalidRequest` that says why it cannot be."""
    if (limit.kind == "everyone") == bool(limit.name):
        raise InvalidRequest(
            f"A limit of the kind {limit.kind} has {'no' if limit.name else 'a'} name.",
            remedy="Name a person or a group, or * for each of them; everyone has none.",
        )
    if (limit.unit == "parallel") == (limit.period is not None):
        raise InvalidRequest(
            f"A limit of {limit.unit} has {'no' if limit.period else 'a'} period.",
            remedy="Give minute, day or month, except for parallel calls.",
        )
    if limit.unit not in ("USD", "CNY") and any(bound is not None and bound % 1 for bound in (limit.soft, limit.hard)):
        raise InvalidRequest(f"There is no part of {limit.unit}.", remedy="Give whole numbers.")
    if limit.soft is None and limit.hard is None and not limit.forbid_unpriced:
        raise InvalidRequest("This limit would not limit anything.", remedy="Give soft, hard or forbid_unpriced.")
    if limit.soft is not None and limit.hard is not None and limit.soft > limit.hard:
        raise InvalidRequest("The soft limit lies above the hard one.", remedy="Warn before you refuse.")
    return limit
