"""The part of the chat page that goes back to what was said, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmws import ui
from llmws.messages import Message, Part

from .fake_api import FakeApi, FakeClient
from .tab import Browser


class Branching(FakeApi):
    """Answers anew where it is asked to, and tells what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []

    async def message(self, chat_id: str, message_id: str) -> dict[str, Any]:
        return next(dict(item) for item in self._messages[chat_id] if item["id"] == message_id)

    async def send(self, chat_id: str, text: Any, **more: Any) -> dict[str, Any]:
        self.asked.append({"text": text, **more})
        more.pop("replaces", None)
        return await super().send(chat_id, text if isinstance(text, str) else text[-1].text, **more)

    async def regenerate(self, chat_id: str, message_id: str, model: str | None, **more: Any) -> dict[str, Any]:
        self.asked.append({"again": message_id, "model": model, **more})
        return {**await super().send(chat_id, "again"), "message": None}

    async def select(self, chat_id: str, message_id: str) -> dict[str, Any]:
        self.asked.append({"select": message_id})
        return self._told(chat_id)


@pytest.fixture
def client() -> FakeClient:
    client = FakeClient()
    client.api = Branching()
    return client


@pytest.fixture
def browser(client: FakeClient, sent: list[dict[str, Any]]) -> Iterator[Browser]:
    page = ui.Chat(client)  # type: ignore[arg-type]
    yield Browser(page, sent)
    page.close()


def test_what_begins_on_another_branch_is_told_to_all_tabs(browser: Browser, client: FakeClient) -> None:
    told = browser.ask("say", text="One", key="k", model="echo")["value"]
    browser.ended()
    chat, (question, answer) = told["chat"]["id"], told["items"]
    again = browser.ask("regenerate", chat=chat, message=answer["id"], key="r", model="echo")["value"]
    assert client.api.asked[-1]["again"] == answer["id"]
    assert (client.api.asked[-1]["model"], client.api.asked[-1]["key"]) == ("echo", "r")
    assert [item["message"]["role"] for item in again["items"]] == ["assistant"]
    assert browser.of("appended")[-1]["items"] == again["items"]
    browser.wait(lambda message: message["type"] == "deltas" and message["streams"][0][0] != answer["generation_id"])
    browser.ask("select", chat=chat, message=question["id"])
    assert browser.of("branched")[-1]["id"] == chat


def test_the_lines_ask_the_model_that_was_asked_last(browser: Browser, client: FakeClient) -> None:
    told = browser.ask("say", text="One", key="k", model="echo")["value"]
    browser.ended()
    chat, answer = told["chat"]["id"], client.api._messages[told["chat"]["id"]][-1]
    assert 'model="echo"' in browser.ask("code", chat=chat)["value"]
    again = Message("assistant", (Part("text", "Two"),), model="smollm2-135m", finish_reason="stop")
    answer |= {"message": again, "siblings": ["first", answer["id"]]}
    assert 'model="smollm2-135m"' in browser.ask("code", chat=chat)["value"]


def test_what_is_attached_stays_with_a_question_that_is_edited(browser: Browser, client: FakeClient) -> None:
    told = browser.ask("say", text="What is this?", key="k", model="echo", attachments=[{"type": "image", "id": "a"}])
    browser.ended()
    item = told["value"]["items"][0]
    stored = client.api._messages[told["value"]["chat"]["id"]][0]
    picture = Part("image", data={"attachment": "a"})
    stored["message"] = type(stored["message"])("user", (picture, Part("text", "What is this?")))
    browser.ask("edit", chat=told["value"]["chat"]["id"], message=item["id"], text="And this?", key="e")
    assert client.api.asked[-1]["text"] == [picture, Part("text", "And this?")]
    assert client.api.asked[-1]["replaces"] == item["id"]
