"""What every request passes: who may come in, what is refused, and the one shape of an error."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from llmws.service import edge
from llmws.settings import Settings

from .harness import LIMIT_S, Running, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("edge") / "data"
    with running_service(Settings(data=data, embedded=False, idle_exit_s=0)) as running:
        yield running


def error(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error of a response, which must have the one shape."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    told: dict[str, Any] = response.json()["error"]
    assert {"code", "message", "remedy", "request_id"} <= set(told)
    assert told["message"].endswith(".")
    assert told["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return told


def bare(service: Running, path: str, **headers: str) -> httpx.Response:
    """A GET without the token."""
    return httpx.get(service.instance.url + path, headers=headers, trust_env=False)


def test_health_needs_no_token(service: Running) -> None:
    told = bare(service, "/healthz").json()
    assert told["status"] == "ok"
    assert told["boot_id"] == service.instance.boot_id
    assert service.instance.token not in str(told)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer ä"])
def test_a_wrong_token_is_refused(service: Running, authorization: str) -> None:
    sent = authorization.format(token=service.instance.token).encode("latin-1")
    headers = {"Authorization": sent} if sent else {}
    response = httpx.get(f"{service.instance.url}/api/chats", headers=headers, trust_env=False)
    assert error(response, 401)["code"] == "not_authenticated"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/door/../api/chats", "/healthz/../api/chats", "/docs/..%2fapi/chats", "//api/chats"])
def test_a_crooked_path_leads_nowhere(service: Running, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(service.instance.url.rpartition(":")[2]), timeout=LIMIT_S)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status in (401, 404)
    assert b"items" not in response.read()
    connection.close()


def test_a_path_that_is_none_needs_a_token_too(service: Running) -> None:
    error(bare(service, "/api/nothing"), 401)
    error(bare(service, "/healthz/../api/chats"), 401)
    error(service.http.get("/api/nothing"), 404)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.", "[::2]"])
def test_another_host_name_is_refused(service: Running, host: str) -> None:
    assert error(service.http.get("/api/chats", headers={"Host": host}), 403)["code"] == "forbidden"
    error(bare(service, "/healthz", Host=host), 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8765", "[::1]"])
def test_loopback_names_are_answered(service: Running, host: str) -> None:
    assert service.http.get("/api/chats", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{bad", "not JSON"),
        (b"", "body"),
        (b"[]", "JSON object"),
        (b'{"modle": "echo"}', "`modle`"),
        (b'{"model": "echo", "colour": "red"}', "colour"),
        (b'{"model": ""}', "`model`"),
        (b'{"model": "echo", "title": "\\ud800"}', "half a character"),
        (b'{"model": "echo", "parameters": {"heat": 1}}', "heat"),
        (b'{"model": "echo", "parameters": {"temperature": "warm"}}', "temperature"),
        (b'{"model": "echo", "parameters": {"temperature": NaN}}', "not finite"),
        (b"\xff\xfe", "body"),
        (b"[" * 100_000, "body"),
    ],
)
def test_a_bad_body_gets_a_sentence_that_says_what_is_wrong(service: Running, body: bytes, says: str) -> None:
    response = service.http.post("/api/chats", content=body, headers={"Content-Type": "application/json"})
    assert says in error(response, 422)["message"]


def test_what_was_sent_is_not_sent_back(service: Running) -> None:
    response = service.http.post("/api/chats", json={"model": {"api_key": "sk-secret"}})
    error(response, 422)
    assert "sk-secret" not in response.text


def test_a_huge_body_is_refused_whether_its_length_is_said_or_not(service: Running) -> None:
    huge = b" " * (edge.MAX_BODY + 1)
    assert "MiB" in error(service.http.post("/api/chats", content=huge), 413)["message"]

    def dripping() -> Iterator[bytes]:
        yield from (huge[n : n + 2**20] for n in range(0, len(huge), 2**20))

    error(service.http.post("/api/chats", content=dripping()), 413)
    assert service.get("/api/chats")["items"] == []


def test_a_wrong_method_is_refused(service: Running) -> None:
    assert "PUT" in error(service.http.put("/api/chats"), 405)["message"]


def test_a_request_keeps_the_id_it_came_with(service: Running) -> None:
    assert service.http.get("/api/chats", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert service.http.get("/api/chats", headers={"X-Request-ID": "a b" * 99}).headers["x-request-id"] != "a b" * 99


async def test_who_hangs_up_in_mid_sentence_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pytest.fail("nobody is there to be answered")

    await edge.Requests(reading)({"type": "http", "method": "POST", "path": "/v1/x", "headers": []}, gone, send)
    assert caplog.records == []


def test_what_nobody_foresaw_is_logged_and_not_told(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("llmws.service.chats.to_json", broken)
    with caplog.at_level(logging.ERROR):
        response = service.http.post("/api/chats", json={"model": "echo"})
    told = error(response, 500)
    assert told["code"] == "internal"
    assert "secret detail" not in response.text
    assert "a secret detail" in caplog.text
    assert told["request_id"] in caplog.text


def test_the_routes_are_described_without_a_token_and_without_a_cdn(service: Running) -> None:
    described = bare(service, "/openapi.json").json()
    assert "/api/chats/{id}/messages" in described["paths"]
    page = bare(service, "/docs").text
    assert "/api/chats/{id}/messages" in page
    assert "http" not in page.replace("httpx", "")
    assert service.instance.token not in json.dumps(described) + page
