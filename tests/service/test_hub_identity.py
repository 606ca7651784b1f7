"""The service as a hub's: who somebody is says the hub, here a stand-in with the one route that is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest
from httpx_sse import EventSource

from llmws.errors import SettingsError
from llmws.service import edge, hub_identity
from llmws.settings import HubService, Settings, hub_service

from .harness import Running, running_service, wait_for

PREFIX = "/services/llmws"
MINE = "access:services!service=llmws"
CHAT, TRAIN, ADMIN = (f"custom:llmws:{scope}" for scope in ("chat", "train", "admin"))


def user(name: str, *scopes: str, **more: Any) -> dict[str, Any]:
    return {"kind": "user", "name": name, "groups": [], "scopes": [MINE, *scopes], **more}


@dataclass
class Hub:
    """What `GET /user` answers by token; `away` answers nothing of use."""

    people: dict[str, dict[str, Any]]
    away: bool = False
    speaks_html: bool = False
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def service(self) -> HubService:
        return HubService("llmws", PREFIX, 0, f"http://127.0.0.1:{self.port}/hub/api")


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Api(BaseHTTPRequestHandler):
        protocol_version: ClassVar = "HTTP/1.1"

        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("token ")
            hub.asked.append(token)
            person = hub.people.get(token)
            status = 503 if hub.away else 200 if person is not None and self.path == "/hub/api/user" else 403
            body = b"<html>" if hub.speaks_html else json.dumps(person or {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    people = {
        "b": user("bob", CHAT),
        "r": user("rosa", CHAT, TRAIN),
        "a": user("ann", CHAT, TRAIN, ADMIN),
        "elsewhere": {**user("bob"), "scopes": [CHAT, "access:services!service=other"]},
        "no group": user("nina"),
        "program": user("bob", CHAT, kind="service"),
    }
    with serving(Hub(people)) as running:
        yield running


@pytest.fixture
def service(settings: Settings, hub: Hub) -> Iterator[Running]:
    with running_service(replace(settings, idle_exit_s=0.0, runner_token="runs"), hub.service) as running:
        yield running


def by(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_people_are_those_of_the_hub_and_may_what_their_token_may(service: Running) -> None:
    def status(token: str, path: str, method: str = "GET") -> int:
        return service.http.request(method, path, headers=by(token)).status_code

    assert [status(token, "/api/chats") for token in "bra"] == [200, 200, 200]
    assert [status(token, "/api/jobs/0/stop", "POST") for token in "bra"] == [403, 404, 404]
    assert [status(token, "/api/shutdown", "POST") for token in "br"] == [403, 403]
    assert [status(token, "/api/chats") for token in ("x", "elsewhere", "program", service.instance.token)] == [401] * 4
    assert status("no group", "/api/chats") == 403
    assert status("runs", "/api/chats") == 403


def test_what_is_one_s_is_not_another_s(service: Running) -> None:
    chat = service.http.post("/api/chats", json={"model": "echo"}, headers=by("b")).json()
    assert service.http.get(f"/api/chats/{chat['id']}", headers=by("b")).status_code == 200
    assert service.http.get(f"/api/chats/{chat['id']}", headers=by("a")).status_code == 404


def test_it_answers_below_its_prefix_and_has_a_door_there(service: Running) -> None:
    assert service.instance.url.endswith(PREFIX)
    chat = service.http.post("/api/chats", json={"model": "echo"}, headers=by("b")).json()
    wanted = {"action": "download", "thing": f"chats/{chat['id']}"}
    ticket = service.http.post("/api/tickets", json=wanted, headers=by("b")).json()
    assert ticket["path"].startswith(f"{PREFIX}/door/chats/")
    origin = service.instance.url.removesuffix(PREFIX)
    assert httpx.get(f"{origin}{ticket['path']}").status_code == 200
    assert httpx.get(f"{origin}{PREFIX}/healthz").json()["status"] == "ok"
    assert httpx.get(f"{origin}{PREFIX}/api/chats").status_code == 401


def test_a_ticket_ends_with_the_token_that_asked_for_it(
    service: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_identity, "FRESH_S", 0.1)
    chat = service.http.post("/api/chats", json={"model": "echo"}, headers=by("b")).json()
    wanted = {"action": "download", "thing": f"chats/{chat['id']}"}
    path = service.http.post("/api/tickets", json=wanted, headers=by("b")).json()["path"]
    address = f"{service.instance.url.removesuffix(PREFIX)}{path}"
    assert httpx.get(address).status_code == 200
    # Another token of the same person may stay; what was signed out is the one.
    hub.people["also b"] = hub.people.pop("b")
    wait_for(lambda: httpx.get(address).status_code == 403, "the ticket to end")
    assert "ended with its sign-in" in httpx.get(address).json()["error"]["message"]
    assert service.http.get(f"/api/chats/{chat['id']}", headers=by("also b")).status_code == 200


def test_a_ticket_ends_with_the_scope_that_it_needs(
    service: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_identity, "FRESH_S", 0.1)
    path = service.http.post("/api/tickets", json={"action": "download", "thing": "chats"}, headers=by("b")).json()[
        "path"
    ]
    address = f"{service.instance.url.removesuffix(PREFIX)}{path}"
    assert httpx.get(address).status_code == 200
    hub.people["b"] = user("bob")
    wait_for(lambda: httpx.get(address).status_code == 403, "the ticket to end")
    assert "may not download" in httpx.get(address).json()["error"]["message"]


def test_what_answers_in_place_of_the_hub_is_not_believed(service: Running, hub: Hub) -> None:
    hub.speaks_html = True
    refused = service.http.get("/api/chats", headers=by("b"))
    assert (refused.status_code, refused.json()["error"]["message"]) == (503, "The hub does not answer.")


def test_an_answer_is_believed_for_a_while_but_not_for_what_administrators_do(service: Running, hub: Hub) -> None:
    for _ in range(5):
        service.http.get("/api/chats", headers=by("a"))
    assert hub.asked == ["a"]
    hub.people["a"]["scopes"].remove(ADMIN)
    assert service.http.post("/api/shutdown", headers=by("a")).status_code == 403


def test_a_refusal_is_soon_forgotten(service: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_identity, "REFUSED_S", 0.1)
    assert service.http.get("/api/chats", headers=by("new")).status_code == 401
    hub.people["new"] = user("nora", CHAT)
    wait_for(lambda: service.http.get("/api/chats", headers=by("new")).status_code == 200, "the new token to work")


def test_made_up_tokens_fill_no_memory(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_identity, "MOST_KNOWN", 10)
    for number in range(50):
        assert service.http.get("/api/chats", headers=by(f"made-up-{number}")).status_code == 401
    assert len(service.server.app.state.identity._known) == 10


def test_a_token_that_no_hub_could_have_made_is_nobody_s(service: Running, hub: Hub) -> None:
    shown = {"Authorization": "Bearer \u00e9\u00ff".encode()}
    assert service.http.get("/api/chats", headers=shown).status_code == 401
    assert hub.asked == []


def test_a_hub_that_is_away_is_no_reason_to_sign_in_again(service: Running, hub: Hub) -> None:
    assert service.http.get("/api/chats", headers=by("b")).status_code == 200
    hub.away = True
    assert service.http.get("/api/chats", headers=by("b")).status_code == 200
    refused = service.http.get("/api/chats", headers=by("r"))
    assert refused.status_code == 503
    assert "hub" in refused.json()["error"]["message"]


@pytest.mark.parametrize("change", ["revoked", "may do less"])
def test_a_stream_ends_with_its_token_and_the_answer_goes_on(
    service: Running, hub: Hub, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(edge, "RECHECK_S", 0.1)
    asked = {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Go on"}]}], "model": "echo"}
    asked["parameters"] = {"extra": {"delay_s": 0.02, "tokens": ["w "] * 5000}}
    answer = service.http.post("/api/generations", json=asked, headers=by("r")).json()
    path = f"/api/generations/{answer['id']}"
    with service.http.stream("GET", f"{path}/events", headers=by("r")) as response:
        events = EventSource(response).iter_sse()
        next(events)
        hub.away = True
        reached = len(hub.asked)
        wait_for(lambda: len(hub.asked) > reached + 2, "the hub to be asked again")
        next(events)
        hub.away = False
        if change == "revoked":
            del hub.people["r"]
        else:
            hub.people["r"]["scopes"].remove(TRAIN)
        with pytest.raises(httpx.RemoteProtocolError):
            list(events)
    hub.people["r"] = user("rosa", CHAT, TRAIN)
    wait_for(lambda: service.http.get(path, headers=by("r")).status_code == 200, "the token to work again")
    assert service.http.get(path, headers=by("r")).json()["state"] == "running"
    service.http.post(f"{path}/cancel", headers=by("r"))


def test_only_a_process_that_the_hub_named_is_its_service() -> None:
    told = {
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:9000",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
    }
    assert hub_service(told) is None
    told["JUPYTERHUB_SERVICE_NAME"] = "llmws"
    assert hub_service(told) == HubService("llmws", "/user/ada", 9000, "http://127.0.0.1:8081/hub/api")
    with pytest.raises(SettingsError, match="port"):
        hub_service({**told, "JUPYTERHUB_SERVICE_URL": ""})
