"""Links: what they open, for whom, how long, and what a browser may do with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from llmws.service import links
from llmws.settings import Settings
from llmws.store import Store, tables

from .harness import Running, running_service
from .test_hub_identity import Hub
from .test_shares import OTHER, OWNER, PERSON, Ask, ask, chat, hub, say, service

__all__ = ["ask", "chat", "hub", "service"]

DAY_S = 86_400


@pytest.fixture
def anybody(service: Running) -> Iterator[httpx.Client]:
    """A browser without an account."""
    origin = re.sub(r"(?<=\d)/.*", "", service.instance.url)
    with httpx.Client(base_url=origin, trust_env=False, timeout=30) as client:
        yield client


def make(ask: Ask, chat: str, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = ask(OWNER, "POST", f"/api/chats/{chat}/links", body).raise_for_status().json()
    return made


def test_a_link_opens_a_page_to_read_without_an_account(ask: Ask, chat: str, anybody: httpx.Client) -> None:
    link = make(ask, chat)
    page = anybody.get(link["path"])
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.count("Name three moons.") == 2
    assert "<h1>Moons</h1>" in page.text
    assert "hush-hush" not in page.text
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'", "form-action 'none'"} <= set(policy)
    headers = ("referrer-policy", "x-robots-tag", "cache-control", "x-content-type-options")
    assert [page.headers[name] for name in headers] == ["no-referrer", "noindex, nofollow", "no-store", "nosniff"]


def test_what_people_and_models_wrote_is_text(service: Running, ask: Ask, anybody: httpx.Client) -> None:
    chat = ask(OWNER, "POST", "/api/chats", {"model": "echo", "title": "</title><script>x</script>"}).json()["id"]
    say(service, ask, OWNER, chat, "<img src=x onerror=alert(1)>")
    page = anybody.get(make(ask, chat)["path"]).text
    assert "<script>x" not in page
    assert "<img src=x" not in page


def test_a_link_shows_what_was_said_when_it_was_made(
    service: Running, ask: Ask, chat: str, anybody: httpx.Client
) -> None:
    earlier = make(ask, chat)["path"]
    say(service, ask, OWNER, chat, "Between ourselves.")
    assert "Between ourselves." not in anybody.get(earlier).text
    assert "Between ourselves." in anybody.get(make(ask, chat)["path"]).text


def test_a_link_ends(ask: Ask, chat: str, anybody: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def opens(link: dict[str, Any]) -> bool:
        page = anybody.get(link["path"])
        assert page.status_code == 200 or "Moons" not in page.text
        return page.status_code == 200

    month, for_ever = make(ask, chat), make(ask, chat, days=None)
    assert month["expires_at"] == pytest.approx(month["created_at"] + 30 * DAY_S, abs=5)
    assert for_ever["expires_at"] is None
    assert opens(month)
    assert opens(for_ever)
    with monkeypatch.context() as later:
        now = month["expires_at"] + 1
        later.setattr("llmws.store.links.time.time", lambda: now)
        assert not opens(month)
        assert opens(for_ever)
    mine = f"/api/chats/{chat}/links"
    ask(OWNER, "DELETE", f"{mine}/{month['id']}").raise_for_status()
    assert not opens(month)
    assert [one["id"] for one in ask(OWNER, "GET", mine).json()["items"]] == [for_ever["id"]]
    ask(OWNER, "POST", f"{mine}/{month['id']}/restore").raise_for_status()
    assert opens(month)
    ask(OWNER, "DELETE", f"/api/chats/{chat}").raise_for_status()
    assert not opens(for_ever)
    assert ask(OWNER, "GET", mine).status_code == 404
    ask(OWNER, "POST", f"/api/chats/{chat}/restore").raise_for_status()
    assert opens(for_ever)


def test_a_secret_is_told_once_and_kept_nowhere(ask: Ask, chat: str, settings: Settings, service: Running) -> None:
    path = make(ask, chat)["path"]
    secret = path.rpartition("/")[2]
    # 256 bits in base64.
    assert re.fullmatch(r"[\w-]{43}", secret)
    assert secret not in ask(OWNER, "GET", f"/api/chats/{chat}/links").text
    assert "secret" not in ask(OWNER, "GET", f"/api/chats/{chat}/links").text
    files = [file for file in settings.data.rglob("*") if file.is_file()]
    assert [file for file in files if secret.encode() in file.read_bytes()] == []


def test_a_repeated_request_makes_one_link_whose_last_secret_is_good(
    ask: Ask, chat: str, anybody: httpx.Client
) -> None:
    made = [
        ask(OWNER, "POST", f"/api/chats/{chat}/links", {}, **{"Idempotency-Key": "once"}).raise_for_status().json()
        for _ in range(2)
    ]
    assert made[0]["id"] == made[1]["id"]
    assert [anybody.get(one["path"]).status_code for one in made] == [404, 200]
    assert len(ask(OWNER, "GET", f"/api/chats/{chat}/links").json()["items"]) == 1


def test_links_are_made_and_revoked_by_the_owner_alone(ask: Ask, chat: str, anybody: httpx.Client) -> None:
    link = make(ask, chat)
    mine = f"/api/chats/{chat}/links"
    theirs = ask(OTHER, "POST", "/api/chats", {"model": "echo"}).json()["id"]
    for token in (PERSON, OTHER):
        for method, path in (
            ("GET", mine),
            ("POST", mine),
            ("DELETE", f"{mine}/{link['id']}"),
            ("POST", f"{mine}/{link['id']}/restore"),
            # Nor by way of a conversation of their own.
            ("DELETE", f"/api/chats/{theirs}/links/{link['id']}"),
        ):
            assert ask(token, method, path, {}).status_code == 404, (token, method, path)
    assert anybody.get(link["path"]).status_code == 200
    assert ask(OTHER, "POST", f"/api/chats/{theirs}/links", {}).json()["error"]["code"] == "conflict"
    for days in (0, 4000, "soon"):
        assert ask(OWNER, "POST", mine, {"days": days}).status_code == 422


def test_who_guesses_waits_and_nobody_else(ask: Ask, chat: str, anybody: httpx.Client) -> None:
    link = make(ask, chat)["path"]
    folder = link.rpartition("/")[0]
    guesser, reader = {"X-Forwarded-For": "198.51.100.7, 192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    answers = [anybody.get(f"{folder}/{number}", headers=guesser).status_code for number in range(31)]
    assert answers == [404] * 30 + [429]
    told = anybody.get(link, headers=guesser)
    assert told.status_code == 429
    assert 0 < int(told.headers["retry-after"]) <= 61
    assert anybody.get(link, headers=reader).status_code == 200


def test_misses_are_forgotten_in_time_and_in_number() -> None:
    now = 0.0
    misses = links.Misses(most=2, window_s=10.0, clock=lambda: now)
    misses.MOST_KNOWN = 3  # type: ignore[misc]
    misses.add("a")
    assert misses.wait_s("a") == 0.0
    misses.add("a")
    assert misses.wait_s("a") == 10.0
    now = 10.0
    assert misses.wait_s("a") == 0.0
    misses.add("a")
    assert misses.wait_s("a") == 0.0
    for address in "bcdef":
        misses.add(address)
    assert len(misses._known) == 3


def test_an_administrator_switches_links_off(settings: Settings, hub: Hub) -> None:
    hubs = replace(settings, idle_exit_s=0.0)
    with running_service(hubs, hub.service) as on:
        head = {"Authorization": f"Bearer {OWNER}"}
        chat = on.http.post("/api/chats", json={"model": "echo"}, headers=head).json()["id"]
        sent = on.http.post(f"/api/chats/{chat}/messages", json={"text": "Hi"}, headers=head).json()
        on.http.get(f"/api/generations/{sent['generation']['id']}/events", headers=head).raise_for_status()
        path = on.http.post(f"/api/chats/{chat}/links", json={}, headers=head).json()["path"]
        assert on.http.get("/api/me", headers=head).json()["links"] is True
    with running_service(replace(hubs, links=False), hub.service) as off:
        told = off.http.post(f"/api/chats/{chat}/links", json={}, headers=head)
        assert (told.status_code, told.json()["error"]["code"]) == (409, "links_off")
        assert off.http.get("/api/me", headers=head).json()["links"] is False
        origin = re.sub(r"(?<=\d)/.*", "", off.instance.url)
        assert httpx.get(f"{origin}{path}", trust_env=False).status_code == 404


def test_a_link_that_opens_nothing_says_so_in_the_reader_s_language(service: Running, anybody: httpx.Client) -> None:
    path = "/services/llmws/door/shared/nothing"
    assert "opens nothing" in anybody.get(path).text
    assert "此链接已失效" in anybody.get(path, headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text


async def test_of_a_secret_the_hash_is_kept(ask: Ask, chat: str, settings: Settings, service: Running) -> None:
    secret = make(ask, chat)["path"].rpartition("/")[2]
    store = Store.open(settings.database_url)
    kept = await store.read(lambda connection: list(connection.scalars(select(tables.links.c.secret_hash))))
    store.close()
    assert kept == [links._hash(secret)]
