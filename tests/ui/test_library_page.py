"""What a browser may ask of the chat page about its list, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmws import ui

from .fake_api import FakeClient
from .tab import Browser


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def browser(client: FakeClient, sent: list[dict[str, Any]]) -> Iterator[Browser]:
    page = ui.Chat(client)  # type: ignore[arg-type]
    yield Browser(page, sent)
    page.close()


@pytest.fixture
def chat(client: FakeClient) -> str:
    """The id of a conversation."""
    return str(client.loop.run(client.api.create_chat("echo", "Moons"))["id"])


def test_a_conversation_is_put_elsewhere_and_all_tabs_hear_it(browser: Browser, chat: str) -> None:
    told = browser.ask("place", id=chat, folder="Sky", tags=["far"])["value"]
    assert (told["folder"], told["tags"]) == ("Sky", ["far"])
    assert browser.of("chat")[-1]["chat"]["folder"] == "Sky"
    assert browser.ask("headings")["value"] == {
        "folders": [{"name": "Sky", "chats": 1}],
        "tags": [{"name": "far", "chats": 1}],
    }
    assert browser.ask("place", id=chat, archived=True)["value"]["folder"] == "Sky"
    for among, found in (({}, []), ({"archived": True}, [chat]), ({"archived": True, "tag": "near"}, [])):
        assert [one["id"] for one in browser.ask("find", **among)["value"]["items"]] == found


def test_a_fresh_tab_gets_what_is_outside_of_folders_and_which_there_are(browser: Browser, chat: str) -> None:
    browser.ask("place", id=chat, folder="Sky")
    for asked in ("start", "pulse"):
        chats = browser.ask(asked)["value"]["chats"]
        assert (chats["items"], chats["folders"], chats["tags"]) == ([], [{"name": "Sky", "chats": 1}], [])


def test_a_folder_is_renamed_for_all_tabs(browser: Browser, chat: str) -> None:
    browser.ask("place", id=chat, folder="Sky")
    assert browser.ask("rename_folder", folder="Sky", to="")["value"] is None
    (told,) = browser.of("folder")
    assert (told["folder"], told["to"]) == ("Sky", "")
    assert browser.ask("find", folder="")["value"]["items"][0]["id"] == chat


@pytest.mark.parametrize("values", [{"id": "x", "tags": "far"}, {"id": "x", "pinned": 1}, {"folder": "Sky"}])
def test_what_cannot_be_is_refused(browser: Browser, values: dict[str, Any]) -> None:
    assert browser.ask("place", **values)["error"]["code"] == "invalid_request"
