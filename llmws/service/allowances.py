"""Counting against limits: what was used in the present minute, day or month, and what running calls hold of the rest.

Nothing here waits or asks anybody, and all of it runs on one event loop, so a check and what it takes are one step:
calls that come at the same time cannot both take the last of something. It is not the package `limits`, which knows
nothing that is held first and settled later with another amount, and no calendar month; its moving window keeps an
entry for each of 4,000 tokens (measured: 900 µs a call), where all of a call costs 20 to 30 here.

Days and months are those of the service's time zone; a minute is the last sixty seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ..errors import LimitReached
from ..store.limits import Limit, Period
from ..store.usage import Sums

MINUTE_S = 60.0
# What came within one of these is remembered as one: a minute of it is 600 numbers, however busy.
SLOT_S = 0.1
# A limit that is passed softly is told of once in this time, not with every call.
WARN_EVERY_S = 3600.0

Number = int | Decimal


def begin_of(period: Period, at: float) -> float:
    """When the day or month began that `at` lies in."""
    midnight = datetime.fromtimestamp(at).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.replace(day=1) if period == "month" else midnight).timestamp()


def end_of(period: Period, at: float) -> float:
    """When the next one begins."""
    midnight = datetime.fromtimestamp(begin_of(period, at))
    return (midnight + timedelta(days=1) if period == "day" else _next_month(midnight)).timestamp()


def iso(at: float) -> str:
    """A time as ISO 8601, in the service's time zone."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def _next_month(day: datetime) -> datetime:
    return (day + timedelta(days=32)).replace(day=1)


class Minute:
    """What was used in the last sixty seconds."""

    def __init__(self) -> None:
        self._slots: deque[list[Any]] = deque()
        self._sum: Number = 0

    def add(self, amount: Number, at: float) -> None:
        self._sum += amount
        if self._slots and at - self._slots[-1][0] < SLOT_S:
            self._slots[-1][1] += amount
        else:
            self._slots.append([at, amount])

    def used(self, at: float) -> Number:
        # The youngest of a slot decides when it is forgotten.
        while self._slots and self._slots[0][0] + SLOT_S + MINUTE_S <= at:
            self._sum -= self._slots.popleft()[1]
        return self._sum

    def frees(self, amount: Number, at: float) -> float:
        """When `amount` of what is used will be free again."""
        freed: Number = 0
        for begun, used in self._slots:
            freed += used
            if freed >= amount:
                return float(begun) + SLOT_S + MINUTE_S
        return at + MINUTE_S


class Calendar:
    """What was used in the present day or month."""

    def __init__(self, period: Period, at: float, used: Number = 0) -> None:
        self._period = period
        self._used = used
        self._ends = end_of(period, at)

    def add(self, amount: Number, at: float) -> None:
        self._used = self.used(at) + amount

    def used(self, at: float) -> Number:
        if at >= self._ends:
            self._used, self._ends = 0, end_of(self._period, at)
        return self._used

    def frees(self, amount: Number, at: float) -> float:
        return self._ends


@dataclass(frozen=True, slots=True)
class Demand:
    """How much a call asks of a limit: between `least`, which is sure, and `most`.

    They differ where nobody said how long the answer may get. It is then let in as long as its prompt fits, and holds
    what is left: it may go past the limit, but those after it find nothing and wait.
    """

    least: Number
    most: Number


NOTHING = Demand(0, 0)


@dataclass(eq=False, slots=True)
class Allowance:
    """One limit as it binds one person, one group, or everyone together (`subject` is empty)."""

    limit: Limit
    subject: str
    tally: Minute | Calendar | None
    soft: Number | None = field(init=False)
    hard: Number | None = field(init=False)
    held: Number = 0
    _warned_at: float = -math.inf

    def __post_init__(self) -> None:
        self.soft, self.hard = (_number(self.limit, amount) for amount in (self.limit.soft, self.limit.hard))

    @property
    def counts_beginnings(self) -> bool:
        """Whether a call counts when it begins: a rate of requests does, everything else when it has ended."""
        return self.limit.unit == "requests" and isinstance(self.tally, Minute)

    def used(self, at: float) -> Number:
        return self.tally.used(at) if self.tally is not None else self.held

    def remaining(self, at: float) -> Number | None:
        """What is neither used nor held; None where nothing is refused."""
        if self.hard is None:
            return None
        return self.hard - self.held - (self.tally.used(at) if self.tally is not None else 0)

    def check(self, demand: Demand, at: float) -> None:
        """Raise `LimitReached` where the limit has no room for it."""
        remaining = self.remaining(at)
        if remaining is None or not demand.most or (0 < remaining >= demand.least):
            return
        raise self._reached(demand, remaining, at)

    def take(self, demand: Demand, at: float) -> Number:
        """Take what a call may use, and return how much of it is held until the call ends."""
        if self.counts_beginnings:
            assert self.tally is not None
            self.tally.add(1, at)
            return 0
        remaining = self.remaining(at)
        taken = demand.most if remaining is None else min(demand.most, max(remaining, demand.least))
        self.held += taken
        return taken

    def settle(self, taken: Number, used: Number, at: float) -> None:
        """Give back what was held, and count what was used."""
        self.held -= taken
        if self.tally is not None and not self.counts_beginnings:
            self.tally.add(used, at)

    def warning(self, at: float) -> str:
        """What to tell where the soft limit was passed; empty where it was not, or was told not long ago."""
        if self.soft is None or self.used(at) < self.soft or at - self._warned_at < WARN_EVERY_S:
            return ""
        self._warned_at = at
        of = f" The limit is {_amount(self.limit, self.hard)}." if self.hard is not None else ""
        told = self.told()[:1].upper() + self.told()[1:]
        return f"{told} is nearly used up: {_amount(self.limit, self.used(at))} so far.{of}"

    def resets_at(self, at: float) -> float | None:
        """When all of what is used will be free again; None where that depends on running calls."""
        return None if self.tally is None else self.tally.frees(self.tally.used(at), at)

    def told(self) -> str:
        """The limit in words."""
        limit = self.limit
        bound = _amount(limit, self.hard if self.hard is not None else self.soft)
        much = f"{bound} a {limit.period}" if limit.period else f"{bound} at the same time"
        if limit.model != "*":
            much = f"{much} of {limit.model}"
        match limit.kind:
            case "person":
                return f"your limit of {much}"
            case "group":
                return f"the group {self.subject}'s limit of {much}"
        return f"the workspace's limit of {much}"

    def _reached(self, demand: Demand, remaining: Number, at: float) -> LimitReached:
        assert self.hard is not None
        details: dict[str, Any] = {"limit_id": self.limit.id}
        if demand.least > self.hard:
            return LimitReached(
                f"This call alone may need {_amount(self.limit, demand.least)}, more than {self.told()}.",
                remedy="Ask for a shorter answer (max_tokens), send less, or ask an administrator for more.",
                details=details,
            )
        if self.tally is None:
            return LimitReached(
                f"This would go past {self.told()}.",
                remedy="Wait until one of them ends.",
                details={**details, "retry_after_s": 1},
            )
        free_at = self.tally.frees(demand.least - remaining, at)
        held = f", {_amount(self.limit, self.held)} are held by calls that run" if self.held else ""
        return LimitReached(
            f"This would go past {self.told()}: {_amount(self.limit, self.used(at))} are used{held}, "
            f"and this call may need {_amount(self.limit, demand.least)}. It resets at {iso(free_at)}.",
            remedy="Try again then, or ask an administrator for more.",
            details={**details, "retry_after_s": max(math.ceil(free_at - at), 1), "resets_at": iso(free_at)},
        )


def used_of(limit: Limit, sums: Sums, cost: Decimal) -> Number:
    """What calls count against a limit; `cost` is theirs in its currency."""
    match limit.unit:
        case "requests":
            return sums.calls
        case "tokens":
            return sums.input_tokens + sums.output_tokens
        case "parallel":
            return 0
    return cost


def _number(limit: Limit, amount: float | None) -> Number | None:
    if amount is None:
        return None
    return Decimal(str(amount)) if limit.unit in ("USD", "CNY") else int(amount)


def _amount(limit: Limit, amount: Number | None) -> str:
    match limit.unit:
        case "parallel":
            return f"{amount:,} calls"
        case "requests" | "tokens":
            return f"{amount:,} {limit.unit}"
    # Rounded for people; what is counted is not.
    text = f"{Decimal(amount or 0):.6f}".rstrip("0").rstrip(".")
    return f"{text} {limit.unit}"
