"""Pictures, files and functions on the page without a browser: a real service, a vendor that calls what it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmws import ui
from llmws.client import Client
from llmws.client.bridge import bridge
from llmws.client.finding import Given
from llmws.settings import Settings
from llmws.ui import tools as tools_module
from tests.service.harness import Running, running_service, wait_for
from tests.service.vendor_server import VendorServer, vendor_server

from .tab import Browser


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server() as vendor:
        yield vendor


@pytest.fixture
def service(settings: Settings, vendor: VendorServer) -> Iterator[Running]:
    with running_service(replace(settings, title_model="none")) as running:
        running.post("/api/providers", {"vendor": "vllm", "base_url": vendor.url})
        running.post("/api/providers/vllm/sync")
        yield running


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    finder = Given(service.instance.url, service.instance.token)
    client = Client(finder, bridge().run(finder.address()))
    yield client
    client.close()


@pytest.fixture
def open_page(client: Client, sent: list[dict[str, Any]]) -> Iterator[Callable[..., Browser]]:
    pages: list[ui.Chat] = []

    def make(**options: Any) -> Browser:
        pages.append(ui.Chat(client, **options))
        return Browser(pages[-1], sent)

    yield make
    for page in pages:
        page.close()


@pytest.fixture
def ran() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def add(ran: list[tuple[int, int]]) -> Callable[..., int]:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        ran.append((a, b))
        return a + b

    return add


CALLS = [("add", '{"a": 1, "b": 2}'), ("add", '{"a": 3, "b": 4}')]


def ask(browser: Browser, vendor: VendorServer, *rounds: list[tuple[str, str]], **more: Any) -> tuple[str, str]:
    """Have the model call functions; the ids of the chat and of the first answer that waits."""
    vendor.rounds = list(rounds)
    told = browser.ask("say", text="Add.", key=f"key-{browser.requests}", model="vllm/m", **more)["value"]
    message = told["items"][1]["id"]
    # Browsers that were there all the time learn how it stands with the calls, too.
    browser.wait(lambda heard: heard["type"] == "calls" and heard["message"] == message)
    return told["chat"]["id"], message


def ended(browser: Browser, generation: str) -> None:
    browser.wait(
        lambda message: (
            message["type"] == "deltas"
            and any(one == generation and events[-1]["type"] == "end" for one, events in message["streams"])
        )
    )


def shown(browser: Browser, chat: str) -> list[dict[str, Any]]:
    """The calls of the last message, as a page that is reloaded shows them."""
    calls = [
        part["data"]
        for part in browser.ask("show", id=chat)["value"]["messages"][-1]["message"]["parts"]
        if part["type"] == "tool_call"
    ]
    return [{name: call.get(name, "") for name in ("id", "name", "arguments")} for call in calls]


def results(vendor: VendorServer) -> list[str]:
    bodies = [body for path, _, body in vendor.asked if path == "/chat/completions"]
    return [told["content"] for told in bodies[-1]["messages"] if told["role"] == "tool"]


def test_a_model_that_makes_vectors_only_is_not_offered(open_page: Callable[..., Browser]) -> None:
    models = {model["id"] for model in open_page().ask("start", chat=None)["value"]["models"]}
    assert {"vllm/m", "vllm/m-large"} <= models
    assert "vllm/text-embedding-m" not in models


def appended(browser: Browser) -> dict[str, Any]:
    """What was said because of decisions, once the model has answered to it."""
    told = browser.wait(lambda message: message["type"] == "appended" and message["view"] is None)
    ended(browser, told["items"][1]["generation_id"])
    return told


def test_nothing_runs_before_it_is_allowed_and_the_model_is_told(
    open_page: Callable[..., Browser], vendor: VendorServer, add: Any, ran: list[Any]
) -> None:
    browser = open_page(tools=[add])
    chat, message = ask(browser, vendor, CALLS)
    assert vendor.asked[-1][2]["tools"][0]["function"]["description"] == "Add two numbers."
    snapshot = browser.ask("start", view="reloaded", chat=chat)["value"]["chat"]
    first, second = shown(browser, chat)
    waiting = {"state": "waiting", "known": True}
    assert snapshot["calls"] == {"message": message, "states": {first["id"]: waiting, second["id"]: waiting}}
    assert ran == []
    browser.ask("decide", chat=chat, message=message, call=first, decision="deny")
    assert ran == []
    for _ in range(2):  # pressed twice, or in two tabs
        browser.ask("decide", chat=chat, message=message, call=second, decision="allow")
    told = appended(browser)
    assert ran == [(3, 4)]
    assert [item["message"]["role"] for item in told["items"]] == ["tool", "assistant"]
    assert "did not allow" in results(vendor)[0]
    assert results(vendor)[1] == "7"
    states = browser.of("calls")[-1]["states"]
    assert states[first["id"]]["denied"] is True
    assert states[second["id"]] == {"state": "done", "text": "7", "error": False, "denied": False}


def test_a_message_that_the_model_did_not_ask_for_runs_nothing(
    open_page: Callable[..., Browser], vendor: VendorServer, add: Any, ran: list[Any]
) -> None:
    browser = open_page(tools=[add])
    chat, message = ask(browser, vendor, CALLS[:1])
    [call] = shown(browser, chat)
    decide = {"chat": chat, "message": message, "decision": "allow"}
    for changed in ({"name": "subtract"}, {"arguments": '{"a": 1, "b": 3}'}, {"id": "call-other"}, {"arguments": 3}):
        told = browser.ask("decide", **decide, call={**call, **changed})
        assert told["error"]["code"] == "invalid_request"
    assert browser.ask("decide", **{**decide, "message": "0" * 32}, call=call)["error"]["code"] == "conflict"
    assert browser.ask("decide", **{**decide, "decision": "run"}, call=call)["error"]["code"] == "invalid_request"
    assert browser.ask("decide", **{**decide, "decision": "again"}, call=call)["value"] is False
    browser.ask("say", text="Never mind.", key="on", chat=chat, model="vllm/m")
    assert browser.ask("decide", **decide, call=call)["error"]["code"] == "conflict"
    assert ran == []


def test_always_is_for_one_function_in_one_conversation_and_not_for_ever(
    open_page: Callable[..., Browser],
    vendor: VendorServer,
    add: Any,
    ran: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leave() -> None:
        """Leave."""
        ran.append("left")

    monkeypatch.setattr(tools_module, "AUTOMATIC_ROUNDS", 1)
    browser = open_page(tools=[add, leave])
    chat, message = ask(browser, vendor, CALLS)
    first, _ = shown(browser, chat)
    browser.ask("decide", chat=chat, message=message, call=first, decision="always")
    appended(browser)
    assert sorted(ran) == [(1, 2), (3, 4)]
    del browser.sent[:]
    ask(browser, vendor, [CALLS[0]], chat=chat)
    appended(browser)
    assert len(ran) == 3
    elsewhere, _ = ask(browser, vendor, [CALLS[0]])
    assert [call["name"] for call in shown(browser, elsewhere)] == ["add"]
    _, message = ask(browser, vendor, [("leave", "{}")], chat=chat)
    assert browser.ask("show", id=chat)["value"]["calls"]["message"] == message
    del browser.sent[:]
    # The second round in a row since a person spoke: they are asked again.
    ask(browser, vendor, [CALLS[0]], [CALLS[1]], chat=chat)
    second = appended(browser)["items"][1]["id"]
    calls = browser.ask("show", id=chat)["value"]["calls"]
    assert calls == {"message": second, "states": {shown(browser, chat)[0]["id"]: {"state": "waiting", "known": True}}}
    assert len(ran) == 4


def test_what_fails_or_is_unknown_is_told_to_the_model(
    open_page: Callable[..., Browser], vendor: VendorServer, ran: list[Any]
) -> None:
    def fail(why: str) -> None:
        """Fail."""
        raise RuntimeError(why)

    browser = open_page(tools=[fail])
    calls = [("fail", '{"why": "no wind"}'), ("fail", '{"why": 3}'), ("nothing", "{}")]
    chat, message = ask(browser, vendor, calls)
    states = browser.of("calls")[-1]["states"]
    assert browser.ask("show", id=chat)["value"]["calls"]["states"] == states
    assert [one["known"] for one in states.values()] == [True, True, False]
    for call in shown(browser, chat):
        browser.ask("decide", chat=chat, message=message, call=call, decision="allow")
    appended(browser)
    assert results(vendor)[0] == "RuntimeError: no wind"
    assert results(vendor)[1].startswith("why: Input should be a valid string")
    assert results(vendor)[2] == "There is no function 'nothing'. There are: fail."


def test_a_function_that_takes_long_holds_up_nobody(open_page: Callable[..., Browser], vendor: VendorServer) -> None:
    go_on = threading.Event()

    def wait() -> str:
        """Wait."""
        go_on.wait(20)
        return threading.current_thread().name

    browser = open_page(tools=[wait])
    chat, message = ask(browser, vendor, [("wait", "{}")])
    [call] = shown(browser, chat)
    browser.ask("decide", chat=chat, message=message, call=call, decision="allow")
    assert browser.ask("show", id=chat)["value"]["calls"]["states"] == {call["id"]: {"state": "running"}}
    assert browser.ask("pulse")["value"]["models"]
    go_on.set()
    appended(browser)
    assert results(vendor)[0] not in ("", threading.main_thread().name)


def test_a_function_that_runs_is_stopped_or_left(
    open_page: Callable[..., Browser], vendor: VendorServer, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        """Wait."""
        go_on.wait(20)
        ran.append("waited")

    async def rest() -> None:
        """Rest."""
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ran.append("cleared up")

    browser = open_page(tools=[wait, rest])
    chat, message = ask(browser, vendor, [("wait", "{}"), ("rest", "{}")])
    plain, coroutine = shown(browser, chat)
    decide = {"chat": chat, "message": message}
    for call in (plain, coroutine):
        browser.ask("decide", **decide, call=call, decision="allow")
    assert begun.wait(20)
    assert browser.ask("decide", **decide, call=coroutine, decision="stop")["value"] is False
    assert ran == ["cleared up"]
    monkeypatch.setattr(tools_module, "_STOP_S", 0.01)
    # Python ends no thread: it is told that it goes on.
    assert browser.ask("decide", **decide, call=plain, decision="stop")["value"] is True
    appended(browser)
    assert results(vendor) == [
        "The person stopped waiting for this call. It still runs in their kernel; what it will return is not known.",
        "The person stopped this call.",
    ]
    assert ran == ["cleared up"]
    before = len(browser.sent)
    go_on.set()
    wait_for(lambda: len(ran) == 2, "the function's end")
    assert browser.ask("pulse")["value"]["models"]
    assert not [told for told in browser.sent[before:] if told["type"] in ("calls", "appended", "refused")]


def test_pictures_and_files_go_along_by_their_ids_and_their_text_stays_here(
    open_page: Callable[..., Browser], vendor: VendorServer, service: Running
) -> None:
    browser = open_page()
    assert browser.ask("upload")["value"].startswith("attachments/upload?ticket=")
    added = service.http.post("/api/attachments", content=b"Io,3", params={"name": "moons.csv"}).json()
    said = [{"type": "file", "id": added["id"]}]
    told = browser.ask("say", text="What?", key="k", model="vllm/m", attachments=said)["value"]
    about = {"attachment": added["id"], "name": "moons.csv", "media_type": "text/csv"}
    assert told["items"][0]["message"]["parts"] == [{"type": "file", "data": about}, {"type": "text", "text": "What?"}]
    browser.ended()
    assert [part.text for part in browser.page.messages[0].parts] == ["Io,3", "What?"]
    paths = browser.ask("pictures", ids=[added["id"], "nothing"])["value"]
    assert list(paths) == [added["id"]]
    assert paths[added["id"]].startswith(f"attachments/{added['id']}/download?ticket=")
    for wrong in ([{"type": "file"}], [{"type": "url", "id": "x"}], ["x"], [{"type": "image", "id": 3}]):
        refused = browser.ask("say", text="What?", key="x", model="vllm/m", attachments=wrong)
        assert refused["error"]["code"] == "invalid_request"
    assert browser.ask("pictures", ids=["x"] * 51)["error"]["code"] == "invalid_request"
    assert browser.ask("pictures", ids=[3])["error"]["code"] == "invalid_request"


def test_a_function_without_hints_is_refused_at_once(client: Client) -> None:
    with pytest.raises(Exception, match="no function that a model can call"):
        ui.Chat(client, tools=[lambda x: x])
