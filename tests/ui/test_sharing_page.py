"""What a browser may ask of the chat page about others, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmws import ui
from llmws.errors import NotFound
from llmws.messages import Message

from .fake_api import FakeClient
from .tab import Browser

POET = {"id": "1", "name": "Poet", "model": "echo"}
SHARED = {"id": "2", "owner": "olga", "title": "Moons"}


class Others:
    """What others share, and what is asked for; a link's secret is told once."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def me(self) -> dict[str, Any]:
        return {"name": "pia", "groups": ["lab"], "hub": True, "links": True}

    async def shared(self, cursor: str | None = None) -> dict[str, Any]:
        return {"items": [SHARED], "next_cursor": None}

    async def assistants(self) -> list[dict[str, Any]]:
        return [POET]

    async def shared_chat(self, id: str) -> dict[str, Any]:
        return SHARED

    async def shared_messages(self, id: str, limit: int, cursor: str | None) -> dict[str, Any]:
        return {"items": [{"id": "3", "message": Message.user("Name three.")}], "next_cursor": cursor}

    async def grants(self, noun: str, id: str) -> list[dict[str, Any]]:
        return [{"kind": "person", "grantee": noun}]

    async def links(self, id: str) -> list[dict[str, Any]]:
        return [{"id": "4", "expires_at": None}]

    async def create_link(self, id: str, days: int | None, key: str) -> dict[str, Any]:
        self.asked.append((id, days, key))
        return {"id": "5", "path": "/door/shared/secret"}


@pytest.fixture
def client() -> FakeClient:
    client = FakeClient()
    others = Others()
    for name in dir(others):
        if not name.startswith("_"):
            setattr(client.api, name, getattr(others, name))
    return client


@pytest.fixture
def browser(client: FakeClient, sent: list[dict[str, Any]]) -> Iterator[Browser]:
    page = ui.Chat(client)  # type: ignore[arg-type]
    yield Browser(page, sent)
    page.close()


def test_a_page_is_told_what_others_share_and_reads_it(browser: Browser) -> None:
    told = browser.ask("others")["value"]
    assert (told["me"]["name"], told["shared"]["items"], told["assistants"]) == ("pia", [SHARED], [POET])
    read = browser.ask("read_shared", id="2", cursor="c")["value"]
    assert read["messages"][0]["message"]["parts"][0]["text"] == "Name three."
    assert (read["chat"], read["next_cursor"]) == (SHARED, "c")


def test_a_conversation_has_links_an_assistant_none(browser: Browser, client: FakeClient) -> None:
    assert browser.ask("sharing", noun="chats", id="2")["value"]["links"] == [{"id": "4", "expires_at": None}]
    assert browser.ask("sharing", noun="assistants", id="1")["value"]["links"] == []
    assert "providers" in browser.ask("sharing", noun="providers", id="1")["error"]["message"]
    assert browser.ask("make_link", id="2", key="k", days=None)["value"]["path"] == "/door/shared/secret"
    assert client.api.asked == [("2", None, "k")]  # type: ignore[attr-defined]
    # The secret went to who asked for it, and is nothing that the widget keeps.
    assert "secret" not in str({name: value for name, value in browser.page.get_state().items() if name[0] != "_"})


def test_a_page_begins_with_an_assistant_or_says_that_there_is_none(client: FakeClient) -> None:
    assert ui.Chat(client, assistant="Poet").assistant == "1"  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no assistant 'Cook'"):
        ui.Chat(client, assistant="Cook")  # type: ignore[arg-type]
