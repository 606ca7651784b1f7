"""Conversations that are shared: read by whom they were given to, by nobody else, and only as long as they are."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from llmws.messages import Message, Part, Usage
from llmws.providers.echo import MODEL as ECHO
from llmws.service.shares import as_seen
from llmws.settings import Settings

from .harness import Running, running_service
from .test_hub_identity import CHAT, Hub, by, serving, user

# Olga owns it; Pia was given it herself, Gus as one of the lab; Xenia is in another group.
OWNER, PERSON, MEMBER, OTHER = "o", "p", "g", "x"
MODEL = {"model": "echo"}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    people = {
        OWNER: user("olga", CHAT, groups=["lab", "choir"]),
        PERSON: user("pia", CHAT),
        MEMBER: user("gus", CHAT, groups=["lab"]),
        OTHER: user("xenia", CHAT, groups=["labs"]),
    }
    with serving(Hub(people)) as running:
        yield running


@pytest.fixture
def service(settings: Settings, hub: Hub) -> Iterator[Running]:
    with running_service(replace(settings, idle_exit_s=0.0), hub.service) as running:
        yield running


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(service: Running) -> Ask:
    """A request by somebody's token."""

    def ask(token: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return service.http.request(method, path, json=body, headers={**by(token), **headers})

    return ask


@pytest.fixture
def chat(service: Running, ask: Ask) -> str:
    """Olga's conversation: a question and its answer, with a system prompt that is nobody's business."""
    made = ask(OWNER, "POST", "/api/chats", {**MODEL, "title": "Moons", "system": "hush-hush"}).json()["id"]
    say(service, ask, OWNER, made, "Name three moons.")
    return str(made)


def say(service: Running, ask: Ask, token: str, chat: str, text: str, **extra: Any) -> dict[str, Any]:
    body = {"text": text, "parameters": {"extra": extra}}
    sent = ask(token, "POST", f"/api/chats/{chat}/messages", body).raise_for_status().json()
    events = f"/api/generations/{sent['generation']['id']}/events"
    service.http.get(events, headers=by(token)).raise_for_status()
    return dict(sent)


def texts(answer: httpx.Response) -> list[str]:
    return [Message.from_dict(item["message"]).text for item in answer.raise_for_status().json()["items"]]


def give(ask: Ask, chat: str, kind: str = "person", grantee: str = "pia") -> None:
    ask(OWNER, "PUT", f"/api/chats/{chat}/grants/{kind}/{grantee}").raise_for_status()


def listed(ask: Ask, token: str) -> list[str]:
    return [one["id"] for one in ask(token, "GET", "/api/shared").raise_for_status().json()["items"]]


def test_it_is_read_by_whom_it_was_given_to_and_nobody_else(service: Running, ask: Ask, chat: str) -> None:
    give(ask, chat)
    give(ask, chat, "group", "lab")
    grants = ask(OWNER, "GET", f"/api/chats/{chat}/grants").json()["items"]
    assert [(one["kind"], one["grantee"]) for one in grants] == [("person", "pia"), ("group", "lab")]
    for token in (PERSON, MEMBER):
        [shared] = ask(token, "GET", "/api/shared").json()["items"]
        assert (shared["id"], shared["owner"], shared["title"], shared["model"]) == (chat, "olga", "Moons", "echo")
        assert ask(token, "GET", f"/api/shared/{chat}").json() == shared
        said = ask(token, "GET", f"/api/shared/{chat}/messages")
        assert texts(said) == ["Name three moons."] * 2
        assert said.json()["items"][1]["message"]["usage"]["output_tokens"] > 0
        assert "hush-hush" not in said.text
    # Live: what is said later is shared as well.
    say(service, ask, OWNER, chat, "And a fourth.")
    assert texts(ask(PERSON, "GET", f"/api/shared/{chat}/messages"))[2:] == ["And a fourth."] * 2
    # The owner has it as their own, and Xenia not at all.
    assert listed(ask, OWNER) == listed(ask, OTHER) == []
    for token in (OWNER, OTHER):
        assert ask(token, "GET", f"/api/shared/{chat}").status_code == 404
        assert ask(token, "GET", f"/api/shared/{chat}/messages").status_code == 404
        assert ask(token, "POST", f"/api/shared/{chat}/copy").status_code == 404
        assert ask(token, "DELETE", f"/api/shared/{chat}").status_code == 404


def test_who_may_read_it_may_do_nothing_else_to_it(ask: Ask, chat: str) -> None:
    give(ask, chat)
    give(ask, chat, "group", "lab")
    link = ask(OWNER, "POST", f"/api/chats/{chat}/links", {}).json()["id"]
    mine = f"/api/chats/{chat}"
    routes = [
        ("GET", mine, None),
        ("PATCH", mine, {"title": "x"}),
        ("DELETE", mine, None),
        ("POST", f"{mine}/restore", None),
        ("GET", f"{mine}/messages", None),
        ("POST", f"{mine}/messages", {"text": "x"}),
        ("GET", f"{mine}/grants", None),
        ("PUT", f"{mine}/grants/person/xenia", None),
        ("PUT", f"{mine}/grants/group/lab", None),
        ("DELETE", f"{mine}/grants/group/lab", None),
        ("GET", f"{mine}/links", None),
        ("POST", f"{mine}/links", {}),
        ("DELETE", f"{mine}/links/{link}", None),
        ("POST", f"{mine}/links/{link}/restore", None),
        ("POST", "/api/tickets", {"action": "download", "thing": f"chats/{chat}"}),
    ]
    for token, (method, path, body) in itertools.product((PERSON, MEMBER, OTHER), routes):
        answer = ask(token, method, path, body)
        assert answer.status_code == 404, (token, method, path, answer.text)
    assert ask(PERSON, "GET", f"/api/shared/{chat}").json()["title"] == "Moons"
    assert len(ask(OWNER, "GET", f"{mine}/grants").json()["items"]) == 2


def test_taking_it_back_acts_at_once(ask: Ask, chat: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmws.service.hub_identity.FRESH_S", 0.0)
    give(ask, chat)
    give(ask, chat, "group", "lab")
    ask(OWNER, "DELETE", f"/api/chats/{chat}/grants/person/pia").raise_for_status()
    assert (listed(ask, PERSON), listed(ask, MEMBER)) == ([], [chat])
    assert ask(PERSON, "GET", f"/api/shared/{chat}/messages").status_code == 404
    # Who leaves the group loses it, as soon as the hub says so.
    hub.people[MEMBER]["groups"] = []
    assert listed(ask, MEMBER) == []
    # Deleting the conversation ends it, undoing that brings it back.
    give(ask, chat)
    ask(OWNER, "DELETE", f"/api/chats/{chat}").raise_for_status()
    assert listed(ask, PERSON) == []
    assert ask(PERSON, "POST", f"/api/shared/{chat}/copy").status_code == 404
    ask(OWNER, "POST", f"/api/chats/{chat}/restore").raise_for_status()
    assert listed(ask, PERSON) == [chat]
    # Who was given it may let it go; it is not theirs to take from the group.
    ask(PERSON, "DELETE", f"/api/shared/{chat}").raise_for_status()
    hub.people[MEMBER]["groups"] = ["lab"]
    ask(MEMBER, "DELETE", f"/api/shared/{chat}").raise_for_status()
    assert (listed(ask, PERSON), listed(ask, MEMBER)) == ([], [chat])
    assert [one["kind"] for one in ask(OWNER, "GET", f"/api/chats/{chat}/grants").json()["items"]] == ["group"]


def test_it_is_continued_in_a_copy_of_one_s_own(service: Running, ask: Ask, chat: str) -> None:
    give(ask, chat)
    key = {"Idempotency-Key": "copy-1"}
    copies = [ask(PERSON, "POST", f"/api/shared/{chat}/copy", **key).raise_for_status().json() for _ in range(2)]
    copy = copies[0]["id"]
    assert copies[0] == copies[1]
    assert (copies[0]["title"], copies[0]["model"], copies[0]["system"]) == ("Moons", "echo", "")
    say(service, ask, PERSON, copy, "And a fourth.")
    assert len(texts(ask(PERSON, "GET", f"/api/chats/{copy}/messages"))) == 4
    assert len(texts(ask(OWNER, "GET", f"/api/chats/{chat}/messages"))) == 2
    assert ask(OWNER, "GET", f"/api/chats/{copy}").status_code == 404
    # It stays when the other is gone.
    ask(OWNER, "DELETE", f"/api/chats/{chat}").raise_for_status()
    assert len(texts(ask(PERSON, "GET", f"/api/chats/{copy}/messages"))) == 4


def test_it_is_given_to_groups_of_one_s_own_and_to_others(ask: Ask, chat: str) -> None:
    grants = f"/api/chats/{chat}/grants"
    told = ask(OWNER, "PUT", f"{grants}/group/labs")
    assert told.status_code == 403
    assert "choir, lab" in told.json()["error"]["remedy"]
    assert ask(OWNER, "PUT", f"{grants}/person/olga").status_code == 422
    assert ask(OWNER, "PUT", f"{grants}/everybody/x").status_code == 422
    # Whether there is such a person is told to nobody.
    assert ask(OWNER, "PUT", f"{grants}/person/nobody-of-this-name").status_code == 200


def test_a_temporary_conversation_is_not_shared(ask: Ask) -> None:
    made = ask(OWNER, "POST", "/api/chats", {**MODEL, "temporary": True}).raise_for_status().json()["id"]
    for method, path in (("PUT", "grants/person/pia"), ("POST", "links")):
        told = ask(OWNER, method, f"/api/chats/{made}/{path}", {})
        assert (told.status_code, told.json()["error"]["message"]) == (409, "A temporary chat is not shared.")


def test_an_answer_that_is_being_written_is_not_shown_yet(service: Running, ask: Ask, chat: str) -> None:
    give(ask, chat)
    body = {"text": "Slowly.", "parameters": {"extra": {"count": 10_000, "delay_s": 0.1}}}
    sent = ask(OWNER, "POST", f"/api/chats/{chat}/messages", body).json()
    assert texts(ask(PERSON, "GET", f"/api/shared/{chat}/messages"))[2:] == ["Slowly."]
    copy = ask(PERSON, "POST", f"/api/shared/{chat}/copy").json()["id"]
    assert texts(ask(PERSON, "GET", f"/api/chats/{copy}/messages"))[2:] == ["Slowly."]
    ask(OWNER, "POST", f"/api/generations/{sent['generation']['id']}/cancel").raise_for_status()


def test_what_is_attached_is_read_along_copied_and_gone_with_the_sharing(
    service: Running, ask: Ask, chat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmws.service.hub_identity.FRESH_S", 0.0)
    monkeypatch.setattr("llmws.service.models.ECHO", replace(ECHO, vision=True))
    sent = service.http.post("/api/attachments", params={"name": "moon.png"}, content=PNG, headers=by(OWNER)).json()
    hidden = service.http.post("/api/attachments", params={"name": "b.png"}, content=PNG, headers=by(OWNER)).json()
    parts = [{"type": "image", "data": {"attachment": sent["id"]}}, {"type": "text", "text": "What is it?"}]
    said = ask(OWNER, "POST", f"/api/chats/{chat}/messages", {"parts": parts}).raise_for_status().json()
    service.http.get(f"/api/generations/{said['generation']['id']}/events", headers=by(OWNER)).raise_for_status()
    give(ask, chat)
    content = f"/api/shared/{chat}/attachments/{sent['id']}/content"
    assert ask(PERSON, "GET", content).content == PNG
    wanted = {"action": "download", "thing": f"shared/{chat}/{sent['id']}"}
    path = ask(PERSON, "POST", "/api/tickets", wanted).raise_for_status().json()["path"]
    address = service.instance.url.removesuffix("/services/llmws") + path
    assert httpx.get(address, trust_env=False).content == PNG
    # What is shown in no message of it is not shared with it, and nothing of it with others.
    assert ask(PERSON, "GET", content.replace(sent["id"], hidden["id"])).status_code == 404
    assert ask(PERSON, "GET", f"/api/attachments/{sent['id']}/content").status_code == 404
    for token in (MEMBER, OTHER):
        assert ask(token, "GET", content).status_code == 404
        assert ask(token, "POST", "/api/tickets", wanted).status_code == 404
    link = ask(OWNER, "POST", f"/api/chats/{chat}/links", {}).json()["path"]
    shown = httpx.get(service.instance.url.removesuffix("/services/llmws") + link, trust_env=False).text
    assert "data:image/png;base64," in shown
    copy = ask(PERSON, "POST", f"/api/shared/{chat}/copy").raise_for_status().json()["id"]
    ask(OWNER, "DELETE", f"/api/chats/{chat}/grants/person/pia").raise_for_status()
    assert ask(PERSON, "GET", content).status_code == 404
    assert httpx.get(address, trust_env=False).status_code == 404
    items = ask(PERSON, "GET", f"/api/chats/{copy}/messages").json()["items"]
    [own] = [part["data"]["attachment"] for item in items for part in item["message"]["parts"] if part.get("data")]
    assert own != sent["id"]
    assert ask(PERSON, "GET", f"/api/attachments/{own}/content").content == PNG


def test_what_only_the_owner_or_a_provider_has_a_use_for_stays_behind() -> None:
    said = Message(
        "assistant",
        (
            Part("reasoning", "Hm.", {"signature": "s", "wire": "w"}),
            Part("reasoning", "", {"encrypted": "e"}),
            Part("text", "Yes.", {"cache_control": "c"}),
            Part("tool_call", data={"id": "1", "name": "look", "arguments": "{}", "signature": "s"}),
            Part.tool_result("1", "Not allowed.", denied=True),
            Part("image", data={"attachment": "a", "name": "moon.png", "path": "/home"}),
            Part("unheard-of", "?", {"key": "k"}),
        ),
        model="m",
        usage=Usage(1, 2),
        error={"message": "http://10.0.0.7 refused", "code": "provider"},
    )
    told = as_seen(said)
    assert [dict(part.data) for part in told.parts] == [
        {},
        {},
        {"id": "1", "name": "look", "arguments": "{}"},
        {"id": "1", "is_error": True, "denied": True},
        {"attachment": "a", "name": "moon.png"},
        {},
    ]
    assert (told.usage, told.error) == (Usage(1, 2), {"message": "This answer failed."})


def test_a_laptop_has_nobody_to_share_with(settings: Settings) -> None:
    with running_service(settings) as laptop:
        chat = laptop.new_chat()["id"]
        for method, path in (("PUT", "grants/person/pia"), ("POST", "links")):
            told = laptop.http.request(method, f"/api/chats/{chat}/{path}", json={})
            assert told.status_code == 409
            assert told.json()["error"]["code"] == "needs_hub"
        assert laptop.get("/api/shared")["items"] == []
        assert laptop.get("/api/me")["links"] is False
