"""What was used, as one asks for it; and prices and rates, as administrators set them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from llmws.service.identity import Person
from llmws.settings import Settings
from llmws.store import usage
from llmws.store.usage import UsageRow

from .harness import Running, app_for, asked, running_service
from .model_server import ModelServer, model_server
from .test_access import by

PRICE = {"currency": "CNY", "input": 500_000, "output": 1_000_000}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    with model_server(tmp_path / "providers.toml") as server:
        yield server


@pytest.fixture
def with_local(settings: Settings, tmp_path: Path, local: ModelServer) -> Iterator[Running]:
    with running_service(replace(settings, providers=tmp_path / "providers.toml")) as service:
        yield service


def put(service: Running, path: str, body: Any) -> Any:
    return service._json(service.http.put(path, json=body))


# Prices


def test_a_price_that_is_set_is_the_cost_of_what_comes_after(with_local: Running, local: ModelServer) -> None:
    body = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}], "model": "local/m"}

    def answered() -> Any:
        local.say("Well.")
        local.finish()
        return with_local.message(with_local.post("/api/generations", body)["id"])

    assert answered().cost is None, "unpriced"
    told = put(with_local, "/api/prices/local/m", PRICE)
    assert told["price"]["source"].startswith("set by ")
    message = answered()
    assert message.usage is not None
    assert message.cost == message.usage.input_tokens / 2 + message.usage.output_tokens > 0
    assert message.currency == "CNY"
    kept = with_local.get("/api/usage/calls")["items"]
    assert [(row["cost"], row["currency"]) for row in kept] == [(message.cost, "CNY"), (None, None)]
    assert kept[0]["price"].startswith("input 500000, output 1000000 CNY per million tokens (set by ")
    assert with_local.http.delete("/api/prices/local/m").status_code == 204
    assert answered().cost is None


def test_a_pattern_prices_all_that_it_names_and_the_longest_says_most(with_local: Running) -> None:
    put(with_local, "/api/prices/local/*", {"currency": "USD", "input": 0, "output": 0, "source": "ours"})
    put(with_local, "/api/prices/loc*", {"currency": "USD", "input": 9, "output": 9})
    put(with_local, "/api/prices/local/later", {**PRICE, "valid_from": "2999-01-01"})
    told = {item["model"]: item for item in with_local.get("/api/prices")["items"]}
    assert told["local/m"]["price"]["source"] == "ours"
    assert told["local/m"]["set_by"] is None
    assert told["loc*"]["price"]["input"] == 9
    assert told["local/later"]["price"]["source"] == "ours", "not before its day"
    assert told["echo"]["price"] == {
        "currency": "USD",
        "input": 0,
        "output": 0,
        "valid_from": None,
        "checked": None,
        "source": "served here",
        "second_hand": "",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"currency": "EUR", "input": 1},
        {"currency": "USD"},
        {"currency": "USD", "input": -1},
        {"currency": "USD", "input": 0.00000001},
        {"currency": "USD", "input": 1, "hours": [{"begin": "24:00", "end": "01:00", "input": 1}]},
        {"currency": "USD", "input": 1, "inputs": 1},
    ],
)
def test_what_no_price_can_be_is_refused(service: Running, wrong: dict[str, Any]) -> None:
    assert service.http.put("/api/prices/echo", json=wrong).status_code == 422
    assert service.get("/api/prices")["items"][0]["set_by"] is None


def test_what_was_not_set_cannot_be_taken_back(service: Running) -> None:
    assert service.http.delete("/api/prices/echo").status_code == 404


# Usage


def kept(service: Running, *rows: UsageRow) -> None:
    service.server.app.state.store._writer.submit(usage.add_all, list(rows)).result()


def row(service: Running, at: str = "2026-03-01T12:00:00", **more: Any) -> UsageRow:
    account = service.get("/api/status")["service"]["account"]
    told = {"provider": "p", "model": "p/a", "purpose": "chat", "outcome": "stop", "output_tokens": 10, **more}
    return UsageRow(told.pop("owner", account), created_at=datetime.fromisoformat(at).timestamp(), **told)


def test_sums_are_by_what_one_asks_for_and_each_currency_is_its_own(service: Running) -> None:
    dear = {"cost": Decimal("0.1"), "currency": "USD"}
    cheap = {"cost": Decimal("0.2"), "currency": "CNY", "source": "estimate", "purpose": "compare"}
    kept(service, row(service, **dear), row(service, **dear), row(service, **cheap), row(service, model="p/b"))
    first, second = service.get("/api/usage", by="model")["items"]
    assert first == {
        "model": "p/a",
        "calls": 3,
        "input_tokens": 0,
        "output_tokens": 30,
        "reasoning_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "costs": {"CNY": 0.2, "USD": 0.2},
        "unpriced_calls": 0,
        "estimated_calls": 1,
    }
    assert (second["model"], second["costs"], second["unpriced_calls"]) == ("p/b", {}, 1)
    by_purpose = service.get("/api/usage", by="purpose")["items"]
    assert [(item["purpose"], item["calls"]) for item in by_purpose] == [("chat", 3), ("compare", 1)]


def test_from_when_until_when_to_the_second(service: Running) -> None:
    times = [f"2026-03-01T{clock}" for clock in ("09:59:59", "10:00:00", "10:30:00", "12:29:59", "12:30:00")]
    kept(service, *(row(service, at) for at in times))

    def counted(**query: Any) -> int:
        return sum(item["calls"] for item in service.get("/api/usage", **query)["items"])

    assert counted() == 5
    assert counted(since="2026-03-01T10:00:00", until="2026-03-01T12:30:00") == 3
    assert counted(since=datetime.fromisoformat(times[2]).timestamp(), until="2026-03-01T10:30:01") == 1
    assert counted(since="2026-03-01") == 5
    assert counted(until="2026-03-01") == 0
    calls = service.get("/api/usage/calls", since="2026-03-01T12:00:00", limit=1)
    assert len(calls["items"]) == 1
    again = service.get("/api/usage/calls", since="2026-03-01T12:00:00", limit=1, cursor=calls["next_cursor"])
    assert (len(again["items"]), again["next_cursor"]) == (1, None)
    assert service.http.get("/api/usage", params={"since": "0001-01-01T00:00:00"}).status_code in (200, 422)


@pytest.mark.parametrize(("zone", "hour"), [("Asia/Shanghai", 0), ("Asia/Kolkata", 2)])
def test_a_day_is_the_service_s_even_where_it_begins_at_half_past(
    settings: Settings, zone: str, hour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with running_service(settings) as service:
            late, early = "2026-03-01T23:59:59", "2026-03-02T00:00:00"
            kept(service, row(service, late), row(service, early), row(service, "2026-03-04T08:00:00"))
            items = service.get("/api/usage", by="day")["items"]
            assert [(item["day"], item["calls"]) for item in items] == [
                ("2026-03-01", 1),
                ("2026-03-02", 1),
                ("2026-03-04", 1),
            ]
            hours = service.get("/api/usage", by="hour", since="2026-03-04")["items"]
            assert [datetime.fromisoformat(item["hour"]).astimezone(UTC).hour for item in hours] == [hour]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_another_currency_is_converted_by_the_rate_of_the_day_or_not_at_all(service: Running) -> None:
    spent = {"cost": Decimal(10), "currency": "CNY"}
    kept(service, row(service, "2026-01-15T12:00:00", **spent), row(service, "2026-02-15T12:00:00", **spent))
    assert service.get("/api/usage", currency="USD")["items"][0]["total"] is None
    rate = {"currency": "CNY", "into": "USD", "rate": 0.1, "valid_from": "2026-01-01"}
    put(service, "/api/exchange-rates", rate)
    put(service, "/api/exchange-rates", {**rate, "rate": 0.2, "valid_from": "2026-02-01"})
    item = service.get("/api/usage", currency="USD")["items"][0]
    assert (item["total"], item["costs"]) == (3.0, {"CNY": 20.0})
    assert service.get("/api/usage", currency="CNY")["items"][0]["total"] == 20.0
    assert [one["rate"] for one in service.get("/api/exchange-rates")["items"]] == [0.2, 0.1]
    same = service.http.put("/api/exchange-rates", json={**rate, "into": "CNY"})
    assert same.status_code == 422


def test_more_years_than_anybody_reads_are_refused(service: Running) -> None:
    kept(service, row(service, "1971-01-01T00:00:00"))
    assert service.http.get("/api/usage", params={"by": "day"}).status_code == 422
    assert service.get("/api/usage", by="day", until="1971-01-03")["items"][0]["calls"] == 1


# Who may see what


class People:
    """Each token is a person's name; root administers."""

    hosts = None
    revocable = False

    async def person(self, token: str, fresh: bool = False) -> Person | None:
        scopes = frozenset({"chat", "train", "admin"} if token == "root" else {"chat"})
        return Person(token, scopes, frozenset({"researchers"}))

    async def aclose(self) -> None: ...


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    with app_for(settings, People()) as app:
        yield app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with asked(app) as http:
        yield http


async def test_people_see_their_own_and_administrators_everyone_s(app: FastAPI, http: httpx.AsyncClient) -> None:
    rows = [
        UsageRow(owner, "p", "p/a", "chat", "stop", groups=groups)
        for owner, groups in (("ada", ("a", "b")), ("ada", ("a",)), ("eve", ()))
    ]
    await app.state.store.write(usage.add_all, rows)

    async def asked(who: str, path: str = "/api/usage", **query: Any) -> Any:
        return (await http.get(path, params=query, headers=by(who))).json()

    assert [item["calls"] for item in (await asked("ada"))["items"]] == [2]
    assert [item["calls"] for item in (await asked("root"))["items"]] == []
    people = (await asked("root", by="person", everyone=1))["items"]
    assert [(item["person"], item["calls"]) for item in people] == [("ada", 2), ("eve", 1)]
    groups = (await asked("root", by="group", everyone=1))["items"]
    assert [(item["group"], item["calls"]) for item in groups] == [("a", 2), ("", 1), ("b", 1)]
    for path in ("/api/usage", "/api/usage/calls"):
        assert (await asked("eve", path, everyone=1))["error"]["code"] == "forbidden"
    assert len((await asked("eve", "/api/usage/calls"))["items"]) == 1
    assert len((await asked("root", "/api/usage/calls", everyone=1))["items"]) == 3


async def test_only_administrators_set_prices_rates_and_limits(http: httpx.AsyncClient) -> None:
    limit = {"kind": "person", "name": "*", "unit": "requests", "period": "day", "hard": 5}
    rate = {"currency": "CNY", "into": "USD", "rate": 0.1, "valid_from": "2026-01-01"}
    for method, path, body in (
        ("PUT", "/api/prices/echo", PRICE),
        ("DELETE", "/api/prices/echo", None),
        ("PUT", "/api/exchange-rates", rate),
        ("POST", "/api/limits", limit),
        ("PATCH", "/api/limits/1", {"hard": 1}),
        ("DELETE", "/api/limits/1", None),
    ):
        assert (await http.request(method, path, json=body, headers=by("ada"))).status_code == 403, path
    for theirs in ({"name": "eve"}, {"name": "*"}, {"kind": "group", "name": "others"}):
        assert (await http.post("/api/limits", json={**limit, **theirs}, headers=by("root"))).status_code == 201
    mine = (await http.get("/api/limits", headers=by("ada"))).json()["items"]
    assert [(one["name"], one["subject"], one["remaining"]) for one in mine] == [("*", "ada", 5)]
    every = (await http.get("/api/limits", headers=by("root"))).json()["items"]
    assert [one["name"] for one in every] == ["eve", "*", "others"]


async def test_what_programs_spent_shows_in_the_sums(http: httpx.AsyncClient) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "a b c"}]}
    answers = await asyncio.gather(
        *(http.post("/v1/chat/completions", json=body, headers=by("ada")) for _ in range(20))
    )
    reported = sum(answer.json()["usage"]["completion_tokens"] for answer in answers)
    [item] = (await http.get("/api/usage", params={"by": "purpose"}, headers=by("ada"))).json()["items"]
    assert (item["purpose"], item["calls"], item["output_tokens"]) == ("gateway", 20, reported)
    assert item["costs"] == {"USD": 0.0}
