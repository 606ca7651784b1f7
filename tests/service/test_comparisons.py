"""One question to several models: each answers, fails, hangs or is stopped on its own, and a page finds it again."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmws.messages import Message, StreamEvent
from llmws.providers.base import CompletionRequest
from llmws.providers.echo import Echo
from llmws.service import comparisons
from llmws.service.identity import Person
from llmws.service.metering import Call, Receipt, metered
from llmws.settings import Settings

from .free_ledger import FreeLedger
from .harness import Api, Process, Running, app_for, asked, running_service, wait_for
from .model_server import ModelServer, model_server
from .test_access import People, by
from .test_edge import error

ENDLESS = {"extra": {"tokens": ["word "], "count": 1_000_000, "delay_s": 0.01}}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    """A provider `local` that says nothing until it is told to, and one `gone` that nobody answers for."""
    with model_server(tmp_path / "providers.toml") as server:
        with (tmp_path / "providers.toml").open("a") as providers:
            providers.write('[gone]\nname = "Gone"\nwire = "openai_chat"\nneeds_key = false\n')
            providers.write('base_url = "http://127.0.0.1:1/v1"\n')
        yield server


@pytest.fixture
def service(settings: Settings, local: ModelServer, tmp_path: Path) -> Iterator[Running]:
    with running_service(replace(settings, providers=tmp_path / "providers.toml")) as running:
        yield running


def compare(service: Api, *models: str, prompt: str = "Name a moon.", key: str | None = None, **more: Any) -> Any:
    return service.post("/api/comparisons", {"prompt": prompt, "models": list(models), **more}, key)


def now(service: Api, comparison: dict[str, Any]) -> Any:
    return service.get(f"/api/comparisons/{comparison['id']}")


def ended(service: Api, comparison: dict[str, Any]) -> Any:
    """The comparison once nothing of it runs any more."""
    return wait_for(lambda: (told := now(service, comparison))["running"] == 0 and told, "all answers to end")


def texts(comparison: dict[str, Any]) -> list[str]:
    return [Message.from_dict(item["message"]).text if item["message"] else "" for item in comparison["items"]]


def test_every_model_answers_as_often_as_asked_in_the_order_asked(service: Running) -> None:
    begun = compare(service, "echo", "nowhere", "echo", repeat=2)
    assert [(item["model"], item["repeat"]) for item in begun["items"]] == [
        (model, repeat) for model in ("echo", "nowhere", "echo") for repeat in (1, 2)
    ]
    told = ended(service, begun)
    assert texts(told) == ["Name a moon."] * 2 + [""] * 2 + ["Name a moon."] * 2
    assert [item["finish_reason"] for item in told["items"]] == ["stop"] * 2 + ["error"] * 2 + ["stop"] * 2


def test_what_was_asked_comes_back(service: Running) -> None:
    begun = compare(service, "echo", system="Be brief.", parameters={"temperature": 0, "max_tokens": 1})
    told = ended(service, begun)
    assert (told["prompt"], told["system"], told["models"]) == ("Name a moon.", "Be brief.", ["echo"])
    assert told["parameters"] == {"temperature": 0, "max_tokens": 1}
    assert texts(told) == ["Name"]
    assert told["items"][0]["finish_reason"] == "length"


def test_a_conversation_can_be_compared(service: Running) -> None:
    turns = [Message.user("Hi"), Message("assistant", Message.user("Hello").parts), Message.user("And Titan?")]
    body = {"messages": [turn.to_dict() for turn in turns], "models": ["echo"]}
    told = ended(service, service.post("/api/comparisons", body))
    assert (told["prompt"], texts(told)) == ("And Titan?", ["And Titan?"])


def test_one_failure_stops_no_other(service: Running, local: ModelServer) -> None:
    begun = compare(service, "nowhere", "gone/m", "local/m", "echo")
    told = wait_for(lambda: (told := now(service, begun))["running"] == 1 and told, "all but the hanging one")
    unknown, gone, hanging, echo = told["items"]
    assert (unknown["generation_id"], unknown["state"], unknown["error"]["code"]) == (None, "ended", "not_found")
    assert (gone["state"], gone["error"]["code"]) == ("ended", "provider_network")
    assert gone["error"]["remedy"]
    assert (hanging["state"], hanging["message"], hanging["error"]) == ("running", None, None)
    assert (echo["state"], echo["error"], echo["message"]["parts"][0]["text"]) == ("ended", None, "Name a moon.")
    local.say("Titan.")
    local.finish()
    assert texts(ended(service, begun))[2] == "Titan."


def test_each_answer_is_a_generation_that_a_page_attaches_to(service: Running, local: ModelServer) -> None:
    begun = compare(service, "local/m")
    generation = begun["items"][0]["generation_id"]
    events = service.events(generation)
    assert next(events).event.type == "start"
    local.say("Io.")
    assert next(events).event.text == "Io."
    local.finish()
    assert [event.type for _, event in events] == ["usage", "end"]
    about = service.get(f"/api/generations/{generation}")
    assert (about["purpose"], about["chat_id"]) == ("compare", None)


def test_cancel_stops_every_answer_and_keeps_what_was_said(service: Running, local: ModelServer) -> None:
    other = compare(service, "local/m")
    endless = compare(service, "echo", "nowhere", "echo", repeat=2, parameters=ENDLESS)
    for item in endless["items"][:2]:
        assert next(service.events(item["generation_id"], after=1)).event.text
    service.post(f"/api/comparisons/{endless['id']}/cancel")
    told = ended(service, endless)
    assert [item["finish_reason"] for item in told["items"]] == ["cancelled"] * 2 + ["error"] * 2 + ["cancelled"] * 2
    assert all(text.startswith("word ") for text in texts(told)[:2])
    assert [item["error"] for item in told["items"] if item["generation_id"]] == [None] * 4
    assert now(service, other)["running"] == 1, "another comparison goes on"
    local.finish()
    ended(service, other)


def test_of_one_model_few_answer_at_once_and_those_that_wait_can_be_stopped(
    service: Running, local: ModelServer
) -> None:
    begun = compare(service, "local/m", "echo", repeat=4)
    wait_for(lambda: now(service, begun)["running"] == 4, "the echo's answers")
    wait_for(lambda: len(local.asked) == comparisons.AT_ONCE, "the first to be asked")
    service.post(f"/api/comparisons/{begun['id']}/cancel")
    told = ended(service, begun)
    assert [item["finish_reason"] for item in told["items"]] == ["cancelled"] * 4 + ["stop"] * 4
    assert len(local.asked) == comparisons.AT_ONCE


class Turn:
    """A turn that takes a while to come."""

    came = 0.0

    async def __aenter__(self) -> None:
        await asyncio.sleep(0.05)
        self.came = time.monotonic()

    async def __aexit__(self, *_: object) -> None: ...


async def test_waiting_for_its_turn_is_no_time_of_the_model() -> None:
    turn, receipts = Turn(), []

    async def settle(receipt: Receipt, tail: list[StreamEvent]) -> list[StreamEvent]:
        receipts.append(receipt)
        return tail

    request = CompletionRequest("echo", (Message.user("Hi"),))
    call = Call(Person("ada", frozenset({"chat"})), "echo", "echo", Echo(), request, turn=turn)
    await metered(call, FreeLedger(), lambda event: None, settle)
    assert turn.came
    assert receipts[0].timing.total_s <= time.monotonic() - turn.came


def test_the_same_key_finds_the_same_comparison(service: Running, local: ModelServer) -> None:
    first = compare(service, "echo", "local/m", "nowhere", key="once")
    again = compare(service, "echo", "local/m", "nowhere", key="once")
    assert again["id"] == first["id"]
    assert [item["generation_id"] for item in again["items"]] == [item["generation_id"] for item in first["items"]]
    assert len(service.get("/api/comparisons")["items"]) == 1
    wait_for(lambda: local.asked, "the model to be asked")
    service.post(f"/api/comparisons/{first['id']}/cancel")
    told = ended(service, first)
    assert compare(service, "echo", "local/m", "nowhere", key="once") == told
    assert len(local.asked) == 1
    refused = service.http.post(
        "/api/comparisons", json={"prompt": "Other", "models": ["echo"]}, headers={"Idempotency-Key": "once"}
    )
    assert error(refused, 409)["code"] == "conflict"


def test_comparisons_are_listed_newest_first_by_pages(service: Running) -> None:
    made = [compare(service, "echo", prompt=f"Moon {number}") for number in range(3)]
    for comparison in made:
        ended(service, comparison)
    first = service.get("/api/comparisons", limit=2)
    rest = service.get("/api/comparisons", limit=2, cursor=first["next_cursor"])
    assert [item["prompt"] for item in first["items"] + rest["items"]] == ["Moon 2", "Moon 1", "Moon 0"]
    assert "items" not in first["items"][0]
    assert rest["next_cursor"] is None


def test_a_killed_service_finds_it_again_with_what_was_said(process: Process) -> None:
    service = process.start()
    begun = compare(service, "echo", "nowhere", parameters=ENDLESS, key="once")
    item = begun["items"][0]
    wait_for(lambda: len(_segments(process, item["generation_id"])) > 0, "something to be kept")
    process.end(signal.SIGKILL)
    service.close()
    service = process.start()
    told = now(service, begun)
    assert [item["finish_reason"] for item in told["items"]] == ["interrupted", "error"]
    assert texts(told)[0].startswith("word ")
    assert compare(service, "echo", "nowhere", parameters=ENDLESS, key="once") == told
    service.close()


def _segments(process: Process, generation_id: str) -> Any:
    with closing(sqlite3.connect(process.data / "llmws.db")) as connection:
        return connection.execute("SELECT 1 FROM segments WHERE generation_id = ?", (generation_id,)).fetchall()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"models": ["echo"]}, "either a prompt or messages"),
        ({"models": ["echo"], "prompt": "a", "messages": [Message.user("b").to_dict()]}, "either a prompt or messages"),
        ({"models": [], "prompt": "a"}, "models"),
        ({"models": ["echo"], "prompt": ""}, "prompt"),
        ({"models": ["echo"], "prompt": "a", "repeat": 0}, "repeat"),
        ({"models": ["echo"] * 3, "prompt": "a", "repeat": 34}, "102 answers"),
        ({"models": ["echo"], "prompt": "a", "parameters": {"temprature": 0}}, "temprature"),
        ({"models": ["echo"], "prompt": "a", "model": "echo"}, "model"),
    ],
)
def test_what_cannot_be_is_refused(service: Running, body: dict[str, Any], said: str) -> None:
    refused = service.http.post("/api/comparisons", json=body)
    assert said in error(refused, 422)["message"]
    assert service.get("/api/comparisons")["items"] == []


async def test_nobody_sees_or_stops_another_s(settings: Settings) -> None:
    body = {"prompt": "Hi", "models": ["echo"]}
    with app_for(settings, People()) as app:
        async with asked(app) as http:
            hers = {**by("ada"), "Idempotency-Key": "same"}
            made = (await http.post("/api/comparisons", json=body, headers=hers)).json()
            his = {**by("eve"), "Idempotency-Key": "same"}
            assert (await http.post("/api/comparisons", json=body, headers=his)).json()["id"] != made["id"]
            path = f"/api/comparisons/{made['id']}"
            assert (await http.get(path, headers=by("eve"))).status_code == 404
            assert (await http.post(f"{path}/cancel", headers=by("eve"))).status_code == 404
            assert len((await http.get("/api/comparisons", headers=by("eve"))).json()["items"]) == 1
            assert (await http.post("/api/comparisons", json=body, headers=by("nobody"))).status_code == 403
