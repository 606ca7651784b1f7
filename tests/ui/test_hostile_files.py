"""Hostile text in pages that are files, or pages without a script: exports, links, and the cards of dashboards.

The policy that an exported page has in itself is taken out here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page

from llmws.hub import landing
from llmws.settings import Settings
from llmws.transfer.web_page import POLICY
from tests.service.harness import Running, running_service
from tests.service.test_hub_identity import CHAT, Hub, by, serving, user

from . import hostile
from .attacked import Attacked, tried
from .test_hostile_browser import ADDRESSES, EVERYTHING, NAMES, bring, said, told

pytestmark = pytest.mark.long

META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
OpenText = Callable[[str], Attacked]


@pytest.fixture
def open_text(new_page: Callable[..., Page], requests: list[str]) -> OpenText:
    """Shows HTML as a page of its own, from an address of this machine that has nothing else."""

    def open_text(html: str) -> Attacked:
        page = new_page(bypass_csp=True)
        attacked = Attacked(page, requests)
        page.route("**/page", lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8"))
        page.goto("http://127.0.0.1:1/page")
        return attacked

    return open_text


@pytest.fixture
def hub(settings: Settings) -> Iterator[Running]:
    """Pia's, who may make links."""
    told_of = Hub({"p": user("pia", CHAT)})
    with serving(told_of) as told, running_service(replace(settings, idle_exit_s=0.0), told.service) as running:
        running.http.headers.update(by("p"))
        yield running


def chats(service: Running) -> dict[str, str]:
    """The ids of all conversations by their titles."""
    return {chat["title"]: chat["id"] for chat in service.get("/api/chats", limit=200)["items"]}


def check_said(attacked: Attacked, where: str) -> None:
    tried(f"{where}: answers and reasoning", EVERYTHING)
    attacked.shows(f"{where}: questions", EVERYTHING, ".plain")
    attacked.check("body")


def check_told(attacked: Attacked, where: str) -> None:
    attacked.shows(f"{where}: sources", ADDRESSES, "p.quiet")
    attacked.shows(f"{where}: functions", EVERYTHING, "summary")
    attacked.shows(f"{where}: arguments and results", EVERYTHING, "pre")
    attacked.shows(f"{where}: names of files", NAMES, "summary")
    attacked.shows(f"{where}: models", EVERYTHING, "footer")
    attacked.check("body")


def test_an_exported_page_is_but_text(hub: Running, open_text: OpenText) -> None:
    bring(hub, said(), told())
    hub.new_chat(title="\n".join(EVERYTHING), system="\n".join(EVERYTHING))
    for title, chat in chats(hub).items():
        html = hub.http.get("/api/exports", params={"chat": chat, "format": "html"}).text
        assert META in html
        attacked = open_text(html.replace(META, ""))
        match title:
            case "Said":
                check_said(attacked, "exported page")
            case "Told":
                check_told(attacked, "exported page")
                attacked.shows("exported page: failures", EVERYTHING, ".bad")
            case _:
                attacked.shows("exported page: titles", EVERYTHING, "h1")
                attacked.shows("exported page: system prompts", EVERYTHING, "details .plain")
                attacked.check("body")


def test_what_a_link_opens_is_but_text(hub: Running, open_text: OpenText) -> None:
    bring(hub, said(), told())
    for title, chat in chats(hub).items():
        path = hub.post(f"/api/chats/{chat}/links", {})["path"]
        html = hub.http.get(urljoin(hub.instance.url, path)).text
        attacked = open_text(html.replace(META, ""))
        (check_told if title == "Told" else check_said)(attacked, "page of a link")


class Answer(landing.PageHandler):
    """What the handler of the cards writes, without a server."""

    base_url = "/"

    def __init__(self) -> None:
        headers = {"Accept-Language": "en"}
        self.request: Any = SimpleNamespace(uri=f"/?{EVERYTHING[0]}", headers=headers, cookies={})
        self.body = ""

    def set_header(self, *_: Any) -> None: ...

    def finish(self, body: Any = None) -> Any:
        self.body = body


def test_the_cards_of_dashboards_are_but_text(tmp_path: Path, open_text: OpenText) -> None:
    names = [text for text in hostile.short(200) if not {"/", "\0"} & set(text) and len(text.encode()) < 240]
    for number, text in enumerate(hostile.packed(1_000)):
        name = names[number].lstrip(".")
        told = {"title": text, "description": text, "owner": text, "icon": text}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"metadata": {"llmws": told}}))
        (tmp_path / f"{name}.png").write_bytes(b"")
    cards = landing.cards(tmp_path)
    assert len(cards) > 100
    answer = Answer()
    answer.show("landing.html", cards=cards, name="\n".join(EVERYTHING), sign_out="/logout")
    attacked = open_text(answer.body)
    attacked.shows("names of people on the page of cards", EVERYTHING, ".hub-who")
    attacked.shows("titles of dashboards", EVERYTHING, ".card strong")
    attacked.shows("descriptions of dashboards", EVERYTHING, ".card-text span")
    attacked.shows("owners of dashboards", EVERYTHING, ".card small")
    attacked.check("main")
    answer.show("message.html", title="\n".join(EVERYTHING), message="\n".join(EVERYTHING))
    attacked = open_text(answer.body)
    attacked.shows("messages of dashboards' server", EVERYTHING, "main p")
    attacked.check("main")
