"""The ledger: hundreds of calls at once, and whatever becomes of them, come to exactly what providers reported."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection

from llmws.errors import ProviderError, StoreError
from llmws.messages import Message, Parameters, StreamEvent, Usage
from llmws.providers.attempts import Attempts, Candidate, Patience
from llmws.providers.base import CompletionRequest, ModelInfo
from llmws.service.identity import Person
from llmws.service.ledger import Ledger
from llmws.service.limits import Limits
from llmws.service.metering import Call, Receipt, metered, usage_row
from llmws.service.prices import Prices
from llmws.store import Store, new_id, usage
from llmws.store import limits as kept_limits
from llmws.store import prices as kept_prices
from llmws.store.limits import Limit
from llmws.store.usage import KEYS, UsageRow

from .harness import Api, Process, wait_for

PEOPLE = [Person(name, frozenset({"chat"}), frozenset({"g"})) for name in ("ada", "eve")]
CALLS = 400


@dataclass
class Whimsical:
    """A provider that ends in every way there is, and remembers what it reported having used."""

    random: random.Random
    reported: list[Usage] = field(default_factory=list)
    name: str = "Whimsical"
    asked: int = 0

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        fate = self.random.choice(
            ["answer", "answer", "refuse", "break", "error", "endless", "silent", "silently late"]
        )
        self.asked += 1
        if fate == "refuse":
            raise ProviderError("Too busy.", code="provider_overloaded", retryable=True)
        yield StreamEvent("start", model=request.model, data={"answered_by": "w/second"} if fate == "answer" else {})
        for _ in range(self.random.randrange(4)):
            yield StreamEvent("text", text="word ")
            await asyncio.sleep(self.random.random() / 200)
        if fate == "endless":
            await asyncio.Event().wait()
        if fate == "break":
            raise ConnectionResetError
        if fate in ("answer", "error"):
            used = Usage(
                *(self.random.randrange(2000) for _ in range(2)), *(self.random.randrange(200) for _ in range(3))
            )
            # From here on it is no secret any more: what is reported is counted, whoever hangs up.
            self.reported.append(used)
            yield StreamEvent("usage", usage=used)
        if fate == "error":
            yield StreamEvent("error", text="Broke.", data={"code": "provider"})
        yield StreamEvent("end", finish_reason="error" if fate == "error" else "stop")

    async def models(self) -> list[ModelInfo]:
        return []

    async def aclose(self) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'llmws.db'}")
    yield store
    store.close()


async def opened(store: Store) -> Ledger:
    ledger = Ledger(store, Prices(store))
    await ledger.start(lambda *_: pytest.fail("nothing was interrupted"))
    return ledger


async def test_hundreds_at_once_come_to_what_was_reported(store: Store) -> None:
    prices = {"w/first": ("USD", "0.15", "0.6"), "w/second": ("CNY", "0.8", "2.123456")}
    for model, (currency, read, written) in prices.items():
        body = {"currency": currency, "input": read, "output": written, "cache_read": "0.01"}
        await store.write(kept_prices.put, model, body, "root")
    for unit in ("USD", "CNY", "tokens", "requests"):
        one = Limit(new_id(), "person", "*", "*", unit, "month", hard=1e12)  # type: ignore[arg-type]
        await store.write(kept_limits.create, one)
    await store.write(kept_limits.create, Limit(new_id(), "group", "g", "*", "parallel", None, hard=150))
    ledger = await opened(store)
    chance = random.Random(7)
    provider = Whimsical(chance)
    # What is refused is asked again, twice at most.
    patient = Attempts(
        [Candidate("w/first", "w", "W", "m", lambda key: provider)], patience=Patience(first_pause_s=0.001)
    )
    receipts: list[Receipt] = []

    async def settle(receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
        receipts.append(receipt)
        if (row := usage_row(receipt)) is not None:
            await ledger.keep(row)
        return tail

    async def one(number: int) -> None:
        request = CompletionRequest("m", (Message.user("?" * number),), Parameters(max_tokens=100))
        model = "w/unpriced" if number % 7 == 0 else "w/first"
        call = Call(PEOPLE[number % 2], model, "w", patient, request)
        task = asyncio.create_task(metered(call, ledger, lambda event: None, settle))
        done, _ = await asyncio.wait({task}, timeout=chance.random() / 10)
        if not done:
            task.cancel()
        # One that is hung up on while it is being kept is kept all the same.
        with suppress(asyncio.CancelledError):
            await task

    await asyncio.gather(*(one(number) for number in range(CALLS)))
    sent = [receipt for receipt in receipts if not receipt.refused]
    assert len(receipts) == CALLS
    assert len(sent) < CALLS, "some were to be refused, because too many ran"
    assert {receipt.finish_reason for receipt in sent} == {"stop", "error", "cancelled"}
    if ledger._keeping is not None:
        await ledger._keeping
    assert provider.asked > len(sent), "some were to be asked again"
    rows = await everything(store)
    assert len(rows) == len(sent)
    assert sorted(receipt.at for receipt in sent) == sorted(row.created_at for row in rows)
    # What the provider reported is what the rows say it reported, to the token.
    told = [row for row in rows if row.source == "provider"]
    for name in ("input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert sum(getattr(row, name) for row in told) == sum(getattr(used, name) for used in provider.reported)
    assert len(told) == len(provider.reported)
    # Each is priced by who answered, and the totals are the sums of the rows, to the last digit.
    for row in rows:
        assert (row.currency, row.cost is None) == ({"w/first": "USD", "w/second": "CNY"}.get(row.answered_by),
                                                    row.answered_by == "w/unpriced")  # fmt: skip
    for currency in ("USD", "CNY"):
        spent = sum(row.cost or 0 for row in rows if row.currency == currency)
        totals = await store.read(usage.totals, ("currency",))
        assert totals[currency,].cost == spent > 0
    await check_memory(store, ledger, rows)


async def everything(store: Store) -> list[UsageRow]:
    rows, cursor = await store.read(usage.page, None, 1000)
    assert cursor is None
    return rows


async def check_memory(store: Store, ledger: Ledger, rows: list[UsageRow]) -> None:
    """Nothing is held any more, and what is counted in memory is what a new service reads from the store."""
    now = time.time()
    again = await opened(store)
    for limits in (ledger.limits, again.limits):
        for person in PEOPLE:
            mine = [row for row in rows if row.owner == person.name]
            counted = {one.limit.unit: one for one in limits.binding(person, "w/first") if one.subject == person.name}
            assert {one.held for one in limits.binding(person, "w/first")} == {0}
            assert counted["requests"].used(now) == len(mine)
            assert counted["tokens"].used(now) == sum(row.input_tokens + row.output_tokens for row in mine)
            for currency in ("USD", "CNY"):
                cost = sum(row.cost or 0 for row in mine if row.currency == currency)
                assert counted[currency].used(now) == cost
    assert not ledger.limits._running
    assert _plain(ledger.limits) == _plain(again.limits)


def _plain(limits: Limits) -> dict[object, tuple[int, Decimal]]:
    return {(day, key): (sums.calls, sums.cost) for day, spent in limits._spent.items() for key, sums in spent.items()}


async def test_a_row_that_cannot_be_kept_keeps_no_other_from_it(store: Store) -> None:
    ledger = await opened(store)
    first, second = (UsageRow("ada", "p", "m", "chat", "stop") for _ in range(2))
    await ledger.keep(first)
    kept = await asyncio.gather(ledger.keep(first), ledger.keep(second), return_exceptions=True)
    assert isinstance(kept[0], Exception)
    assert kept[1] is None
    assert {row.id for row in await everything(store)} == {first.id, second.id}


async def test_rows_that_end_meanwhile_share_the_next_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = await opened(store)
    sizes: list[int] = []
    add_all = usage.add_all

    def counted(connection: Connection, rows: Sequence[UsageRow]) -> None:
        sizes.append(len(rows))
        add_all(connection, rows)

    monkeypatch.setattr(usage, "add_all", counted)
    await asyncio.gather(*(ledger.keep(UsageRow("ada", "p", "m", "chat", "stop")) for _ in range(500)))
    assert sum(sizes) == 500
    assert len(sizes) <= 2


async def test_who_stops_waiting_is_counted_all_the_same(store: Store) -> None:
    ledger = await opened(store)
    task = asyncio.create_task(ledger.keep(UsageRow("ada", "p", "m", "chat", "stop")))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await ledger.stop()
    assert len(await everything(store)) == 1


async def test_what_a_full_disk_refuses_is_kept_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = await opened(store)
    monkeypatch.setattr("llmws.service.ledger.PAUSE_S", 0.0)
    add_all, refusals = usage.add_all, iter([True, True, False])

    def full(connection: Connection, rows: Sequence[UsageRow]) -> None:
        if next(refusals):
            raise StoreError("The disk is full.")
        add_all(connection, rows)
        done.set()

    done = threading.Event()
    monkeypatch.setattr(usage, "add_all", full)
    with pytest.raises(StoreError, match="disk is full"):
        await ledger.keep(UsageRow("ada", "p", "m", "chat", "stop"))
    assert await asyncio.to_thread(done.wait, 30)
    if ledger._keeping is not None:
        await ledger._keeping
    assert ledger._later == []
    assert len(await everything(store)) == 1


async def test_a_service_that_ends_keeps_what_it_can(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = await opened(store)
    add_all = usage.add_all

    def refuse(connection: Connection, rows: Sequence[UsageRow]) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(usage, "add_all", refuse)
    with pytest.raises(StoreError):
        await ledger.keep(UsageRow("ada", "p", "m", "chat", "stop"))
    await ledger.stop()
    assert await everything(store) == []
    monkeypatch.setattr(usage, "add_all", add_all)
    await ledger.stop()
    assert len(await everything(store)) == 1


async def test_a_store_that_is_closed_tells_all_who_wait(store: Store) -> None:
    ledger = await opened(store)
    store.close()
    waiting = (ledger.keep(UsageRow("ada", "p", "m", "chat", "stop")) for _ in range(5))
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in told] == [StoreError] * 5


@pytest.mark.long
def test_after_a_kill_rows_sums_and_answers_agree(process: Process) -> None:
    """Chats, one-off answers and programs of the gateway, all under way when the service is killed; twice."""
    for _ in range(2):
        api = process.start()
        with ThreadPoolExecutor(20) as threads:
            running = [threads.submit(work, api, number) for number in range(60)]
            wait_for(lambda running=running: sum(one.done() for one in running) > 20, "a third of them to have ended")
            process.end(signal.SIGKILL)
        api.close()
    api = process.start()
    assert api.get("/api/usage")["items"], "it answers, so what was broken off is settled"
    api.close()
    process.end()
    with closing(sqlite3.connect(process.data / "llmws.db")) as database:
        said = dict(database.execute("SELECT g.id, m.body FROM generations g JOIN messages m ON m.id = g.message_id"))
    ended = {one: Message.from_dict(json.loads(body)) for one, body in said.items()}
    store = Store.open(f"sqlite:///{process.data / 'llmws.db'}")
    try:
        rows = asyncio.run(everything(store))
        hours = asyncio.run(store.read(usage.totals, ("hour", *KEYS)))
    finally:
        store.close()
    settled = {row.generation_id: row for row in rows if row.generation_id is not None}
    assert settled.keys() == ended.keys(), "each answer is settled"
    assert len(settled) == sum(row.generation_id is not None for row in rows), "and once"
    for generation_id, message in ended.items():
        row = settled[generation_id]
        assert row.outcome == message.finish_reason
        assert (row.cost, row.currency) == (0, "USD")
        if message.usage is not None:
            assert (row.input_tokens, row.output_tokens) == (message.usage.input_tokens, message.usage.output_tokens)
        else:
            assert (row.outcome, row.source) == ("interrupted", "estimate")
    assert {"stop", "interrupted"} <= {row.outcome for row in rows}
    assert sum(sums.calls for sums in hours.values()) == len(rows)
    assert sum(sums.output_tokens for sums in hours.values()) == sum(row.output_tokens for row in rows)


def work(api: Api, number: int) -> None:
    """One of three kinds of call, some quick and some slow; the service may be gone at any time."""
    script = {"delay_s": 0.0 if number % 2 else 0.05}
    with suppress(httpx.HTTPError, AssertionError):
        if number % 3 == 0:
            body = {"model": "echo", "messages": [{"role": "user", "content": "a b c d"}], **script}
            api.http.post("/v1/chat/completions", json=body).raise_for_status()
        elif number % 3 == 1:
            api.message(api.ask("one two three four five", **script)["id"])
        else:
            api.message(api.send(api.new_chat()["id"], "six seven eight", **script)["generation"]["id"])
