"""The compare page without a browser: a comm that only records, and models that answer word by word, or cannot."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from llmws import ui
from llmws.client.bridge import bridge
from llmws.errors import NotFound
from llmws.messages import Message, Parameters

from .fake_api import FakeApi
from .tab import Browser


class CompareApi(FakeApi):
    """Everybody but ``gone`` answers."""

    def __init__(self) -> None:
        super().__init__()
        self._comparisons: dict[str, dict[str, Any]] = {}

    async def create_comparison(
        self,
        models: list[str],
        prompt: str,
        system: str | None = None,
        parameters: Parameters | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        self._check("create_comparison", key)
        made = uuid.uuid5(uuid.NAMESPACE_URL, key or "").hex
        if made not in self._comparisons:
            items = [self._begin(model, prompt) for model in models]
            self._comparisons[made] = {
                "id": made,
                "prompt": prompt,
                "models": models,
                "created_at": 0.0,
                "items": items,
            }
        return await self.comparison(made)

    async def comparison(self, comparison_id: str) -> dict[str, Any]:
        if comparison_id not in self._comparisons:
            raise NotFound("There is no such comparison.")
        told = self._comparisons[comparison_id]
        return {**told, "items": [dict(item) for item in told["items"]]}

    async def comparisons(self, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        return {"items": list(self._comparisons.values()), "next_cursor": None}

    async def cancel_comparison(self, comparison_id: str) -> None:
        for item in self._comparisons[comparison_id]["items"]:
            if item["generation_id"]:
                await self.cancel(item["generation_id"])

    def _begin(self, model: str, prompt: str) -> dict[str, Any]:
        item: dict[str, Any] = {"model": model, "repeat": 1, "generation_id": None, "message": None, "error": None}
        if model == "gone":
            return {**item, "state": "ended", "error": {"code": "not_found", "message": "Gone.", "remedy": ""}}
        generation = {
            "id": uuid.uuid4().hex,
            "chat_id": None,
            "events": [],
            "cancelled": False,
            "more": asyncio.Event(),
        }
        self._generations[generation["id"]] = generation
        item |= {"generation_id": generation["id"], "state": "running", "message": Message("assistant")}
        generation["task"] = asyncio.create_task(self._generate(generation, item, model, prompt))
        return item


class CompareClient:
    def __init__(self, api: CompareApi) -> None:
        self.api = api
        self.loop = bridge()


@pytest.fixture
def api() -> CompareApi:
    return CompareApi()


@pytest.fixture
def browser(api: CompareApi, sent: list[dict[str, Any]]) -> Iterator[Browser]:
    page = ui.Compare(CompareClient(api), models=["echo", "gone"])  # type: ignore[arg-type]
    yield Browser(page, sent)
    page.close()


def said(browser: Browser) -> dict[str, str]:
    """What each generation said in the deltas."""
    told: dict[str, str] = {}
    for deltas in browser.of("deltas"):
        for generation, events in deltas["streams"]:
            told[generation] = told.get(generation, "") + "".join(event.get("text", "") for event in events)
    return told


def test_each_answers_for_itself_and_one_cannot(browser: Browser) -> None:
    asked = browser.ask("ask", prompt="one two", models=["echo", "gone", "echo"], key="k")["value"]["comparison"]
    assert [item["model"] for item in asked["items"]] == ["echo", "gone", "echo"]
    assert asked["items"][1]["error"]["message"] == "Gone."
    both = {asked["items"][0]["generation_id"], asked["items"][2]["generation_id"]}
    browser.wait(lambda _: said(browser) == dict.fromkeys(both, "onetwo"))
    answers = browser.page.answers  # type: ignore[attr-defined]
    assert [answer.text for answer in answers] == ["onetwo", "", "onetwo"]
    assert answers[1].finish_reason == "error"


def test_the_same_key_asks_once(browser: Browser, api: CompareApi) -> None:
    first = browser.ask("ask", prompt="hi", models=["echo", "echo"], key="k")["value"]["comparison"]["id"]
    again = browser.ask("ask", prompt="hi", models=["echo", "echo"], key="k")["value"]["comparison"]["id"]
    assert first == again
    assert len(api._generations) == 2


def test_a_tab_that_comes_in_the_middle_gets_whole_answers(browser: Browser, api: CompareApi) -> None:
    api.pause_s = 0.02
    words = " ".join(f"w{number}" for number in range(40))
    asked = browser.ask("ask", prompt=words, models=["echo", "echo"], key="k")["value"]["comparison"]["id"]
    browser.wait(lambda message: message["type"] == "deltas" and len(browser.of("deltas")) == 3)
    told = browser.ask("start", view="another", comparison=asked)
    start = told["value"]
    whole = words.replace(" ", "")
    browser.wait(lambda _: set(said(browser).values()) == {whole})
    later = [deltas for deltas in browser.of("deltas") if deltas["number"] > told["number"]]
    for item in start["comparison"]["items"]:
        text = "".join(part["text"] for part in item["message"].get("parts", ()))
        for deltas in later:
            for generation, events in deltas["streams"]:
                if generation == item["generation_id"]:
                    text += "".join(event.get("text", "") for event in events)
        assert text == whole


def test_one_is_stopped_and_then_all(browser: Browser, api: CompareApi) -> None:
    api.pause_s = 0.02
    asked = browser.ask("ask", prompt="word " * 500, models=["echo", "echo"], key="k")["value"]["comparison"]
    first, second = (api._generations[item["generation_id"]] for item in asked["items"])
    browser.ask("stop", generation=first["id"])
    assert (first["cancelled"], second["cancelled"]) == (True, False)
    browser.ask("stop_all", id=asked["id"])
    assert second["cancelled"]


@pytest.mark.parametrize("models", ["echo", [], None])
def test_values_that_do_not_fit_are_refused(browser: Browser, models: Any) -> None:
    told = browser.ask("ask", prompt="hi", models=models, key="k", parameters={"temperatur": 1})
    assert told["error"]["code"] == "invalid_request"


def test_a_comparison_that_is_gone_leaves_an_empty_page(browser: Browser) -> None:
    assert browser.ask("start", comparison="f" * 32)["value"]["comparison"] is None


def test_a_tab_that_comes_in_the_middle_misses_no_word(
    browser: Browser, api: CompareApi, sent: list[dict[str, Any]]
) -> None:
    api.pause_s = 0.05
    words = " ".join(f"w{number}" for number in range(40))
    comparison = browser.ask("ask", prompt=words, models=["echo", "gone"], key="k")["value"]["comparison"]
    browser.page.close()
    # Another kernel, and a service that is slow to list its models: the answer goes on meanwhile.
    page, models = ui.Compare(CompareClient(api)), api.models  # type: ignore[arg-type]

    async def slow() -> list[dict[str, Any]]:
        await asyncio.sleep(0.3)
        return await models()

    api.models = slow  # type: ignore[method-assign]
    tab = Browser(page, sent)
    sent.clear()
    told = tab.ask("start", comparison=comparison["id"])
    tab.ended()
    before = told["value"]["comparison"]["items"][0]["message"]
    after = [
        event["text"]
        for deltas in tab.of("deltas")
        if deltas["number"] > told["number"]
        for generation, events in deltas["streams"]
        for event in events
        if event["type"] == "text"
    ]
    text = "".join(part["text"] for part in before.get("parts", [])) + "".join(after)
    assert text == words.replace(" ", "")
    page.close()
