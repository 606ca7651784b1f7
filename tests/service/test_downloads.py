"""Downloads below the door: by ticket alone, for one person, action and thing, and not for long."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from itsdangerous import TimestampSigner

from llmws.service.tickets import LIFETIME_S, Tickets
from llmws.settings import Settings

from .harness import Running
from .test_edge import error


@pytest.fixture
def browser(service: Running) -> Iterator[httpx.Client]:
    """What stands behind the door: it has neither token nor cookie."""
    with httpx.Client(base_url=f"{service.instance.url}/door/", trust_env=False) as client:
        yield client


def issue(service: Running, chat: dict[str, Any]) -> str:
    """The path of a fresh ticket."""
    return str(service.post("/api/tickets", {"action": "download", "thing": f"chats/{chat['id']}"})["path"])


def ticket_of(path: str) -> str:
    return parse_qs(urlsplit(path).query)["ticket"][0]


def a_chat(service: Running, **more: Any) -> dict[str, Any]:
    chat = service.new_chat(**more)
    service.message(
        service.send(chat["id"], "Why?", tokens=["Because."], reasoning="Let me\nthink.")["generation"]["id"]
    )
    return chat


def test_a_chat_is_saved_as_markdown(service: Running, browser: httpx.Client) -> None:
    response = browser.get(issue(service, a_chat(service, title="Ä question", system="Be brief.")))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    said = ["# Ä question", "Be brief.", "## User", "Why?", "## Assistant (echo)", "> Let me", "> think.", "Because."]
    assert re.findall("|".join(map(re.escape, said)), response.text) == said
    assert response.headers["content-disposition"].startswith("attachment; ")
    assert "filename*=UTF-8''%C3%84%20question.md" in response.headers["content-disposition"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert "sandbox" in response.headers["content-security-policy"]


def test_a_chat_is_saved_as_json(service: Running, browser: httpx.Client) -> None:
    chat = a_chat(service)
    response = browser.get(issue(service, chat) + "&format=json")
    [told] = json.loads(response.content)["chats"]
    assert told["id"] == chat["id"]
    kept = service.get(f"/api/chats/{chat['id']}/messages")["items"]
    assert told["messages"] == [{name: row[name] for name in told["messages"][0]} for row in kept]
    error(browser.get(issue(service, chat) + "&format=exe"), 422)


@pytest.mark.parametrize(
    "title", ['"; filename="evil.exe', "a\r\nX-Evil: 1", "../../etc/passwd", "\u202egpj.exe", "..", "x" * 500]
)
def test_a_title_cannot_break_out_of_the_file_name(service: Running, browser: httpx.Client, title: str) -> None:
    response = browser.get(issue(service, service.new_chat(title=title)))
    assert "x-evil" not in response.headers
    form = r"""attachment; filename="([^"\\/]*)"; filename\*=UTF-8''([\w.%~-]*)"""
    match = re.fullmatch(form, response.headers["content-disposition"])
    assert match is not None
    assert "\u202e" not in unquote(match[2])
    assert all(name.endswith(".md") and len(name) < 500 and not name.startswith(".") for name in match.groups())


def test_an_expired_ticket_is_refused(service: Running, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = TimestampSigner("x").get_timestamp()
    with monkeypatch.context() as earlier:
        earlier.setattr(TimestampSigner, "get_timestamp", lambda _: now - LIFETIME_S - 2)
        path = issue(service, a_chat(service))
    told = error(browser.get(path), 403)
    assert "expired" in told["message"]


def test_a_ticket_is_good_for_its_thing_only(service: Running, browser: httpx.Client) -> None:
    mine, other = service.new_chat(), service.new_chat()
    ticket = ticket_of(issue(service, mine))
    assert browser.get(f"chats/{mine['id']}/download", params={"ticket": ticket}).status_code == 200
    error(browser.get(f"chats/{other['id']}/download", params={"ticket": ticket}), 403)


def test_a_ticket_is_good_for_its_action_and_its_person_only(
    service: Running, browser: httpx.Client, settings: Settings
) -> None:
    chat = service.new_chat()
    tickets = Tickets.of(settings.data)
    path = f"chats/{chat['id']}/download"
    account = service.get("/api/status")["service"]["account"]
    thing = f"chats/{chat['id']}"
    assert browser.get(path, params={"ticket": tickets.issue(account, "download", thing)}).status_code == 200
    error(browser.get(path, params={"ticket": tickets.issue(account, "upload", thing)}), 403)
    error(browser.get(path, params={"ticket": tickets.issue("eve", "download", thing)}), 404)


def test_a_forged_ticket_is_refused(service: Running, browser: httpx.Client) -> None:
    chat = service.new_chat()
    good = ticket_of(issue(service, chat))
    body, _, signature = good.partition(".")
    forged = [
        "",
        "x",
        good[:-9] + ("A" if good[-9] != "A" else "B") + good[-8:],
        body[:-2] + "AA." + signature,
        Tickets(b"another secret").issue("ada", "download", f"chats/{chat['id']}"),
        service.instance.token,
    ]
    for ticket in forged:
        error(browser.get(f"chats/{chat['id']}/download", params={"ticket": ticket}), 403)
    token = {"Authorization": f"Bearer {service.instance.token}"}
    error(browser.get(f"chats/{chat['id']}/download", headers=token), 403)


def test_tickets_are_for_what_there_is(service: Running) -> None:
    ask = service.http.post
    told = error(ask("/api/tickets", json={"action": "download", "thing": "secrets/1"}), 422)
    assert "chats/<id>" in told["remedy"]
    error(ask("/api/tickets", json={"action": "delete", "thing": "chats/1"}), 422)
    error(ask("/api/tickets", json={"action": "download", "thing": "chats/1"}), 404)


def test_the_secret_is_kept_and_nobody_else_reads_it(tmp_path: Path) -> None:
    ticket = Tickets.of(tmp_path).issue("ada", "download", "chats/1")
    assert Tickets.of(tmp_path).read(ticket, "download", "chats/1") == ("ada", "")
    assert stat.S_IMODE((tmp_path / "ticket.key").stat().st_mode) == 0o600
