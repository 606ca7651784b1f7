"""The page of providers without a browser: a comm that only records, and a service of a few dicts."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from llmws import ui
from llmws.ui import deferred

from .fake_providers import WRONG_KEY, FakeProvidersApi, FakeProvidersClient
from .tab import VIEW, Browser

PLANTED = "sk-planted-4f1d9c"


@pytest.fixture
def client() -> FakeProvidersClient:
    return FakeProvidersClient()


@pytest.fixture
def api(client: FakeProvidersClient) -> FakeProvidersApi:
    return client.api


@pytest.fixture
def browser(client: FakeProvidersClient, sent: list[dict[str, Any]]) -> Iterator[Browser]:
    page = ui.Providers(client)  # type: ignore[arg-type]
    tab = Browser(page, sent)
    tab.ask("start")
    yield tab
    page.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can undo."""
    monkeypatch.setattr(deferred, "UNDO_S", 0.0)


def add(browser: Browser, vendor: str = "deepseek", **more: Any) -> dict[str, Any]:
    values = {"vendor": vendor, "key": f"key of {vendor}", "secret": PLANTED, **more}
    shown: dict[str, Any] = browser.ask("add", **values)["value"]["shown"]
    return shown


def calls(api: FakeProvidersApi, name: str) -> list[Any]:
    return [argument for called, argument in api.calls if called == name]


def test_a_provider_is_tested_kept_synced_and_shown(browser: Browser, api: FakeProvidersApi) -> None:
    shown = add(browser)
    assert [model["name"] for model in shown["models"]] == ["model-1", "model-2"]
    assert shown["provider"]["model_count"] == 2
    names = [name for name, _ in api.calls]
    assert names.index("test_new_provider") < names.index("create_provider") < names.index("sync_provider")
    assert [provider["id"] for provider in browser.page.providers] == ["deepseek"]  # type: ignore[attr-defined]


def test_one_that_fails_its_test_is_kept_only_where_somebody_says_so(browser: Browser, api: FakeProvidersApi) -> None:
    told = browser.ask("add", vendor="openai", key="k", secret=WRONG_KEY)["value"]
    assert told["shown"] is None
    assert (told["verdict"]["code"], told["verdict"]["remedy"]) == ("wrong_key", "Check it.")
    assert api.accounts == {}
    assert browser.ask("add", vendor="openai", key="k", secret=WRONG_KEY, anyway=True)["value"]["shown"]
    assert list(api.accounts) == ["openai"]


def test_a_key_reaches_the_service_and_nothing_else(
    browser: Browser, api: FakeProvidersApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    loop = browser.page.client.loop.loop
    # Every call is a slow one, so that asyncio logs it with its arguments.
    monkeypatch.setattr(loop, "slow_callback_duration", 0.0)
    monkeypatch.setattr(loop, "_debug", True)
    add(browser)
    browser.ask("add_key", id="deepseek", secret=PLANTED, label="second")
    browser.ask("test", vendor="deepseek", secret=PLANTED)
    # Whatever goes wrong with it: refused types, a service that is away, a mistake of ours.
    browser.ask("test", vendor=1, secret=PLANTED)
    browser.post({"intent": "add_key", "view": VIEW, "request": "none", "values": {"secret": PLANTED}})
    api.away = True
    browser.ask("add_key", id="deepseek", secret=PLANTED)
    api.away = False

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(api, "add_provider_key", broken)
    assert browser.ask("add_key", id="deepseek", secret=PLANTED)["error"]["code"] == "internal"
    assert api.secrets == [PLANTED] * 4
    page = browser.page
    assert PLANTED not in json.dumps(browser.sent)
    assert PLANTED not in json.dumps(page.get_state(), default=str)
    assert "Executing <" in caplog.text
    assert PLANTED not in caplog.text
    kept = {name: value for name, value in vars(page).items() if isinstance(value, str | dict | set | list)}
    assert PLANTED not in repr(kept)


def test_who_left_a_provider_while_it_was_being_read_has_left_it(
    browser: Browser, api: FakeProvidersApi, client: FakeProvidersClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(browser)
    held = asyncio.Event()
    read = api.provider_models

    async def slowly(id: str) -> list[dict[str, Any]]:
        await held.wait()
        return await read(id)

    monkeypatch.setattr(api, "provider_models", slowly)
    browser.post({"intent": "show", "view": VIEW, "request": 1, "values": {"id": "deepseek"}})
    browser.ask("show", id=None)
    client.loop.call_soon(held.set)
    browser.wait(lambda message: message["type"] == "reply" and message["request"] == 1)
    assert browser.page.provider_id is None  # type: ignore[attr-defined]


def test_a_deleted_provider_can_be_had_back_with_its_keys(browser: Browser, api: FakeProvidersApi) -> None:
    add(browser)
    browser.ask("remove", id="deepseek")
    assert browser.of("removed")[0]["id"] == "deepseek"
    assert browser.ask("pulse")["value"]["providers"] == []
    assert browser.ask("show", id="deepseek")["error"]["code"] == "not_found"
    kept = browser.ask("keep", id="deepseek")["value"]
    assert len(kept["keys"]) == 1
    assert [provider["id"] for provider in browser.ask("pulse")["value"]["providers"]] == ["deepseek"]
    assert calls(api, "delete_provider") == []


@pytest.mark.usefixtures("at_once")
def test_what_nobody_takes_back_is_deleted(browser: Browser, api: FakeProvidersApi) -> None:
    add(browser)
    key = api.accounts["deepseek"]["keys"][0]["id"]
    browser.ask("remove_key", id="deepseek", key=key)
    browser.wait(lambda _: not api.accounts["deepseek"]["keys"])
    assert browser.ask("keep_key", id="deepseek", key=key)["error"]["code"] == "not_found"
    browser.ask("remove", id="deepseek")
    browser.wait(lambda _: not api.accounts)
    assert browser.ask("keep", id="deepseek")["error"]["code"] == "not_found"


def test_a_key_that_goes_is_shown_no_more_and_comes_back(browser: Browser, api: FakeProvidersApi) -> None:
    key = add(browser)["provider"]["keys"][0]["id"]
    assert browser.ask("remove_key", id="deepseek", key=key)["value"]["keys"] == []
    assert browser.ask("pulse")["value"]["providers"][0]["keys"] == []
    assert [one["id"] for one in browser.ask("keep_key", id="deepseek", key=key)["value"]["keys"]] == [key]


@pytest.mark.usefixtures("at_once")
def test_a_deletion_that_fails_is_told(browser: Browser, api: FakeProvidersApi) -> None:
    add(browser)
    api.actions = ("read",)
    browser.ask("remove", id="deepseek")
    told = browser.wait(lambda message: message["type"] == "refused")
    assert told["error"]["code"] == "forbidden"


def test_a_parked_key_is_used_again(browser: Browser, api: FakeProvidersApi) -> None:
    key = add(browser)["provider"]["keys"][0]["id"]
    api.accounts["deepseek"]["keys"][0].update(parked_reason="provider_auth")
    told = browser.ask("change_key", id="deepseek", key=key, changes={"parked": False})["value"]
    assert told["keys"][0]["parked_reason"] is None


@pytest.mark.parametrize(
    ("intent", "values"),
    [
        ("change", {"id": "deepseek", "changes": {"owner": "eve"}}),
        ("change", {"id": "deepseek", "changes": {"keys": []}}),
        ("change_key", {"id": "deepseek", "key": "k", "changes": {"ciphertext": ""}}),
        ("used", {"by": "ciphertext", "span": "month"}),
        ("used", {"by": "model", "span": "century"}),
        ("offer", {"id": "deepseek", "only": "all"}),
    ],
)
def test_what_no_form_asks_for_is_refused(browser: Browser, intent: str, values: dict[str, Any]) -> None:
    add(browser)
    assert browser.ask(intent, **values)["error"]["code"] == "invalid_request"


def test_other_tabs_learn_what_one_did(browser: Browser) -> None:
    add(browser)
    browser.ask("change", id="deepseek", changes={"enabled": False})
    browser.ask("set_limit", limit={"kind": "everyone", "name": "", "unit": "requests", "hard": 3})
    assert [told["provider"]["enabled"] for told in browser.of("provider")] == [True, False]
    assert [len(told["limits"]) for told in browser.of("limits")] == [1]
    assert all(told["view"] == VIEW for told in browser.of("provider") + browser.of("limits"))


def test_models_are_probed_hidden_and_priced(browser: Browser) -> None:
    add(browser)
    model = "deepseek/model-1"
    [first, _] = browser.ask("probe", id="deepseek", model=model)["value"]["models"]
    assert {one["name"]: one["source"] for one in first["capabilities"]} == {"tools": "probe", "vision": "probe"}
    price = {"currency": "USD", "input": 1, "output": 2}
    [first, _] = browser.ask("set_price", id="deepseek", model=model, price=price)["value"]["models"]
    assert first["price"] == {**price, "source": "set by ada"}
    assert browser.ask("set_price", id="deepseek", model=model, price=None)["value"]["models"][0]["price"] is None
    hidden = browser.ask("offer", id="deepseek", only=["model-2"])["value"]["models"]
    assert [one["offered"] for one in hidden] == [False, True]


def test_a_model_is_talked_to_in_a_chat_of_its_own(browser: Browser) -> None:
    widget = browser.ask("talk", model="deepseek/model-1")["value"]["widget"]
    assert widget != browser.page.model_id
    assert browser.ask("talk", model="deepseek/model-1")["value"]["widget"] == widget


def test_a_limit_is_set_changed_and_dropped(browser: Browser, api: FakeProvidersApi) -> None:
    limit = {"kind": "person", "name": "eve", "model": "*", "unit": "USD", "period": "month", "soft": None, "hard": 5}
    [made] = browser.ask("set_limit", limit=limit)["value"]["limits"]
    [changed] = browser.ask("set_limit", limit={"hard": 7}, id=made["id"])["value"]["limits"]
    assert changed["hard"] == 7
    assert browser.ask("drop_limit", id=made["id"])["value"]["limits"] == []


def test_a_rate_is_set(browser: Browser) -> None:
    assert browser.ask("rates")["value"]["rates"] == []
    [told] = browser.ask("set_rate", rate=7.1, valid_from="2026-11-01")["value"]["rates"]
    assert (told["currency"], told["into"], told["rate"]) == ("USD", "CNY", 7.1)


def test_usage_is_told_in_sums_and_by_day(browser: Browser, api: FakeProvidersApi) -> None:
    api.rows = {"model": [{"model": "echo", "calls": 3}], "day": [{"day": "2026-11-01", "calls": 3}]}
    told = browser.ask("used", by="model", span="week", everyone=True)["value"]
    assert (told["rows"][0]["calls"], told["days"][0]["day"]) == (3, "2026-11-01")
    since = datetime.fromisoformat(told["first"])
    assert (datetime.fromisoformat(told["last"]) - since).days == 6
    assert ("model", since.timestamp(), True) in calls(api, "usage")


def test_who_may_only_chat_gets_usage_and_limits_and_no_more(sent: list[dict[str, Any]]) -> None:
    client = FakeProvidersClient(actions=("chat", "download", "read"))
    page = ui.Providers(client, provider="deepseek")  # type: ignore[arg-type]
    tab = Browser(page, sent)
    told = tab.ask("start", provider="openai")["value"]
    assert (told["vendors"], told["providers"], told["shown"]) == ([], [], None)
    assert {name for name, _ in client.api.calls} == {"me", "usage", "limits"}
    assert tab.ask("add", vendor="deepseek", key="k", secret=PLANTED)["error"]["code"] == "forbidden"
    page.close()


def test_a_service_that_is_away_is_said(browser: Browser, api: FakeProvidersApi) -> None:
    api.away = True
    assert browser.ask("pulse")["error"]["code"] == "service"
    assert browser.ask("start")["error"]["code"] == "service"


def test_a_page_opens_with_what_it_is_told(sent: list[dict[str, Any]], client: FakeProvidersClient) -> None:
    page = ui.Providers(client, provider="deepseek")  # type: ignore[arg-type]
    tab = Browser(page, sent)
    # It is gone by then: the list, without an error.
    assert tab.ask("start")["value"]["shown"] is None
    add(tab)
    assert tab.ask("start", view="another", provider="deepseek")["value"]["shown"]["provider"]["id"] == "deepseek"
    page.close()
