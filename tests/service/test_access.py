"""Who may do what: every route states it, and nobody sees what is another's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from llmws.service import edge
from llmws.service.access import NEEDS, Open, Rule
from llmws.service.identity import RUNNER, SCOPES, Person
from llmws.settings import Settings

from .harness import app_for, asked

PEOPLE = {
    "ada": Person("ada", frozenset({"chat"})),
    "eve": Person("eve", frozenset({"chat"})),
    "grace": Person("grace", frozenset({"admin"})),
    "nobody": Person("nobody", frozenset()),
}


class People:
    """An identity of several people whose tokens are their names, as a hub has them."""

    hosts = None
    revocable = False

    async def person(self, token: str, fresh: bool = False) -> Person | None:
        return PEOPLE.get(token)

    async def aclose(self) -> None: ...


@pytest.fixture
def app(settings: Settings) -> Iterator[FastAPI]:
    with app_for(settings, People()) as app:
        yield app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with asked(app) as http:
        yield http


def by(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


def routes(router: Any) -> Iterator[APIRoute]:
    """Every route, those of included routers too."""
    for route in router.routes:
        if hasattr(route, "original_router"):
            yield from routes(route.original_router)
        else:
            assert isinstance(route, APIRoute), f"{route} can state no rule"
            yield route


def rules(dependant: Dependant) -> list[Rule | Open]:
    own = [dependant.call] if isinstance(dependant.call, Rule | Open) else []
    return own + [rule for below in dependant.dependencies for rule in rules(below)]


def test_every_route_states_an_access_rule(app: FastAPI) -> None:
    found = list(routes(app))
    assert {route.path.replace(":path}", "}") for route in found} >= set(app.openapi()["paths"])
    for route in found:
        stated = rules(route.dependant)
        assert len(stated) == 1, f"{route.path} states {stated}"
        if isinstance(stated[0], Open):
            assert route.path.startswith(edge._WITHOUT_TOKEN), f"{route.path} would want a token all the same"


def test_an_open_path_has_an_open_route(app: FastAPI) -> None:
    for route in routes(app):
        if route.path.startswith(edge._WITHOUT_TOKEN):
            [rule] = rules(route.dependant)
            assert isinstance(rule, Open) or type(rule).__name__ == "Ticketed"


def test_actions_need_scopes_that_exist() -> None:
    assert set(NEEDS.values()) <= {*SCOPES, RUNNER}


async def test_scopes_contain_those_below(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/chats", headers=by("grace"))).status_code == 200
    assert (await http.post("/api/shutdown", headers=by("grace"))).status_code == 202
    refused = await http.post("/api/shutdown", headers=by("ada"))
    assert refused.status_code == 403
    assert "admin" in refused.json()["error"]["remedy"]
    assert (await http.get("/api/chats", headers=by("nobody"))).status_code == 403


async def test_nobody_finds_what_is_another_s(http: httpx.AsyncClient) -> None:
    chat = (await http.post("/api/chats", json={"model": "echo"}, headers=by("ada"))).json()
    said = {"text": "secret", "parameters": {"extra": {"count": 10_000, "delay_s": 0.1}}}
    sent = (await http.post(f"/api/chats/{chat['id']}/messages", json=said, headers=by("ada"))).json()
    mine, answer = f"/api/chats/{chat['id']}", f"/api/generations/{sent['generation']['id']}"
    poet = {"name": "Poet", "model": "echo", "system": "secret"}
    assistant = (await http.post("/api/assistants", json=poet, headers=by("ada"))).json()["id"]
    file = (await http.post("/api/attachments?name=secret.txt", content=b"secret", headers=by("ada"))).json()["id"]
    refers = {"parts": [{"type": "file", "data": {"attachment": file}}]}
    theirs = (await http.post("/api/chats", json={"model": "echo"}, headers=by("eve"))).json()["id"]
    announced = {"name": "chats.json", "bytes": 5}
    file = f"/api/imports/{(await http.post('/api/imports', json=announced, headers=by('ada'))).json()['id']}"
    tries = [
        ("GET", f"/api/attachments/{file}", None),
        ("GET", f"/api/attachments/{file}/content", None),
        ("POST", "/api/tickets", {"action": "download", "thing": f"attachments/{file}"}),
        ("POST", f"/api/chats/{theirs}/messages", refers),
        ("POST", "/api/generations", {"messages": [{"role": "user", **refers}], "model": "echo"}),
        ("GET", mine, None),
        ("PATCH", mine, {"title": "x"}),
        ("DELETE", mine, None),
        ("POST", f"{mine}/restore", None),
        ("GET", f"{mine}/messages", None),
        ("POST", f"{mine}/messages", {"text": "x"}),
        ("POST", f"{mine}/messages", {"text": "x", "replaces": sent["message"]["id"]}),
        ("GET", f"{mine}/messages/{sent['message']['id']}", None),
        *(
            ("POST", f"{mine}/messages/{sent['answer']['id']}/{what}", None)
            for what in ("regenerate", "continue", "select")
        ),
        ("GET", answer, None),
        ("GET", f"{answer}/events", None),
        ("POST", f"{answer}/cancel", None),
        ("GET", f"/api/exports?chat={chat['id']}", None),
        ("GET", file, None),
        ("GET", f"{file}/records", None),
        ("POST", f"{file}/content?offset=0", None),
        ("DELETE", file, None),
        ("POST", "/api/tickets", {"action": "download", "thing": f"chats/{chat['id']}"}),
        *(("PUT", f"{thing}/grants/person/eve", None) for thing in (mine, f"/api/assistants/{assistant}")),
        ("POST", f"{mine}/links", {}),
        ("GET", f"/api/shared/{chat['id']}", None),
        ("GET", f"/api/shared/{chat['id']}/messages", None),
        ("POST", f"/api/shared/{chat['id']}/copy", None),
        ("DELETE", f"/api/shared/{chat['id']}", None),
        ("GET", f"/api/assistants/{assistant}", None),
        ("PATCH", f"/api/assistants/{assistant}", {"name": "x"}),
        ("DELETE", f"/api/assistants/{assistant}", None),
        ("POST", "/api/chats", {"assistant_id": assistant}),
    ]
    for method, path, body in tries:
        for name in ("eve", "grace"):
            response = await http.request(method, path, json=body, headers=by(name))
            assert response.status_code == 404, (method, path, name)
            assert "secret" not in response.text
    assert (await http.delete(f"/api/chats/{theirs}", headers=by("eve"))).status_code == 204
    for listing in ("/api/chats", "/api/shared", "/api/assistants"):
        assert (await http.get(listing, headers=by("eve"))).json()["items"] == []
    assert (await http.get(answer, headers=by("ada"))).json()["state"] == "running"
    assert (await http.post(f"{answer}/cancel", headers=by("ada"))).status_code == 202


# What a group of a hub may do with its token; the runner is no person, and nobody has no group.
ROLES: dict[str, Person | None] = {
    "anonymous": None,
    "nobody": Person("nobody"),
    "business": Person("bob", frozenset({"chat"})),
    "researcher": Person("rosa", frozenset({"chat", "train"})),
    "administrator": Person("ann", frozenset({"chat", "train", "admin"})),
    "runner": Person("gpu7", frozenset({RUNNER})),
}
MAY = {
    "chat": {"business", "researcher", "administrator"},
    "train": {"researcher", "administrator"},
    "admin": {"administrator"},
    RUNNER: {"runner"},
}


@pytest.mark.parametrize("role", ROLES)
async def test_each_route_lets_in_whom_its_rule_names(
    app: FastAPI, http: httpx.AsyncClient, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEOPLE, role, ROLES[role])  # type: ignore[arg-type]
    # A stream would not end, and what is asked of a runner waits for work.
    endless = {"/api/presence", "/api/runner/claim"}
    tried = 0
    for route in routes(app):
        [rule] = rules(route.dependant)
        let_in = isinstance(rule, Open) or role in MAY[NEEDS[rule.action]]
        if (let_in and route.path in endless) or type(rule).__name__ == "Ticketed":
            continue
        for method in sorted(route.methods):
            answer = await http.request(method, re.sub(r"{\w+}", "0" * 32, route.path), headers=by(role))
            tried += 1
            refusal = 401 if role == "anonymous" else 403
            assert (answer.status_code != refusal) == let_in, (method, route.path, answer.status_code)
            assert answer.status_code < 500 or answer.status_code == 503, (method, route.path, answer.text)
    assert tried > 40


async def test_a_key_of_one_finds_nothing_of_another(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "same"}
    ids = [
        (await http.post("/api/chats", json={"model": "echo"}, headers={**by(name), **key})).json()["id"]
        for name in ("ada", "eve", "ada")
    ]
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]


async def test_a_person_is_told_what_their_token_is_good_for(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEOPLE, "rosa", Person("rosa", frozenset({"chat", "train"}), frozenset({"lab", "cats"})))
    rosa = (await http.get("/api/me", headers=by("rosa"))).json()
    assert (rosa["name"], rosa["groups"], rosa["hub"]) == ("rosa", ["cats", "lab"], People.revocable)
    assert "train" in rosa["actions"]
    assert "administer" not in rosa["actions"]
    actions = {name: (await http.get("/api/me", headers=by(name))).json()["actions"] for name in ("ada", "grace")}
    assert set(actions["ada"]) == {action for action, scope in NEEDS.items() if scope == "chat"}
    assert set(actions["grace"]) == {action for action, scope in NEEDS.items() if scope in SCOPES}
