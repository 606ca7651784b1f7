"""What calls used: the rows, and the sums that always are what the rows add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from llmws.messages import Message
from llmws.store import Store, chats, generations, new_id, schema, usage
from llmws.store.usage import HOUR_S, KEYS, Sums, UsageRow

OLDER = """
INSERT INTO usage (id, owner, provider, model, purpose, input_tokens, output_tokens, reasoning_tokens,
                   cache_read_tokens, cache_write_tokens, source, outcome, created_at)
VALUES (:id, 'ada', 'p', :model, 'chat', 1, 2, 3, 4, 5, 'estimate', 'stop', :at)
"""
COUNTS = st.integers(0, 10**6)
# Times in three hours, often on a seam.
TIMES = st.one_of(st.floats(0, 3 * HOUR_S), st.integers(0, 3).map(lambda hour: float(hour * HOUR_S)))
COSTS = st.none() | st.decimals(0, 1000, places=12)


@st.composite
def rows(draw: st.DrawFn) -> UsageRow:
    cost = draw(COSTS)
    return UsageRow(
        draw(st.sampled_from(["ada", "eve"])),
        provider="p",
        model=draw(st.sampled_from(["p/a", "p/b"])),
        purpose=draw(st.sampled_from(["chat", "gateway"])),
        outcome="stop",
        input_tokens=draw(COUNTS),
        output_tokens=draw(COUNTS),
        reasoning_tokens=draw(COUNTS),
        cache_read_tokens=draw(COUNTS),
        cache_write_tokens=draw(COUNTS),
        source=draw(st.sampled_from(["provider", "estimate"])),
        cost=cost,
        currency=None if cost is None else draw(st.sampled_from(["USD", "CNY"])),
        groups=draw(st.sampled_from([(), ("g",), ("g", "h")])),
        created_at=draw(TIMES),
    )


def added(found: Sequence[UsageRow], by: Sequence[str]) -> dict[tuple[Any, ...], Sums]:
    """What the rows come to, added one by one."""
    totals: dict[tuple[Any, ...], Sums] = {}
    for row in found:
        values = {
            **{name: getattr(row, name) for name in KEYS},
            "hour": int(row.created_at // HOUR_S),
            "currency": row.currency or "",
        }
        one = Sums(
            1,
            row.input_tokens,
            row.output_tokens,
            row.reasoning_tokens,
            row.cache_read_tokens,
            row.cache_write_tokens,
            row.cost or Decimal(0),
            int(row.cost is None),
            int(row.source == "estimate"),
        )
        totals.setdefault(tuple(values[name] for name in by), Sums()).add(one)
    return totals


async def test_calls_are_listed_newest_first_for_their_owner_only(store: Store) -> None:
    for number in range(5):
        row = UsageRow("ada", "echo", "echo", "gateway", "stop", output_tokens=number, created_at=float(number))
        await store.write(usage.add, row)
    spent = {"cost": Decimal("0.250000000001"), "currency": "CNY", "groups": ("a", "b"), "error": "provider"}
    mine = UsageRow("eve", "deepseek", "chat", "chat", "error", cell="c1", total_s=1.5, **spent)
    await store.write(usage.add, mine)
    first, cursor = await store.read(usage.page, "ada", limit=3)
    rest, end = await store.read(usage.page, "ada", limit=3, cursor=cursor)
    assert [row.output_tokens for row in first + rest] == [4, 3, 2, 1, 0]
    assert end is None
    assert first[0].cost is None
    assert (await store.read(usage.page, "eve"))[0] == [mine]
    everyone, _ = await store.read(usage.page, None, since=2.0, until=4.0)
    assert [row.created_at for row in everyone] == [3.0, 2.0]


async def test_sums_past_what_a_row_can_hold_can_still_be_told(store: Store) -> None:
    """A provider that reports what nobody used must not keep a service from starting."""
    for number in range(4):
        row = UsageRow("ada", "p", f"p/{number}", "chat", "stop", cost=Decimal(9_000_000), currency="USD")
        await store.write(usage.add, replace(row, created_at=number * 60.0))
    for until in (None, 1800.0):
        totals = await store.read(usage.totals, ("owner",), 0.0, until)
        assert float(totals["ada",].cost) == pytest.approx(36_000_000)


@settings(max_examples=40, deadline=None)
@given(
    found=st.lists(st.lists(rows(), max_size=8), max_size=4),
    by=st.lists(st.sampled_from([*KEYS, "hour"]), unique=True),
    since=st.none() | TIMES,
    until=st.none() | TIMES,
    owner=st.none() | st.just("ada"),
)
def test_totals_are_what_the_rows_add_up_to(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[list[UsageRow]],
    by: list[str],
    since: float | None,
    until: float | None,
    owner: str | None,
) -> None:
    """Whatever is asked: by which keys, from when until when; and each hour's sums are those of its rows."""
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('usage') / 'llmws.db'}")
    try:
        # Each with an id of its own: hypothesis draws the same value again.
        kept = [[UsageRow(**{**vars_of(row), "id": new_id()}) for row in batch] for batch in found]
        told: list[Any] = []

        def write(connection: Connection) -> None:
            for batch in kept:
                usage.add_all(connection, batch)
            told.append(usage.totals(connection, by, since, until, owner))
            told.append(usage.totals(connection, ("hour", *KEYS)))

        store._writer.submit(write).result()
    finally:
        store.close()
    every = [row for batch in kept for row in batch]
    asked = [
        row
        for row in every
        if (since is None or row.created_at >= since)
        and (until is None or row.created_at < until)
        and owner in (None, row.owner)
    ]
    assert told[0] == added(asked, by)
    assert told[1] == added(every, ("hour", *KEYS))


def vars_of(row: UsageRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in UsageRow.__dataclass_fields__}


@pytest.mark.parametrize(
    ("since", "until"), [(None, None), (10.0, None), (None, 9000.0), (1800.0, 5400.0), (10.0, 20.0)]
)
async def test_the_same_totals_on_every_database(store: Store, since: float | None, until: float | None) -> None:
    made = [
        UsageRow("ada", "p", "p/a", "chat", "stop", input_tokens=2**31 - 1, created_at=at, groups=("g",), **cost)
        for at in (0.0, 1799.5, 3600.0, 5399.0, 8000.0, 9000.0)
        for cost in ({}, {"cost": Decimal("0.1"), "currency": "USD"})
    ]
    await store.write(usage.add_all, made[:5])
    await store.write(usage.add_all, made[5:])
    asked = [row for row in made if (since or 0) <= row.created_at < (until or 10**9)]
    for by in ((), ("hour",), ("groups", "currency"), ("hour", *KEYS)):
        assert await store.read(usage.totals, by, since, until) == added(asked, by)
    assert await store.read(usage.first) == 0.0
    assert await store.read(usage.first, "eve") is None


async def test_a_row_that_does_not_fit_takes_no_sum_with_it(store: Store) -> None:
    first, second = (UsageRow("ada", "p", "m", "chat", "stop") for _ in range(2))
    await store.write(usage.add, first)
    with pytest.raises(Exception, match=r"(?i)unique|exists|integrity"):
        await store.write(usage.add_all, [second, first])
    [total] = (await store.read(usage.totals, ())).values()
    assert total.calls == 1


async def test_what_was_used_before_there_were_sums_is_summed(file: Path) -> None:
    file.parent.mkdir()
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        for step in schema.due(connection, str(file)):
            if step.revision < "0007":
                step.run(connection)
        for at, model in ((10.0, "a"), (3599.9, "a"), (3600.0, "a"), (20.0, "b")):
            connection.execute(text(OLDER), {"id": new_id(), "model": model, "at": at})
    engine.dispose()
    store = Store.open(f"sqlite:///{file}")
    everything, _ = await store.read(usage.page, "ada")
    assert await store.read(usage.totals, ("hour", *KEYS)) == added(everything, ("hour", *KEYS))
    assert {(row.answered_by, row.cost, row.groups) for row in everything} == {("a", None, ()), ("b", None, ())}
    # What comes from now on is added beside.
    await store.write(usage.add, UsageRow("ada", "p", "a", "chat", "stop", created_at=30.0))
    [total] = (await store.read(usage.totals, (), until=3600.0)).values()
    assert total.calls == 4
    store.close()


async def test_a_chat_comes_to_what_its_answers_used_and_what_was_asked_about_them(store: Store) -> None:
    chat, other = [await store.write(chats.create, "ada", new_id(), "echo") for _ in range(2)]

    async def answer(chat_id: str | None) -> str:
        begin: dict[str, Any] = {"model": "p/a", "provider": "p", "chat_id": chat_id}
        begun = await store.write(generations.begin, "ada", new_id(), **begin)
        ended = Message("assistant", finish_reason="stop")
        await store.write(generations.finish, begun.generation.id, ended, row(begun.generation.id, "USD", "0.1"))
        return begun.generation.id

    def row(id: str | None, currency: str | None, cost: str | None) -> UsageRow:
        paid = None if cost is None else Decimal(cost)
        money = {"currency": currency, "cost": paid}
        return UsageRow("ada", "p", "p/a", "chat", "stop", id, input_tokens=3, output_tokens=2, **money)  # type: ignore[arg-type]

    first, _ = await answer(chat.id), await answer(chat.id)
    await answer(other.id)
    await answer(None)
    asked = [row(first, "CNY", "7"), row(first, None, None), row(None, "USD", "9")]
    await store.write(usage.add_all, asked)
    found = await store.read(usage.of_chat, chat.id)
    assert {currency: (sums.calls, sums.cost) for currency, sums in found.items()} == {
        "USD": (2, Decimal("0.2")),
        "CNY": (1, Decimal(7)),
        "": (1, Decimal(0)),
    }
    assert sum(sums.input_tokens for sums in found.values()) == 12
    assert found[""].unpriced_calls == 1


async def test_what_a_chat_came_to_is_found_through_an_index(file: Path) -> None:
    store = Store.open(f"sqlite:///{file}")

    def plan(connection: Connection) -> str:
        asked = "SELECT id FROM generations WHERE chat_id = 'c'"
        told = f"EXPLAIN QUERY PLAN SELECT sum(cost) FROM usage WHERE generation_id IN ({asked})"
        return " ".join(row[-1] for row in connection.execute(text(told)))

    found = await store.read(plan)
    store.close()
    assert "ix_usage_generation_id" in found
    assert "SCAN usage" not in found
