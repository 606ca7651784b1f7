"""Limits: what they let through, what they refuse and how they say so, alone and with many calls at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmws.errors import Forbidden, LimitReached
from llmws.messages import Message, Parameters, StreamEvent, Timing, Usage
from llmws.providers.base import CompletionRequest, ModelInfo
from llmws.service import allowances
from llmws.service.allowances import Allowance, Calendar, Demand, Minute
from llmws.service.identity import Person
from llmws.service.ledger import Ledger
from llmws.service.metering import Bill, Call, Hold, Receipt, metered, usage_row
from llmws.service.prices import Prices
from llmws.store import Store, new_id
from llmws.store import exchange_rates as kept_rates
from llmws.store import limits as kept
from llmws.store import prices as kept_prices
from llmws.store.exchange_rates import ExchangeRate
from llmws.store.limits import Limit

from .harness import Running

ADA = Person("ada", frozenset({"chat"}), frozenset({"researchers"}))
EVE = Person("eve", frozenset({"chat"}), frozenset({"researchers", "guests"}))
NOON = datetime(2026, 3, 14, 12).timestamp()
# A dollar a token, so that sums are read at a glance.
USED = Usage(10, 5)
DOLLAR = {"currency": "USD", "input": "1000000", "output": "1000000"}


@dataclass
class Speaker:
    """A provider that says what it used."""

    used: Usage = USED
    name: str = "Speaker"

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        yield StreamEvent("text", text="Well.")
        await asyncio.sleep(0)
        yield StreamEvent("usage", usage=self.used)
        yield StreamEvent("end", finish_reason="stop")

    async def models(self) -> list[ModelInfo]:
        return []

    async def aclose(self) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'llmws.db'}")
    yield store
    store.close()


def limit(unit: str, period: str | None = "day", **more: Any) -> Limit:
    return Limit(
        **{"id": new_id(), "kind": "person", "name": "*", "model": "*", "unit": unit, "period": period, **more}
    )


async def ledger_of(store: Store, *limits: Limit, priced: bool = True) -> Ledger:
    if priced:
        await store.write(kept_prices.put, "m", DOLLAR, "root")
    for one in limits:
        await store.write(kept.create, one)
    ledger = Ledger(store, Prices(store))
    await ledger.start(lambda *_: pytest.fail("nothing was interrupted"))
    return ledger


def call(person: Person = ADA, model: str = "m", max_tokens: int | None = 5) -> Call:
    # Ten tokens by our own estimate: four for the turn, and a quarter of the letters.
    request = CompletionRequest(model, (Message.user("x" * 24),), Parameters(max_tokens=max_tokens))
    return Call(person, model, "local", Speaker(), request)


def receipt_of(hold: Hold, **more: Any) -> Receipt:
    more = {"answered_by": hold.call.model, "bill": Bill(Decimal(15), "USD"), **more}
    return Receipt(hold.call, USED, Timing(), "stop", at=time.time(), **more)


async def ask(ledger: Ledger, one: Call) -> tuple[list[StreamEvent], Receipt]:
    """A call on the whole path."""
    told: list[StreamEvent] = []
    receipts: list[Receipt] = []

    async def settle(receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
        receipts.append(receipt)
        if (row := usage_row(receipt)) is not None:
            await ledger.keep(row)
        return tail

    await metered(one, ledger, told.append, settle)
    return told, receipts[0]


def codes(events: Sequence[StreamEvent]) -> list[str]:
    return [event.data["code"] for event in events if event.type in ("warning", "error")]


# Counting


def test_a_minute_is_the_last_sixty_seconds_and_says_when_there_is_room() -> None:
    minute = Minute()
    for second in range(3):
        minute.add(10, float(second * 20))
    assert minute.used(41.0) == 30
    # The first ten are forgotten a slot after their minute.
    assert minute.frees(5, 41.0) == pytest.approx(60.0, abs=0.2)
    assert minute.frees(11, 41.0) == pytest.approx(80.0, abs=0.2)
    assert minute.used(60.05) == 30
    assert minute.used(60.2) == 20
    assert minute.used(200.0) == 0


def test_a_busy_minute_does_not_grow_with_its_calls() -> None:
    minute = Minute()
    for number in range(60_000):
        minute.add(1, number / 1000)
    assert minute.used(60.0) == 60_000
    assert len(minute._slots) <= 601


@pytest.mark.parametrize(
    ("zone", "day", "month"),
    [
        ("UTC", "2026-03-30T00:00:00+00:00", "2026-04-01T00:00:00+00:00"),
        ("Asia/Shanghai", "2026-03-30T00:00:00+08:00", "2026-04-01T00:00:00+08:00"),
        # The clocks go forward that night: the day has 23 hours.
        ("Europe/Berlin", "2026-03-30T00:00:00+02:00", "2026-04-01T00:00:00+02:00"),
        ("Asia/Kolkata", "2026-03-30T00:00:00+05:30", "2026-04-01T00:00:00+05:30"),
    ],
)
def test_days_and_months_are_those_of_the_service(
    zone: str, day: str, month: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        at = datetime(2026, 3, 29, 12).timestamp()
        assert allowances.iso(allowances.end_of("day", at)) == day
        assert allowances.iso(allowances.end_of("month", at)) == month
        assert allowances.end_of("day", allowances.begin_of("month", at)) > allowances.begin_of("month", at)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_new_day_begins_with_nothing() -> None:
    day = Calendar("day", NOON, used=7)
    assert day.used(NOON) == 7
    day.add(1, NOON + 86_400)
    assert day.used(NOON + 86_400) == 1


def test_what_is_left_goes_to_one_of_those_that_do_not_say_how_long_they_get() -> None:
    allowance = Allowance(limit("tokens", hard=100), "ada", Calendar("day", NOON, used=40))
    open_end = Demand(10, 4106)
    allowance.check(open_end, NOON)
    taken = allowance.take(open_end, NOON)
    assert (taken, allowance.remaining(NOON)) == (60, 0)
    with pytest.raises(LimitReached):
        allowance.check(open_end, NOON)
    allowance.settle(taken, 35, NOON)
    assert (allowance.used(NOON), allowance.remaining(NOON)) == (75, 25)


# What a call is told


@pytest.mark.parametrize(
    ("one", "before", "told"),
    [
        (limit("requests", "minute", hard=2), 2, "your limit of 2 requests a minute: 2 requests are used"),
        (limit("tokens", "day", hard=31), 2, "your limit of 31 tokens a day: 30 tokens are used"),
        (limit("USD", "month", hard=31.5), 2, "your limit of 31.5 USD a month: 30 USD are used"),
        (limit("requests", "day", hard=1, kind="group", name="researchers"), 1, "the group researchers's limit of 1"),
        (limit("requests", "day", hard=1, kind="everyone", name="", model="m*"), 1, "the workspace's limit of 1"),
    ],
)
async def test_over_a_limit_the_sentence_says_which_and_when_it_resets(
    store: Store, one: Limit, before: int, told: str
) -> None:
    ledger = await ledger_of(store, one)
    for _ in range(before):
        assert codes((await ask(ledger, call()))[0]) == []
    asked_at = time.time()
    events, receipt = await ask(ledger, call())
    [error] = [event for event in events if event.type == "error"]
    assert told in error.text
    assert receipt.refused
    details = error.data["details"]
    assert error.data["code"] == "limit_reached"
    assert error.text.endswith(f"It resets at {details['resets_at']}.")
    resets = datetime.fromisoformat(details["resets_at"])
    assert resets.tzinfo is not None
    assert 0 < details["retry_after_s"] <= max(resets.timestamp() - asked_at + 2, 1)
    # What was refused is no call, and costs nothing.
    assert ledger.limits.allowance(one, next(iter(subjects_of(one)))).used(time.time()) == {
        "requests": before,
        "tokens": 30,
        "USD": 30,
    }.get(one.unit)


def subjects_of(one: Limit) -> list[str]:
    return {"person": ["ada"], "group": ["researchers"], "everyone": [""]}[one.kind]


async def test_a_call_that_never_fits_is_told_to_ask_for_less(store: Store) -> None:
    ledger = await ledger_of(store, limit("tokens", "minute", hard=12))
    with pytest.raises(
        LimitReached, match=r"This call alone may need 15 tokens, more than your limit of 12"
    ) as refused:
        await ledger.reserve(call())
    assert "retry_after_s" not in refused.value.details
    assert "max_tokens" in refused.value.remedy


async def test_a_soft_limit_warns_once_in_a_while_and_refuses_nothing(store: Store) -> None:
    ledger = await ledger_of(store, limit("USD", "day", soft=20.0, hard=1000.0))
    told = [codes((await ask(ledger, call()))[0]) for _ in range(4)]
    assert told == [[], [], ["soft_limit"], []]


async def test_a_model_without_a_price_is_refused_where_costs_are_to_be_known(store: Store) -> None:
    ledger = await ledger_of(store, limit("USD", "day", forbid_unpriced=True, model="m*"), priced=False)
    with pytest.raises(Forbidden, match="has no price") as refused:
        await ledger.reserve(call())
    assert refused.value.code == "unpriced"
    assert (await ledger.reserve(call(model="another"))).taken == ()


async def test_limits_bind_whom_and_what_they_name(store: Store) -> None:
    theirs = limit("requests", "day", hard=0, kind="group", name="guests")
    hers = limit("requests", "day", hard=0, name="ada", model="dear/*")
    ledger = await ledger_of(store, theirs, hers)
    await ledger.reserve(call(ADA))
    with pytest.raises(LimitReached, match="the group guests's"):
        await ledger.reserve(call(EVE))
    with pytest.raises(LimitReached, match=r"your limit .* of dear/\*"):
        await ledger.reserve(call(ADA, "dear/model"))


async def test_a_person_s_own_and_the_group_s_together(store: Store) -> None:
    each = limit("requests", "day", hard=2)
    together = limit("requests", "day", hard=3, kind="group", name="researchers")
    ledger = await ledger_of(store, each, together)
    for person in (ADA, ADA, EVE):
        await ask(ledger, call(person))
    assert codes((await ask(ledger, call(EVE)))[0]) == ["limit_reached"]
    assert ledger.limits.allowance(each, "eve").used(time.time()) == 1


# Many at once


@pytest.mark.parametrize("unsaid", [False, True])
async def test_calls_at_the_same_time_cannot_overshoot_beyond_one_call_s_error(store: Store, unsaid: bool) -> None:
    """Each costs 15 of 100: six fit. Where nobody says how long it gets, one more may go past what is left."""
    one = limit("USD", "day", hard=100.0)
    ledger = await ledger_of(store, one)
    answers = await asyncio.gather(*(ask(ledger, call(max_tokens=None if unsaid else 5)) for _ in range(50)))
    spent = sum(receipt.bill.cost or 0 for _, receipt in answers)
    allowance = ledger.limits.allowance(one, "ada")
    assert allowance.used(time.time()) == spent
    assert allowance.held == 0
    if unsaid:
        # The first held all that was left, until it had ended.
        assert 15 <= spent <= 100 + 15
    else:
        assert spent == 90


async def test_parallel_calls_are_counted_while_they_run(store: Store) -> None:
    ledger = await ledger_of(store, limit("parallel", None, hard=2))
    first, second = [await ledger.reserve(call()) for _ in range(2)]
    with pytest.raises(LimitReached, match="your limit of 2 calls at the same time") as refused:
        await ledger.reserve(call())
    assert refused.value.details["retry_after_s"] == 1
    ledger.settle(first, receipt_of(first))
    third = await ledger.reserve(call())
    for hold in (second, third):
        ledger.settle(hold, receipt_of(hold))
    assert all(one.held == 0 for one in ledger.limits._allowances.values())


async def test_a_call_that_is_cancelled_or_fails_gives_back_what_it_held(store: Store) -> None:
    one = limit("USD", "day", hard=1000.0)
    ledger = await ledger_of(store, one)
    spoke = asyncio.Event()

    class Endless(Speaker):
        async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
            yield StreamEvent("text", text="Well.")
            spoke.set()
            await asyncio.Event().wait()

    class Broken(Speaker):
        async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
            yield StreamEvent("text", text="Well.")
            raise ZeroDivisionError

    task = asyncio.create_task(ask(ledger, Call(ADA, "m", "local", Endless(), call().request)))
    await spoke.wait()
    allowance = ledger.limits.allowance(one, "ada")
    assert allowance.held == 15
    task.cancel()
    _, stopped = await task
    _, broken = await ask(ledger, Call(ADA, "m", "local", Broken(), call().request))
    assert allowance.held == 0
    assert allowance.used(time.time()) == stopped.bill.cost + broken.bill.cost > 0  # type: ignore[operator]


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40), st.none() | st.integers(0, 60), st.floats(0, 1), st.booleans()), max_size=30
    )
)
def test_whatever_comes_a_hard_limit_is_passed_by_no_more_than_one_call_said_too_little(
    steps: list[tuple[int, int | None, float, bool]],
) -> None:
    """Prompts, lengths asked for or not, how much of it was used, and whether the oldest call ends before the next."""
    allowance = Allowance(limit("tokens", hard=100), "ada", Calendar("day", NOON))
    running: list[tuple[int, Demand, float]] = []
    excess = 0

    def end() -> None:
        nonlocal excess
        taken, demand, share = running.pop(0)
        used = int(demand.least + share * (demand.most - demand.least))
        excess += max(used - taken, 0)
        allowance.settle(taken, used, NOON)

    for prompt, said, share, ends in steps:
        demand = Demand(prompt + said, prompt + said) if said is not None else Demand(prompt, prompt + 4096)
        try:
            allowance.check(demand, NOON)
        except LimitReached:
            assert allowance.remaining(NOON) < demand.least or allowance.remaining(NOON) <= 0  # type: ignore[operator]
        else:
            running.append((int(allowance.take(demand, NOON)), demand, share))
        assert allowance.used(NOON) + allowance.held <= 100 + excess
        if ends and running:
            end()
    while running:
        end()
    assert allowance.held == 0
    # Who said how much it needs never went past it; of those who did not, one at a time could.
    assert allowance.used(NOON) <= 100 + excess


# Over time


async def test_what_was_used_is_still_known_after_a_restart_and_to_a_new_limit(store: Store) -> None:
    one = limit("USD", "month", hard=1000.0)
    ledger = await ledger_of(store, one)
    await asyncio.gather(*(ask(ledger, call(person)) for person in (ADA, ADA, EVE)))
    again = await ledger_of(store)
    group = await store.write(kept.create, limit("tokens", "day", hard=100, kind="group", name="researchers"))
    for known in (ledger, again):
        await known.limits.load()
        now = time.time()
        assert known.limits.allowance(one, "ada").used(now) == 30
        assert known.limits.allowance(group, "researchers").used(now) == 45


async def test_a_limit_that_is_changed_keeps_what_runs(store: Store) -> None:
    parallel = limit("parallel", None, hard=2)
    rate = limit("requests", "minute", hard=10)
    ledger = await ledger_of(store, parallel, rate)
    hold = await ledger.reserve(call())
    await store.write(kept.change, parallel.id, hard=1)
    await ledger.limits.load()
    assert ledger.limits.allowance(rate, "ada").used(time.time()) == 1
    with pytest.raises(LimitReached):
        await ledger.reserve(call())
    ledger.settle(hold, receipt_of(hold))
    assert ledger.limits.allowance(parallel, "ada").held == 0


async def test_who_stepped_in_counts_against_its_own_limits(store: Store) -> None:
    dear = limit("USD", "day", hard=100.0, model="dear/*")
    ledger = await ledger_of(store, dear, limit("USD", "day", hard=100.0, model="m"))
    hold = await ledger.reserve(call())
    ledger.settle(hold, receipt_of(hold, answered_by="dear/model"))
    used = [one.used(time.time()) for one in ledger.limits._allowances.values()]
    assert used == [15, 15]


async def test_another_currency_counts_by_the_day_s_rate_or_not_at_all(store: Store) -> None:
    one = limit("USD", "day", hard=100.0)
    ledger = await ledger_of(store, one)
    await store.write(kept_prices.put, "m", {**DOLLAR, "currency": "CNY"}, "root")
    await ledger.prices.load()
    await ask(ledger, call())
    assert ledger.limits.allowance(one, "ada").used(time.time()) == 0
    await store.write(kept_rates.put, ExchangeRate("CNY", "USD", date(2020, 1, 1), Decimal("0.2")))
    await ledger.limits.load()
    assert ledger.limits.allowance(one, "ada").used(time.time()) == 3
    await ask(ledger, call())
    assert ledger.limits.allowance(one, "ada").used(time.time()) == 6


async def test_who_stepped_in_counts_as_a_beginning_too(store: Store) -> None:
    dear = limit("requests", "minute", hard=1, model="dear/*")
    ledger = await ledger_of(store, dear)
    ledger.admit(ADA, "dear/model")
    hold = await ledger.reserve(call())
    ledger.settle(hold, receipt_of(hold, answered_by="dear/model"))
    with pytest.raises(LimitReached, match="1 requests a minute"):
        ledger.admit(ADA, "dear/model")
    ledger.admit(ADA, "m")


@pytest.mark.parametrize(
    ("one", "error"),
    [
        (limit("USD", "day", hard=0, model="dear/*"), LimitReached),
        (limit("tokens", "day", hard=0, model="dear/*"), LimitReached),
        (limit("parallel", None, hard=0, model="dear/*"), LimitReached),
        (limit("USD", "month", hard=1e6, model="dear/*", forbid_unpriced=True), Forbidden),
    ],
)
async def test_a_model_does_not_step_in_past_its_limits(store: Store, one: Limit, error: type[Exception]) -> None:
    ledger = await ledger_of(store, one)
    with pytest.raises(error):
        ledger.admit(ADA, "dear/model")


# The routes


def test_a_limit_is_set_shown_changed_and_lifted(service: Running) -> None:
    made = service.post("/api/limits", {"kind": "person", "name": "*", "unit": "requests", "period": "day", "hard": 2})
    service.message(service.ask("One")["id"])
    [shown] = service.get("/api/limits", mine=True)["items"]
    assert (shown["id"], shown["used"], shown["held"], shown["remaining"]) == (made["id"], 1, 0, 1)
    assert datetime.fromisoformat(shown["resets_at"]) > datetime.now().astimezone()
    assert service.get("/api/limits")["items"] == [shown]
    changed = service.http.patch(f"/api/limits/{made['id']}", json={"hard": 1}).json()
    assert (changed["hard"], changed["soft"]) == (1, None)
    message = service.message(service.ask("Two")["id"])
    assert message.error is not None
    assert message.error["code"] == "limit_reached"
    assert service.http.delete(f"/api/limits/{made['id']}").status_code == 204
    assert service.get("/api/limits") == {"items": []}
    assert service.message(service.ask("Three")["id"]).text == "Three"


def test_a_program_is_told_429_and_when_to_come_again(service: Running) -> None:
    service.post("/api/limits", {"kind": "everyone", "unit": "requests", "period": "minute", "hard": 1})
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
    assert service.http.post("/v1/chat/completions", json=body).status_code == 200
    refused = service.http.post("/v1/chat/completions", json=body)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert refused.json()["error"]["code"] == "limit_reached"
    assert "the workspace's limit of 1 requests a minute" in refused.json()["error"]["message"]


def test_a_fallback_leads_past_no_limit(service: Running) -> None:
    service.post("/api/limits", {"kind": "everyone", "model": "echo", "unit": "requests", "period": "day", "hard": 1})
    # Nothing listens there: whoever may add a provider could so have another asked in its place.
    way = {"vendor": "compatible", "base_url": "http://127.0.0.1:1/v1", "fallbacks": ["echo"]}
    service.post("/api/providers", way)
    body = {"model": "compatible/m", "messages": [{"role": "user", "content": "Hi"}]}
    assert service.http.post("/v1/chat/completions", json=body).status_code == 200
    refused = service.http.post("/v1/chat/completions", json=body)
    assert refused.status_code in (429, 502)
    assert "limit_reached" in {one["code"] for one in refused.json()["error"]["details"]["tried"]}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"kind": "person", "unit": "USD", "period": "day", "hard": 1}, "has a name"),
        ({"kind": "everyone", "name": "ada", "unit": "USD", "period": "day", "hard": 1}, "has no name"),
        ({"kind": "everyone", "unit": "USD", "hard": 1}, "has a period"),
        ({"kind": "everyone", "unit": "parallel", "period": "day", "hard": 1}, "has no period"),
        ({"kind": "everyone", "unit": "USD", "period": "day"}, "would not limit anything"),
        ({"kind": "everyone", "unit": "USD", "period": "day", "soft": 2, "hard": 1}, "above the hard one"),
        ({"kind": "everyone", "unit": "requests", "period": "day", "hard": 0.5}, "no part of requests"),
        ({"kind": "everyone", "unit": "EUR", "period": "day", "hard": 1}, "unit"),
        ({"kind": "everyone", "unit": "USD", "period": "day", "hard": -1}, "hard"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(service: Running, body: dict[str, Any], why: str) -> None:
    refused = service.http.post("/api/limits", json=body)
    assert refused.status_code == 422
    assert why in refused.json()["error"]["message"]
    assert service.get("/api/limits") == {"items": []}
