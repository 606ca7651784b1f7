"""What programs send that they should not: a clear refusal, a settled row, no traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from .harness import Running, wait_for
from .test_gateway import used

PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"]
GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "echo", "messages": [{"role": "user", "content": "Hello there"}]},
    "/v1/responses": {"model": "echo", "input": "Hello there"},
    "/v1/messages": {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello there"}]},
    "/v1/embeddings": {"model": "echo", "input": "Hello there"},
}
LIMITS = {"/v1/chat/completions": "max_tokens", "/v1/responses": "max_output_tokens", "/v1/messages": "max_tokens"}


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def refused(service: Running, path: str, content: bytes, status: int = 400) -> str:
    response = service.http.post(path, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    told = response.json()
    assert (told.get("type") == "error") == path.startswith("/v1/messages")
    message: str = told["error"]["message"]
    return message


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"model": NaN}', "not finite"),
        (b'{"model": "\\ud800"}', "half a character"),
        (b'{"model": "\xff\xfe"}', "UTF-8"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested deeper"),
        (b'{"model": {"a": 1}}', "`model`"),
        (b'{"model": ""}', "`model`"),
        (b'{"model": null}', "`model`"),
    ],
)
def test_a_body_that_is_none(service: Running, path: str, content: bytes, said: str) -> None:
    assert said in refused(service, path, content)


@pytest.mark.parametrize("path", PATHS)
def test_a_prompt_of_ten_megabytes(service: Running, path: str) -> None:
    body = {**GOOD[path], "note": "x" * 10_000_000}
    assert "larger" in refused(service, path, json.dumps(body).encode(), status=413)


@pytest.mark.parametrize("path", LIMITS)
@pytest.mark.parametrize("limit", [-1, 0, 1.5, "9", True, 10**30])
def test_a_limit_that_cannot_be(service: Running, path: str, limit: Any) -> None:
    body = {**GOOD[path], LIMITS[path]: limit}
    assert LIMITS[path] in refused(service, path, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/chat/completions", {"messages": "Hello"}),
        ("/v1/chat/completions", {"messages": [7]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": {"a": 1}}]}),
        ("/v1/chat/completions", {"messages": [{"role": "assistant", "tool_calls": 7}]}),
        ("/v1/chat/completions", {"tools": {"name": "look"}}),
        ("/v1/chat/completions", {"stream": "yes"}),
        ("/v1/chat/completions", {"seed": 2**70}),
        ("/v1/responses", {"input": 7}),
        ("/v1/responses", {"input": [[]]}),
        ("/v1/responses", {"input": [{"role": "user", "content": [7]}]}),
        ("/v1/messages", {"system": 7}),
        ("/v1/messages", {"messages": [{"role": "robot", "content": "x"}]}),
        ("/v1/messages", {"messages": [{"role": "user", "content": [{"type": "tool_use"}]}]}),
        ("/v1/embeddings", {"input": []}),
        ("/v1/embeddings", {"input": [[1, 2, 3]]}),
        ("/v1/embeddings", {"input": ["x"] * 3_000}),
        ("/v1/embeddings", {"dimensions": 0}),
    ],
)
def test_a_field_of_the_wrong_kind(service: Running, path: str, more: dict[str, Any]) -> None:
    refused(service, path, json.dumps({**GOOD[path], **more}).encode())


def test_what_a_database_could_not_keep(service: Running) -> None:
    for path in LIMITS:
        text = json.dumps(GOOD[path]).replace("Hello there", "Hel\\u0000lo")
        response = service.http.post(path, content=text.encode())
        assert "Hel\\u0000lo" in response.text, response.text
    headers = {"X-LLMWS-Notebook": "%ff", "X-LLMWS-Purpose": "probe"}
    assert service.http.post(PATHS[0], json=GOOD[PATHS[0]], headers=headers).status_code == 400
    headers = {"X-LLMWS-Purpose": "x" * 65}
    assert service.http.post(PATHS[0], json=GOOD[PATHS[0]], headers=headers).status_code == 400


def test_where_a_call_comes_from_is_recorded(service: Running) -> None:
    headers = {"X-LLMWS-Purpose": "judge", "X-LLMWS-Notebook": "w%C3%B6rk.ipynb", "X-LLMWS-Cell": "c1"}
    assert service.http.post(PATHS[0], json=GOOD[PATHS[0]], headers=headers).status_code == 200
    assert service.http.post(PATHS[0], json=GOOD[PATHS[0]]).status_code == 200
    found = {(row.purpose, row.notebook, row.cell) for row in used(service)}
    assert found == {("judge", "wörk.ipynb", "c1"), ("gateway", None, None)}


@pytest.mark.parametrize("path", LIMITS)
def test_what_only_one_wire_knows_is_dropped_and_told(service: Running, path: str) -> None:
    more = {"top_k": 5} if path == "/v1/messages" else {"parallel_tool_calls": True}
    response = service.http.post(path, json={**GOOD[path], **more})
    assert (response.status_code, response.headers["x-llmws-dropped"]) == (200, next(iter(more)))


@pytest.mark.parametrize("path", LIMITS)
def test_who_hangs_up_anywhere_leaves_a_settled_row(service: Running, path: str) -> None:
    """A stream whose caller goes after each so many bytes of it."""
    body = {**GOOD[path], "stream": True, "delay_s": 0.002, "tokens": [f"w{number} " for number in range(30)]}
    body |= {LIMITS[path]: 1000}
    with service.http.stream("POST", path, json=body) as response:
        whole = len(response.read())
    cuts = [1, *range(60, whole, whole // 12)]
    for cut in cuts:
        _read(service, path, body, cut)
    wait_for(lambda: len(used(service)) == len(cuts) + 1, "every call to be settled")
    assert {row.outcome for row in used(service)} <= {"cancelled", "stop"}
    assert service.get("/api/status")


def _read(service: Running, path: str, body: dict[str, Any], cut: int) -> None:
    """Ask, and hang up after `cut` bytes of the answer."""
    with service.call(path, body) as connection:
        seen = 0
        while seen < cut and (got := connection.recv(cut - seen)):
            seen += len(got)
