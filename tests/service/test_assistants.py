"""Assistants: made by one person, used by those they are shared with, never changed by these."""

from __future__ import annotations

import itertools
from typing import Any

from .harness import Running, running_service
from .test_shares import MEMBER, OTHER, OWNER, PERSON, Ask, ask, hub, service

__all__ = ["ask", "hub", "service"]

POET = {
    "name": "Poet",
    "description": "Answers in verse.",
    "model": "echo",
    "system": "Rhyme.",
    "parameters": {"temperature": 0.2},
}


def make(ask: Ask, token: str = OWNER, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = ask(token, "POST", "/api/assistants", {**POET, **more}).raise_for_status().json()
    return made


def listed(ask: Ask, token: str) -> list[str]:
    return [one["name"] for one in ask(token, "GET", "/api/assistants").raise_for_status().json()["items"]]


def test_an_assistant_is_made_changed_deleted_and_brought_back(ask: Ask) -> None:
    made = make(ask)
    mine = f"/api/assistants/{made['id']}"
    assert {name: made[name] for name in POET} == POET
    assert (made["owner"], made["mine"], made["problem"]) == ("olga", True, None)
    changed = ask(OWNER, "PATCH", mine, {"name": "Bard", "system": ""}).json()
    assert (changed["name"], changed["system"], changed["description"]) == ("Bard", "", "Answers in verse.")
    assert ask(OWNER, "GET", mine).json() == changed
    ask(OWNER, "DELETE", mine).raise_for_status()
    assert ask(OWNER, "GET", mine).status_code == 404
    assert listed(ask, OWNER) == []
    assert ask(OWNER, "POST", f"{mine}/restore").json() == changed
    assert listed(ask, OWNER) == ["Bard"]


def test_what_cannot_be_an_assistant_is_refused(ask: Ask) -> None:
    for wrong, status in (
        ({"name": ""}, 422),
        ({"name": "x" * 101}, 422),
        ({"description": "x" * 1001}, 422),
        ({"parameters": {"colour": "blue"}}, 422),
        ({"model": "nowhere"}, 404),
        ({"owner": "pia"}, 422),
    ):
        assert ask(OWNER, "POST", "/api/assistants", {**POET, **wrong}).status_code == status, wrong
    made = make(ask)["id"]
    assert ask(OWNER, "PATCH", f"/api/assistants/{made}", {"model": "nowhere"}).status_code == 404
    key = {"Idempotency-Key": "once"}
    twice = [ask(OWNER, "POST", "/api/assistants", POET, **key).json()["id"] for _ in range(2)]
    assert twice[0] == twice[1]


def test_it_is_used_by_whom_it_is_shared_with_and_changed_by_its_owner(ask: Ask) -> None:
    made = make(ask)
    mine = f"/api/assistants/{made['id']}"
    ask(OWNER, "PUT", f"{mine}/grants/person/pia").raise_for_status()
    ask(OWNER, "PUT", f"{mine}/grants/group/lab").raise_for_status()
    assert ask(OWNER, "PUT", f"{mine}/grants/group/labs").status_code == 403
    assert [listed(ask, token) for token in (OWNER, PERSON, MEMBER, OTHER)] == [["Poet"], ["Poet"], ["Poet"], []]
    assert ask(PERSON, "GET", mine).json() == {**made, "mine": False}
    for token, (method, path, body) in itertools.product(
        (PERSON, MEMBER, OTHER),
        (
            ("PATCH", mine, {"name": "x"}),
            ("DELETE", mine, None),
            ("POST", f"{mine}/restore", None),
            ("GET", f"{mine}/grants", None),
            ("PUT", f"{mine}/grants/person/xenia", None),
            ("DELETE", f"{mine}/grants/person/pia", None),
        ),
    ):
        assert ask(token, method, path, body).status_code == 404, (token, method, path)
    begin = {"assistant_id": made["id"]}
    assert [ask(token, "POST", "/api/chats", begin).status_code for token in (PERSON, MEMBER, OTHER)] == [201, 201, 404]
    assert ask(OTHER, "GET", mine).status_code == 404
    ask(OWNER, "DELETE", f"{mine}/grants/person/pia").raise_for_status()
    assert ask(PERSON, "POST", "/api/chats", begin).status_code == 404
    assert listed(ask, PERSON) == []
    ask(OWNER, "DELETE", mine).raise_for_status()
    assert ask(MEMBER, "POST", "/api/chats", begin).status_code == 404


def test_a_chat_copies_what_it_was_begun_with(ask: Ask) -> None:
    made = make(ask)
    begun = ask(OWNER, "POST", "/api/chats", {"assistant_id": made["id"]}).json()
    assert (begun["model"], begun["system"], begun["parameters"]) == ("echo", "Rhyme.", {"temperature": 0.2})
    assert begun["assistant_id"] == made["id"]
    ask(OWNER, "PATCH", f"/api/assistants/{made['id']}", {"system": "Do not rhyme."}).raise_for_status()
    ask(OWNER, "DELETE", f"/api/assistants/{made['id']}").raise_for_status()
    now = ask(OWNER, "GET", f"/api/chats/{begun['id']}").json()
    assert {name: now[name] for name in begun} == begun
    # What is said besides goes before.
    other = make(ask)["id"]
    own = ask(OWNER, "POST", "/api/chats", {"assistant_id": other, "system": "", "parameters": {"seed": 1}}).json()
    assert (own["model"], own["system"], own["parameters"]) == ("echo", "", {"seed": 1})
    assert ask(OWNER, "POST", "/api/chats", {"title": "x"}).status_code == 422
    assert ask(OWNER, "POST", "/api/chats", {"model": "echo"}).json()["assistant_id"] is None


def test_who_may_not_use_its_model_is_told_why(ask: Ask, hub: Any) -> None:
    hub.people[OWNER]["scopes"].append("custom:llmws:train")
    provider = {"vendor": "compatible", "id": "olgas", "base_url": "https://models.invalid/v1", "key": "k"}
    ask(OWNER, "POST", "/api/providers", provider).raise_for_status()
    made = make(ask, model="olgas/m")
    ask(OWNER, "PUT", f"/api/assistants/{made['id']}/grants/person/pia").raise_for_status()
    [seen] = ask(PERSON, "GET", "/api/assistants").json()["items"]
    assert seen["problem"].startswith("You cannot use its model olgas/m.")
    assert ask(PERSON, "POST", "/api/chats", {"assistant_id": made["id"]}).status_code == 404
    assert ask(PERSON, "POST", "/api/chats", {"assistant_id": made["id"], "model": "echo"}).status_code == 201


def test_a_laptop_keeps_assistants_to_itself(settings: Any) -> None:
    with running_service(settings) as laptop:
        made = laptop.post("/api/assistants", POET)
        told = laptop.http.put(f"/api/assistants/{made['id']}/grants/person/pia")
        assert (told.status_code, told.json()["error"]["code"]) == (409, "needs_hub")
        assert laptop.new_chat(assistant_id=made["id"])["system"] == "Rhyme."


def test_a_service_lists_them_by_name(service: Running, ask: Ask) -> None:
    for name in ("Zoe", "Ada", "Mia"):
        make(ask, name=name)
    assert listed(ask, OWNER) == ["Ada", "Mia", "Zoe"]
