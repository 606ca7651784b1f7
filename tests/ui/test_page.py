"""The page without a browser: a comm that only records, and the fake client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anywidget
import pytest

from llmws import ui
from llmws.errors import NotFound, ServiceError
from llmws.messages import Message, StreamEvent

from .fake_api import FakeClient
from .tab import VIEW, Browser

# The number of a request beside those that a `Browser` numbers itself.
LATE = 1000


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def browser(client: FakeClient, sent: list[dict[str, Any]]) -> Iterator[Browser]:
    page = ui.Chat(client)  # type: ignore[arg-type]
    yield Browser(page, sent)
    page.close()


def test_a_question_is_answered_in_deltas_that_end(browser: Browser) -> None:
    told = browser.ask("say", text="To be or not to be", key="k", model="echo")["value"]
    assert told["chat"]["title"] == "To be or not to be"
    assert [item["message"]["role"] for item in told["items"]] == ["user", "assistant"]
    browser.ended()
    assert browser.text() == "Tobeornottobe"
    assert [message.text for message in browser.page.messages] == ["To be or not to be", "Tobeornottobe"]
    assert all(isinstance(message, Message) for message in browser.page.messages)


def test_many_tokens_make_few_messages_numbered_without_a_gap(browser: Browser, client: FakeClient) -> None:
    client.api.script = [StreamEvent("text", text=f"w{n} ") for n in range(2000)]
    browser.ask("say", text="Go on", key="k", model="echo")
    browser.ended()
    deltas = browser.of("deltas")
    assert browser.text() == "".join(f"w{n} " for n in range(2000))
    assert [message["number"] for message in browser.sent] == list(range(1, len(browser.sent) + 1))
    assert len(deltas) < 200


def test_a_tab_that_comes_in_the_middle_gets_the_whole_answer(browser: Browser, client: FakeClient) -> None:
    client.api.pause_s = 0.02
    words = " ".join(f"w{n}" for n in range(40))
    chat = browser.ask("say", text=words, key="k", model="echo")["value"]["chat"]["id"]
    browser.wait(lambda message: message["type"] == "deltas" and len(browser.of("deltas")) == 3)
    told = browser.ask("start", view="another", chat=chat)
    second = told["value"]
    answer = second["chat"]["messages"][1]["message"]
    browser.ended()
    later = [message for message in browser.of("deltas") if message["number"] > told["number"]]
    events = [event for deltas in later for _, batch in deltas["streams"] for event in batch]
    said = "".join(part["text"] for part in answer["parts"])
    assert 0 < len(said) < len(words.replace(" ", ""))
    assert said + "".join(event.get("text", "") for event in events) == words.replace(" ", "")


def test_an_answer_that_ends_while_a_tab_opens_is_not_cut(browser: Browser, client: FakeClient) -> None:
    chat = browser.ask("say", text="one two three", key="k", model="echo")["value"]["chat"]["id"]
    browser.ended()
    answer = browser.ask("show", id=chat)["value"]["messages"][1]["message"]
    assert "".join(part["text"] for part in answer["parts"]) == "onetwothree"
    assert answer["finish_reason"] == "stop"


def test_stop_reaches_the_service(browser: Browser, client: FakeClient) -> None:
    client.api.pause_s = 0.02
    told = browser.ask("say", text="word " * 500, key="k", model="echo")["value"]
    browser.ask("stop", generation=told["items"][1]["generation_id"])
    last = browser.ended()["streams"][0][1][-1]
    assert last["finish_reason"] == "cancelled"


def test_the_same_key_asks_once(browser: Browser, client: FakeClient) -> None:
    first = browser.ask("say", text="hi", key="same", model="echo")["value"]["chat"]["id"]
    browser.ended()
    again = browser.ask("say", text="hi", key="same", model="echo")["value"]["chat"]["id"]
    assert first == again
    assert {key for name, key in client.api.calls if name == "send"} == {"same"}


def test_a_request_whose_answer_got_lost_is_answered_again_and_done_once(browser: Browser, client: FakeClient) -> None:
    asked = {"intent": "say", "view": VIEW, "request": 7, "values": {"text": "hi", "key": "k", "model": "echo"}}
    for _ in range(3):
        browser.post(asked)
    first = browser.wait(lambda message: message.get("request") == 7)
    browser.post(asked)
    again = browser.wait(lambda message: message.get("request") == 7 and message["number"] > first["number"])
    assert again["value"] == first["value"]
    assert (again["repeated"], "repeated" in first) == (True, False)
    assert [name for name, _ in client.api.calls].count("send") == 1


def test_rename_delete_and_restore_reach_the_other_tabs(browser: Browser) -> None:
    chat = browser.ask("say", text="hello", key="k", model="echo")["value"]["chat"]["id"]
    assert browser.ask("change", id=chat, title="Greetings")["value"]["title"] == "Greetings"
    assert browser.of("chat")[-1]["chat"]["title"] == "Greetings"
    browser.ask("delete", id=chat)
    removed = browser.of("removed")[-1]
    assert (removed["view"], removed["id"]) == (VIEW, chat)
    assert browser.page.messages == []
    assert browser.ask("find")["value"]["items"] == []
    assert browser.ask("restore", id=chat)["value"]["title"] == "Greetings"
    assert browser.ask("find", query="greet")["value"]["items"][0]["id"] == chat


def test_long_conversations_come_in_pages(browser: Browser, client: FakeClient) -> None:
    chat = browser.ask("say", text="0", key="first", model="echo")["value"]["chat"]["id"]
    for number in range(1, 60):
        browser.wait(lambda _: client.api._chats[chat]["running"] is None)
        browser.ask("say", text=str(number), key=f"k{number}", chat=chat)
    shown = browser.ask("show", id=chat)["value"]
    assert 0 < len(shown["messages"]) < 120
    items, cursor = shown["messages"], shown["next_cursor"]
    while cursor:
        earlier = browser.ask("earlier", id=chat, cursor=cursor)["value"]
        items, cursor = earlier["messages"] + items, earlier["next_cursor"]
    texts = [item["message"]["parts"][0]["text"] for item in items]
    assert len(texts) == 120
    assert texts[:4] == ["0", "0", "1", "1"]
    assert len(browser.page.messages) == 120


def test_of_two_conversations_that_are_opened_at_once_the_last_is_shown(
    browser: Browser, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = (browser.ask("say", text=key, key=key, model="echo")["value"]["chat"]["id"] for key in ("a", "b"))
    read, held = client.api.messages, asyncio.Event()

    async def messages(chat: str, **more: Any) -> Any:
        if chat == slow:
            await held.wait()
        return await read(chat, **more)

    monkeypatch.setattr(client.api, "messages", messages)
    browser.post({"intent": "show", "view": VIEW, "request": LATE, "values": {"id": slow}})
    browser.ask("show", id=fast)
    client.loop.call_soon(held.set)
    browser.wait(lambda message: message["type"] == "reply" and message["request"] == LATE)
    assert browser.page.chat_id == fast  # type: ignore[attr-defined]


@pytest.mark.parametrize(("intent", "route"), [("select", "select"), ("start", "chat")])
def test_what_was_left_before_it_came_takes_nothing_back(
    browser: Browser, client: FakeClient, monkeypatch: pytest.MonkeyPatch, intent: str, route: str
) -> None:
    chat = browser.ask("say", text="hello", key="k", model="echo")["value"]["chat"]["id"]
    browser.ask("show", id=None)
    left, read, asked, held = "0" * 32, client.api.chat, threading.Event(), asyncio.Event()

    async def late(id: str, *_: Any) -> Any:
        if id != left:
            return await read(id)
        asked.set()
        await held.wait()
        if route == "chat":
            raise NotFound("It was deleted.")

    monkeypatch.setattr(client.api, route, late, raising=False)
    values = {"chat": left, **({"message": "m"} if intent == "select" else {})}
    browser.post({"intent": intent, "view": VIEW, "request": LATE, "values": values})
    assert asked.wait(10)
    browser.ask("show", id=chat)
    client.loop.call_soon(held.set)
    browser.wait(lambda message: message["type"] == "reply" and message["request"] == LATE)
    assert browser.page.chat_id == chat  # type: ignore[attr-defined]


def test_a_page_opens_with_a_conversation_or_says_that_there_is_none(browser: Browser, client: FakeClient) -> None:
    chat = browser.ask("say", text="hello", key="k", model="echo")["value"]["chat"]["id"]
    browser.ended()
    page = ui.Chat(client, chat=chat)  # type: ignore[arg-type]
    assert [message.text for message in page.messages] == ["hello", "hello"]
    with pytest.raises(NotFound):
        ui.Chat(client, chat="0" * 32)  # type: ignore[arg-type]


def test_an_error_of_the_service_reaches_the_page_with_its_remedy(browser: Browser, client: FakeClient) -> None:
    client.api.away = True
    reply = browser.ask("pulse")
    assert reply["error"]["code"] == "service"
    assert reply["error"]["remedy"] == "See `llmws status`."
    client.api.away = False
    assert browser.ask("pulse")["value"]["models"][0]["id"] == "smollm2-135m"


def test_a_stream_that_breaks_ends_with_the_error_in_the_answer(browser: Browser, client: FakeClient) -> None:
    sound = client.api.send

    async def send_then_vanish(*args: Any, **named: Any) -> dict[str, Any]:
        told = await sound(*args, **named)
        client.api._generations.clear()
        return told

    client.api.send = send_then_vanish  # type: ignore[method-assign]
    browser.ask("say", text="hi", key="k", model="echo")
    batch = browser.ended()["streams"][0][1]
    assert [event["type"] for event in batch] == ["end"]
    assert browser.wait(lambda message: message["type"] == "refused")["error"]["code"] == "internal"


def test_an_answer_that_was_lost_sight_of_is_read_on_where_somebody_looks(browser: Browser, client: FakeClient) -> None:
    sound = client.api.events

    async def vanish(generation_id: str, after: int = 0) -> AsyncIterator[Any]:
        client.api.events = sound  # type: ignore[method-assign]
        raise ServiceError("The service does not answer.")
        yield  # pragma: no cover - makes it a generator

    client.api.events = vanish  # type: ignore[method-assign]
    client.api.pause_s = 0.02
    begun = browser.ask("say", text="word " * 10_000, key="k", model="echo")["value"]
    assert browser.ended()["streams"][0][1][-1]["finish_reason"] == "interrupted"
    told = browser.ask("show", id=begun["chat"]["id"])
    assert "finish_reason" not in told["value"]["messages"][1]["message"]
    browser.wait(lambda message: message["type"] == "deltas" and message["number"] > told["number"])
    browser.ask("stop", generation=begun["chat"]["running"])


def test_a_mistake_of_ours_is_told_and_not_lost(browser: Browser, client: FakeClient) -> None:
    async def broken(*args: Any) -> None:
        raise RuntimeError("secret detail")

    client.api.models = broken  # type: ignore[method-assign]
    error = browser.ask("pulse")["error"]
    assert error["code"] == "internal"
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "values",
    [{}, {"text": 1, "key": "k"}, {"text": "hi", "key": "k", "more": 1}, {"text": "hi", "key": "k", "chat": 7}],
)
def test_values_that_do_not_fit_are_refused(browser: Browser, values: dict[str, Any]) -> None:
    assert browser.ask("say", **values)["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("parameters", [{"temperatur": 1}, {"stop": 3}], ids=["unknown name", "wrong type"])
def test_parameters_that_cannot_be_are_refused(browser: Browser, parameters: dict[str, Any]) -> None:
    told = browser.ask("say", text="hi", key="k", model="echo", parameters=parameters)
    assert told["error"]["code"] == "invalid_request"


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "nothing": None,
    "text": "send",
    "list": [1, 2],
    "unknown intent": {"intent": "shutdown", "view": VIEW, "request": 1},
    "a method that is no intent": {"intent": "tell", "view": VIEW, "request": 1, "values": {"type": "x"}},
    "a private method": {"intent": "_said", "view": VIEW, "request": 1},
    "a method of the widget": {"intent": "close", "view": VIEW, "request": 1},
    "intent of another type": {"intent": ["say"], "view": VIEW, "request": 1},
    "no view": {"intent": "pulse", "request": 1},
    "a long view": {"intent": "pulse", "view": "v" * 1000, "request": 1},
    "request is a text": {"intent": "pulse", "view": VIEW, "request": "1"},
    "values are a list": {"intent": "pulse", "view": VIEW, "request": 1, "values": [1]},
    "huge": {"intent": "say", "view": VIEW, "request": 1, "values": {"text": "x" * 3_000_000, "key": "k"}},
    "deep": {"intent": "say", "view": VIEW, "request": 1, "values": {"text": _nested(100_000), "key": "k"}},
    "not a number": {"intent": "pulse", "view": VIEW, "request": float("nan")},
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_messages_are_refused_aloud_and_the_page_lives(browser: Browser, content: Any) -> None:
    browser.post(content)
    refused = browser.wait(lambda message: message["type"] == "refused" or "error" in message)
    assert refused["error"]["code"] == "invalid_request"
    assert browser.ask("pulse")["value"]["models"]


def test_a_flood_is_refused_and_passes(browser: Browser, client: FakeClient) -> None:
    passed, models = asyncio.Event(), client.api.models

    async def slow() -> list[dict[str, Any]]:
        await passed.wait()
        return await models()

    client.api.models = slow  # type: ignore[method-assign]
    for number in range(1000, 1400):
        browser.post({"intent": "pulse", "view": VIEW, "request": number})
    assert browser.wait(lambda message: message.get("error", {}).get("code") == "unavailable")
    client.loop.call_soon(passed.set)
    assert browser.wait(lambda message: message.get("request") == 1000)["value"]["models"]
    browser.wait(lambda _: not browser.page._tasks)
    assert browser.ask("pulse")["value"]["models"]


def test_intents_hide_no_method_of_the_widget() -> None:
    assert not ui.Chat.intents.keys() & set(dir(anywidget.AnyWidget))


def test_traits_hold_no_content(browser: Browser) -> None:
    browser.ask("say", text="confidential", key="k", model="echo")
    browser.ended()
    state = {name: value for name, value in browser.page.get_state().items() if name not in ("_esm", "_css")}
    assert "confidential" not in str(state)


def test_the_page_gives_the_lines_for_what_it_did(browser: Browser) -> None:
    first = browser.ask("code", model="echo", system="Be kind.", parameters={"temperature": 0})["value"]
    assert 'create(\n    model="echo",\n    system="Be kind.",\n    temperature=0,\n)' in first
    told = browser.ask("say", text="To be?", key="k", model="echo", parameters={"seed": 1})["value"]
    browser.ended()
    begun = browser.ask("code", chat=told["chat"]["id"])["value"]
    assert 'create(model="echo", seed=1)\nmessage = chat.send("To be?")' in begun
    browser.ask("say", text="Or not?", key="l", chat=told["chat"]["id"])
    goes_on = browser.ask("code", chat=told["chat"]["id"])["value"]
    assert f'chats.open("{told["chat"]["id"]}")' in goes_on
    assert 'chat.send("Or not?", model="echo", seed=1)' in goes_on
