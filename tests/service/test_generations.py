"""Answers while they are written: they arrive at once, can be resumed, shared, stopped, and outlive whoever asked."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmws.errors import StoreError
from llmws.messages import Message, assemble, coalesce
from llmws.service import generations
from llmws.settings import Settings
from llmws.store import generations as kept

from .harness import LIMIT_S, Api, Process, Running, running_service, wait_for
from .model_server import ModelServer, model_server

STORY = [f"word{n} " for n in range(40)]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    with model_server(tmp_path / "providers.toml") as server:
        yield server


@pytest.fixture
def service(settings: Settings, local: ModelServer, tmp_path: Path) -> Iterator[Running]:
    with running_service(replace(settings, providers=tmp_path / "providers.toml")) as running:
        yield running


def ask_local(service: Api, text: str = "Hello") -> str:
    body = {"messages": [Message.user(text).to_dict()], "model": "local/m"}
    return str(service.post("/api/generations", body)["id"])


def test_each_event_arrives_before_the_next_is_sent(service: Running, local: ModelServer) -> None:
    events = service.events(ask_local(service))
    assert next(events).event.type == "start"
    for word in ("one ", "two ", "three ", "four ", "five "):
        local.say(word)
        assert next(events).event.text == word
    local.finish()
    assert [event.type for _, event in events] == ["usage", "end"]


def test_events_of_a_slow_model_come_one_by_one(service: Running) -> None:
    answer = service.ask("", tokens=list("abcde"), delay_s=0.1)
    events = [event for _, event in service.events(answer["id"])]
    assert [event.text for event in events if event.type == "text"] == list("abcde")
    assert events[-1].timing is not None
    assert events[-1].timing.total_s is not None
    assert events[-1].timing.total_s > 0.4


def test_positions_resume_a_running_answer_anywhere(service: Running, local: ModelServer) -> None:
    generation = ask_local(service)
    for word in ("Once ", "upon ", "a time."):
        local.say(word)
    events = service.events(generation)
    seen = [next(events) for _ in range(2)]
    resumed = service.events(generation, after=seen[-1].position)
    local.finish()
    rest = list(resumed)
    assert assemble(event for _, event in [*seen, *rest]).text == "Once upon a time."
    assert assemble(event for _, event in [*seen, *rest]) == service.kept(generation)
    events.close()


def test_every_position_leads_to_the_same_message(service: Running, settings: Settings) -> None:
    answer = service.ask("", tokens=["Ä", "你好", " 👩‍🚀!", "end"], reasoning="Let me think.")
    whole = list(service.events(answer["id"]))
    message = assemble(event for _, event in whole)
    for cut, (position, _) in enumerate(whole):
        resumed = list(service.events(answer["id"], after=position)) if position < whole[-1].position else []
        assert assemble(event for _, event in [*whole[: cut + 1], *resumed]) == message
    assert service.kept(answer["id"]) == message


def test_a_replayed_answer_has_the_positions_of_the_live_one(settings: Settings) -> None:
    with running_service(settings) as service:
        answer = service.ask("", tokens=["one ", "two ", "three"], reasoning="Hm. ")
        live = list(service.events(answer["id"]))
    with running_service(settings) as service:
        message = assemble(event for _, event in live)
        assert service.message(answer["id"]) == message
        for cut, (position, _) in enumerate(live[:-1]):
            rest = service.events(answer["id"], after=position)
            assert assemble([event for _, event in [*live[: cut + 1], *rest]]) == message
        middle = live[2].position - 2
        assert next(service.events(answer["id"], after=middle)).position > middle


def test_a_second_client_sees_the_same(service: Running, local: ModelServer) -> None:
    generation = ask_local(service)
    first, second = service.events(generation), service.events(generation)
    assert next(first) == next(second)
    local.say("Hello")
    assert next(first) == next(second)
    local.finish()
    assert list(first) == list(second)


def test_a_client_that_is_killed_stops_nothing(service: Running, local: ModelServer) -> None:
    generation = ask_local(service)
    program = "import sys, urllib.request as u; print(u.urlopen(u.Request(*eval(sys.argv[1]))).readline(), flush=True)"
    url = f"{service.instance.url}/api/generations/{generation}/events"
    request = repr((url, None, {"Authorization": f"Bearer {service.instance.token}"}))
    stay = "; sys.stdin.read()"
    client = subprocess.Popen([sys.executable, "-c", program + stay, request], stdin=subprocess.PIPE, stdout=-1)
    assert client.stdin is not None
    assert client.stdout is not None
    assert b"start" in client.stdout.readline()
    local.say("said before ")
    client.send_signal(signal.SIGKILL)
    client.wait(LIMIT_S)
    client.stdout.close()
    client.stdin.close()
    local.say("and after")
    local.finish()
    message = service.message(generation)
    assert message.text == "said before and after"
    assert message == service.message(generation) == service.kept(generation)


def test_a_slow_reader_slows_nobody_and_misses_nothing(service: Running) -> None:
    answer = service.ask("", tokens=["z" * 50], count=20_000)
    lagging = socket.socket()
    lagging.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lagging.connect(("127.0.0.1", int(service.instance.url.rpartition(":")[2])))
    lagging.settimeout(LIMIT_S)
    ask = f"GET /api/generations/{answer['id']}/events HTTP/1.0\r\nHost: localhost\r\n"
    lagging.sendall(f"{ask}Authorization: Bearer {service.instance.token}\r\n\r\n".encode())
    message = service.message(answer["id"])
    assert len(message.text) == 1_000_000
    with lagging, lagging.makefile("rb") as stream:
        body = stream.read().decode()
    assert body.count("z") == 1_000_000
    assert '"type":"end"' in body


def test_a_position_past_the_end_still_gets_the_end(service: Running) -> None:
    answer = service.ask("Hi")
    *_, end = service.events(answer["id"])
    assert list(service.events(answer["id"], after=end.position)) == [end]
    assert list(service.events(answer["id"], after=10_000)) == [end]


@pytest.mark.parametrize("position", ["-1", "abc", "1.5"])
def test_a_position_that_is_none_is_refused(service: Running, position: str) -> None:
    path = f"/api/generations/{service.ask('Hi')['id']}/events"
    response = service.http.get(path, headers={"Last-Event-ID": position})
    assert response.status_code == 422
    assert "last-event-id" in response.json()["error"]["message"]


def test_stop_keeps_what_was_said_and_hangs_up(service: Running, local: ModelServer) -> None:
    generation = ask_local(service)
    events = service.events(generation)
    local.say("I was about to")
    seen = [next(events), next(events)]
    service.post(f"/api/generations/{generation}/cancel")
    seen += events
    message = assemble(event for _, event in seen)
    assert (message.text, message.finish_reason) == ("I was about to", "cancelled")
    assert message == service.kept(generation)
    assert message.usage is not None
    assert message.usage.source == "estimate"
    assert service.post(f"/api/generations/{generation}/cancel")["finish_reason"] == "cancelled"

    def noticed() -> bool:
        local.say("more")
        return local.hung_up.is_set()

    wait_for(noticed, "the model server to notice")


def test_what_a_call_used_is_kept_before_its_end_is_told(service: Running, settings: Settings) -> None:
    headers = {"X-Llmws-Notebook": "/home/%C3%A4/n.ipynb", "X-Llmws-Cell": "c1", "X-Llmws-Purpose": "judge"}
    body = {"messages": [Message.user("a b c").to_dict()], "model": "echo"}
    generation = service.http.post("/api/generations", json=body, headers=headers).json()
    for _, event in service.events(generation["id"]):
        if event.type == "usage":
            assert event.usage is not None
    with sqlite3.connect(settings.data / "llmws.db") as database:
        columns = "owner, provider, model, purpose, input_tokens, output_tokens, source, outcome, cost, currency"
        columns += ", notebook, cell"
        row = database.execute(f"SELECT {columns} FROM usage").fetchall()
    account = service.get("/api/status")["service"]["account"]
    assert row == [(account, "echo", "echo", "judge", 3, 3, "provider", "stop", 0, "USD", "/home/ä/n.ipynb", "c1")]


def test_usage_error_and_end_come_last_and_in_this_order(service: Running) -> None:
    answer = service.ask("one two three four", fail_after=2)
    events = coalesce(event for _, event in service.events(answer["id"]))
    assert [event.type for event in events] == ["start", "text", "usage", "error", "end"]
    message = assemble(events)
    assert (message.text, message.finish_reason) == ("one two", "error")
    assert message.error is not None
    assert message.error["code"] == "provider_overloaded"
    assert message == service.kept(answer["id"])


def test_a_refusal_is_the_answer_s_error(service: Running, local: ModelServer) -> None:
    local.refusal = (401, {"error": {"message": "bad key"}})
    chat = service.new_chat(model="local/m")
    sent = service.post(f"/api/chats/{chat['id']}/messages", {"text": "Hello"})
    message = service.message(sent["generation"]["id"])
    assert message.error is not None
    assert message.error["code"] == "provider_auth"
    assert message.error["remedy"]
    assert message.usage is not None
    assert message.usage.input_tokens == 0
    shown = service.get(f"/api/chats/{chat['id']}/messages")["items"][-1]["message"]
    assert Message.from_dict(shown) == message


def test_an_answer_that_breaks_off_keeps_what_was_said(service: Running, local: ModelServer) -> None:
    generation = ask_local(service)
    local.say("Half a")
    local.break_off()
    message = service.message(generation)
    assert (message.text, message.finish_reason) == ("Half a", "error")
    assert message.error is not None
    assert message.error["retryable"] is True


def test_an_unknown_model_is_refused_with_the_way_to_find_one(service: Running) -> None:
    response = service.http.post("/api/generations", json={"messages": [{"role": "user"}], "model": "gpt-9"})
    assert response.status_code == 404
    assert "client.models()" in response.json()["error"]["remedy"]


def test_a_repeated_request_begins_one_generation(service: Running) -> None:
    body = {"messages": [Message.user("Hi").to_dict()], "model": "echo"}
    first, again = (service.post("/api/generations", body, key="k1") for _ in range(2))
    other = service.post("/api/generations", body, key="k2")
    assert first["id"] == again["id"] != other["id"]
    assert service.message(again["id"]).text == "Hi"


def test_a_shutdown_interrupts_and_keeps(settings: Settings) -> None:
    with running_service(settings) as service:
        chat = service.new_chat()
        sent = service.send(chat["id"], "Go on", tokens=["never "], count=100_000, delay_s=0.01)
        events = service.events(sent["generation"]["id"])
        seen = [next(events) for _ in range(5)]
        service.post("/api/shutdown")
        seen += events
    message = assemble(event for _, event in seen)
    assert message.finish_reason == "interrupted"
    with running_service(settings) as service:
        assert service.kept(sent["generation"]["id"]) == message
        assert service.get(f"/api/chats/{chat['id']}")["running"] is None
        assert service.message(service.send(chat["id"], "Again")["generation"]["id"]).text == "Again"


def test_a_killed_service_keeps_what_was_said(process: Process) -> None:
    service = process.start()
    chat = service.new_chat()
    sent = service.send(chat["id"], "Go on", tokens=STORY, count=100_000, delay_s=0.01)
    generation = sent["generation"]["id"]

    def kept_stretches() -> list[int]:
        with closing(sqlite3.connect(process.data / "llmws.db")) as database:
            return [last for (last,) in database.execute("SELECT last_seq FROM segments ORDER BY last_seq")]

    # While it is being said, stretch after stretch is kept.
    wait_for(lambda: len(kept_stretches()) > 4, "what is said to be kept")
    kept_before = kept_stretches()[-1]
    process.end(signal.SIGKILL)
    service = process.start()
    message = service.message(generation)
    assert ("".join(STORY) * 100).startswith(message.text)
    assert len(message.text) + 1 >= kept_before
    assert message.finish_reason == "interrupted"
    assert list(service.events(generation, after=10_000_000))[-1].event.finish_reason == "interrupted"
    assert service.message(service.send(chat["id"], "Again")["generation"]["id"]).text == "Again"


def test_what_cannot_be_kept_is_told_and_kept_later(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, full = kept.finish, threading.Event()
    full.set()

    def on_a_full_disk(*args: Any) -> Any:
        if full.is_set():
            raise StoreError("The disk is full.", remedy="Make room.")
        return finish(*args)

    monkeypatch.setattr(kept, "finish", on_a_full_disk)
    generation = service.ask("Hello")["id"]
    message = service.message(generation)
    assert (message.text, message.finish_reason) == ("Hello", "error")
    assert message.error == {"code": "store", "message": "The disk is full.", "remedy": "Make room."}
    full.clear()
    wait_for(lambda: service.get(f"/api/generations/{generation}")["state"] == "ended", "the answer to be kept")
    assert service.kept(generation).finish_reason == "stop"


def test_of_many_messages_at_once_one_is_answered(service: Running) -> None:
    chat = service.new_chat()["id"]
    body = {"text": "Me first", "parameters": {"extra": {"tokens": ["on "], "count": 100_000, "delay_s": 0.01}}}
    with ThreadPoolExecutor(6) as people:
        asked = [people.submit(service.http.post, f"/api/chats/{chat}/messages", json=body) for _ in range(6)]
        statuses = sorted(answer.result().status_code for answer in asked)
    assert statuses == [202] + [409] * 5
    service.post(f"/api/generations/{service.get(f'/api/chats/{chat}')['running']}/cancel")


def test_more_answers_than_there_may_be_are_refused(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "MAX_RUNNING", 1)
    first = service.ask("", tokens=["on "], count=100_000, delay_s=0.01)["id"]
    body = {"messages": [Message.user("Hi").to_dict()], "model": "echo"}
    assert service.http.post("/api/generations", json=body).status_code == 503
    service.post(f"/api/generations/{first}/cancel")
    service.message(first)
    assert service.http.post("/api/generations", json=body).status_code == 202


def test_ended_answers_are_forgotten_and_replayed(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "REMEMBER", 2)
    asked = [service.ask(f"Hello {n}")["id"] for n in range(5)]
    seen = [list(service.events(generation)) for generation in asked]
    again = [list(service.events(generation)) for generation in asked]
    assert [coalesce(event for _, event in events) for events in again] == [
        coalesce(event for _, event in events) for events in seen
    ]
    live = service.server.app.state.generations._live
    wait_for(lambda: len(live) <= 2, "the others to be forgotten")
