"""The gateway as a program of the OpenAI wire uses it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from llmws.errors import InvalidRequest
from llmws.messages import Part
from llmws.service.gateway import openai_chat
from llmws.settings import Settings
from llmws.store import usage

from .harness import Running, running_service, wait_for
from .model_server import ModelServer, model_server

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[ModelServer]:
    with model_server(tmp_path / "providers.toml") as server:
        yield server


@pytest.fixture
def with_local(settings: Settings, tmp_path: Path, local: ModelServer) -> Iterator[Running]:
    with running_service(replace(settings, providers=tmp_path / "providers.toml")) as service:
        yield service


def ask(service: Running, model: str = "echo", **more: Any) -> httpx.Response:
    return service.http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **more})


def chunks(response: httpx.Response) -> Iterator[dict[str, Any]]:
    data = [event.data for event in EventSource(response).iter_sse()]
    assert data[-1] == "[DONE]"
    yield from map(json.loads, data[:-1])


def streamed(service: Running, model: str = "echo", **more: Any) -> list[dict[str, Any]]:
    body = {"model": model, "messages": HELLO, "stream": True, **more}
    with service.http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        return list(chunks(response))


def used(service: Running) -> list[usage.UsageRow]:
    rows, _ = asyncio.run(
        service.server.app.state.store.read(usage.page, service.get("/api/status")["service"]["account"])
    )
    return rows


def test_the_models_are_those_of_the_workspace(service: Running) -> None:
    told = service.get("/v1/models")
    assert told["object"] == "list"
    assert {"id": "echo", "object": "model", "created": 0, "owned_by": "echo"} in told["data"]


def test_an_answer_as_a_whole(service: Running) -> None:
    told = ask(service, reasoning="Well.").json()
    [choice] = told["choices"]
    assert (told["object"], told["model"], choice["finish_reason"]) == ("chat.completion", "echo", "stop")
    said = {"role": "assistant", "content": "Hello", "reasoning_content": "Well.", "refusal": None}
    assert choice["message"] == said
    assert told["usage"]["total_tokens"] == told["usage"]["prompt_tokens"] + told["usage"]["completion_tokens"] > 0
    assert told["created"] <= time.time()


def test_a_streamed_answer_comes_in_the_wire_s_chunks(service: Running) -> None:
    told = streamed(service, reasoning="Well.", stream_options={"include_usage": True})
    assert {chunk["object"] for chunk in told} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in told}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in told[:-1]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Well."
    assert "".join(delta.get("content", "") for delta in deltas) == "Hello"
    assert told[-2]["choices"][0]["finish_reason"] == "stop"
    assert told[-1]["choices"] == []
    assert told[-1]["usage"]["completion_tokens"] > 0
    assert all("usage" not in chunk for chunk in streamed(service))


def test_what_was_used_is_kept_and_nothing_of_what_was_said(service: Running) -> None:
    ask(service)
    [row] = used(service)
    assert (row.purpose, row.model, row.outcome, row.generation_id) == ("gateway", "echo", "stop", None)
    assert row.output_tokens > 0
    assert service.get("/api/chats")["items"] == []


def test_what_the_wire_knows_and_we_do_not_reaches_the_provider(with_local: Running, local: ModelServer) -> None:
    local.say("Hi.")
    local.finish()
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
        },
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "a cat"},
    ]
    more = {"tools": tools, "max_completion_tokens": 9, "stop": "END", "user": "ada", "messages": messages}
    assert ask(with_local, "local/m", **more).json()["choices"][0]["message"]["content"] == "Hi."
    [body] = local.asked
    assert (body["model"], body["tools"], body["max_tokens"], body["stop"]) == ("m", tools, 9, ["END"])
    assert "user" not in body
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool"]
    assert body["messages"][1]["content"][1] == {"type": "image_url", "image_url": {"url": "data:,"}}
    assert body["messages"][2]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert body["messages"][3] == {"role": "tool", "tool_call_id": "1", "content": "a cat"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_refuses_is_an_error_and_no_answer(
    with_local: Running, local: ModelServer, stream: bool
) -> None:
    local.refusal = (429, {"error": {"message": "slow down"}})
    refused = ask(with_local, "local/m", stream=stream)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "provider_rate")
    assert error["message"]


def test_one_that_breaks_off_says_so_in_the_stream(with_local: Running, local: ModelServer) -> None:
    local.say("Half")
    local.break_off()
    told = streamed(with_local, "local/m")
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in told[:-1]) == "Half"
    assert told[-1]["error"]["message"]


def test_who_hangs_up_has_ended_the_call(with_local: Running, local: ModelServer) -> None:
    local.say("Once")
    body = {"model": "local/m", "messages": HELLO, "stream": True}
    with with_local.http.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    local.say("upon")

    def hung_up() -> bool:
        local.say("a time")
        return local.hung_up.is_set()

    wait_for(hung_up, "the model server to be hung up on")
    wait_for(lambda: used(with_local), "the usage to be kept")
    assert used(with_local)[0].outcome == "cancelled"


def test_who_hangs_up_before_a_whole_answer_has_ended_the_call_too(with_local: Running, local: ModelServer) -> None:
    with with_local.call("/v1/chat/completions", {"model": "local/m", "messages": HELLO}):
        wait_for(lambda: local.asked, "the model server to be asked")
    wait_for(lambda: used(with_local), "the usage to be kept")
    [row] = used(with_local)
    assert (row.outcome, row.source) == ("cancelled", "estimate")
    local.finish()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "nobody", "messages": HELLO}, 404, "no model 'nobody'. See"),
        ({"model": "echo", "messages": []}, 400, "messages"),
        ({"model": "echo", "messages": HELLO, "n": 2}, 400, "n"),
        ({"model": "echo", "messages": [{"role": "robot", "content": "x"}]}, 400, "Message 0"),
        ({"model": "echo", "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 400, "Message 0"),
        ({"model": "echo", "messages": HELLO, "temperature": "hot"}, 400, "temperature"),
    ],
)
def test_errors_are_in_the_shape_of_the_wire(service: Running, body: dict[str, Any], status: int, said: str) -> None:
    refused = service.http.post("/v1/chat/completions", json=body)
    assert refused.status_code == status
    error = refused.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert said in error["message"]


def test_a_token_is_needed(service: Running) -> None:
    refused = httpx.get(f"{service.instance.url}/v1/models")
    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "authentication_error"


def test_a_conversation_becomes_ours() -> None:
    said = {"role": "assistant", "reasoning_content": "Hm.", "content": "Yes."}
    [message] = openai_chat.ask({"model": "m", "messages": [said]}, "1", 0).request.messages
    assert message.parts == (Part("reasoning", "Hm."), Part("text", "Yes."))
    with pytest.raises(InvalidRequest, match="Message 0"):
        openai_chat.ask({"model": "m", "messages": [{"role": "user", "content": 7}]}, "1", 0)


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_says_who_really_answered(with_local: Running, local: ModelServer, stream: bool) -> None:
    local.refusal = (401, {"error": {"message": "wrong key"}})
    provider = {"vendor": "compatible", "id": "mine", "base_url": local.url, "fallbacks": ["echo"]}
    with_local.post("/api/providers", provider)
    told = streamed(with_local, "mine/m")[-1] if stream else ask(with_local, "mine/m").json()
    assert told["model"] == "echo"
