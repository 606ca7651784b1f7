"""Usage, limits and prices as a person asks for them in a cell."""

from __future__ import annotations

from datetime import datetime, timedelta

from llmws.client import Client
from tests.service.harness import Running


def test_usage_is_a_table_that_adds_up(client: Client, service: Running) -> None:
    before = client.usage()
    spent = [client.chat("Name three moons.", model="echo", show=False) for _ in range(3)]
    table = client.usage(by="model")
    assert list(table.columns) == [
        "model",
        "calls",
        "input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "USD",
        "CNY",
        "unpriced_calls",
        "estimated_calls",
    ]
    assert table.calls.sum() - before.calls.sum() == 3
    said = sum(message.usage.output_tokens for message in spent if message.usage is not None)
    assert table.output_tokens.sum() - before.output_tokens.sum() == said
    assert set(client.usage(by="purpose").purpose) == {"chat"}
    [today] = client.usage(by="day").day
    assert today == datetime.now().date().isoformat()


def test_from_when_until_when_in_any_manner(client: Client) -> None:
    client.chat("Hi", model="echo", show=False)
    now = datetime.now()
    assert client.usage(until=now - timedelta(hours=1)).empty
    assert client.usage(since=(now + timedelta(hours=1)).isoformat()).empty
    assert len(client.usage(since=now.date())) == 1
    assert len(client.usage(since=(now - timedelta(hours=1)).timestamp(), everyone=True)) == 1


def test_limits_say_what_is_left(client: Client) -> None:
    limit = {"kind": "person", "name": "*", "unit": "requests", "period": "day", "soft": 4, "hard": 5}
    made = client.run(client.api.create_limit(**limit))
    try:
        [left] = client.limits().remaining
        client.chat("Hi", model="echo", show=False)
        table = client.limits()
        assert list(table.remaining) == [left - 1]
        assert table.resets_at[0].tzinfo is not None
        assert (table.soft[0], table.hard[0], table.id[0]) == (4, 5, made["id"])
    finally:
        client.run(client.api.delete_limit(made["id"]))
    assert client.limits().empty


def test_prices_say_where_they_are_from_and_an_unpriced_model_has_none(client: Client) -> None:
    client.run(client.api.set_price("house/*", currency="CNY", input=1.5, output=6, source="our own contract"))
    try:
        table = client.prices().set_index("model")
        assert table.source["echo"] == "served here"
        assert table.loc["house/*", ["currency", "input", "output", "source"]].tolist() == [
            "CNY", 1.5, 6, "our own contract"
        ]  # fmt: skip
        assert table.set_by["house/*"] == client.run(client.api.status())["service"]["account"]
    finally:
        client.run(client.api.delete_price("house/*"))
