"""The Anthropic messages wire against a server: what is sent, what comes, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, Parameters, StreamEvent, Usage, assemble
from llmws.providers.anthropic_messages import AnthropicMessages
from llmws.providers.base import CompletionRequest, ModelInfo

from .conftest import LIMIT_S, Upstream, ask
from .test_anthropic_request import asked, wired

KEY = "sk-ant-a-real-secret"

Make = Callable[..., AnthropicMessages]


def told(type: str, **more: Any) -> str:
    """An event, as the wire names them."""
    return f"event: {type}\ndata: {json.dumps({'type': type, **more})}\n\n"


def begun(**usage: Any) -> str:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    return told("message_start", message={**message, "usage": {"input_tokens": 3, "output_tokens": 1, **usage}})


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> str:
    events = [told("content_block_start", index=index, content_block=start)]
    events += [told("content_block_delta", index=index, delta=delta) for delta in deltas]
    return "".join([*events, told("content_block_stop", index=index)])


def said(index: int, *texts: str) -> str:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts))


def ended(reason: str = "end_turn", **usage: Any) -> str:
    delta = told("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 7, **usage})
    return delta + told("message_stop")


@pytest.fixture
async def make(upstream: Upstream) -> AsyncIterator[Make]:
    """Makes providers of the scripted server, and closes them."""
    made: list[AnthropicMessages] = []

    def make(**options: Any) -> AnthropicMessages:
        made.append(AnthropicMessages("Vendor", **{"base_url": upstream.url, "api_key": KEY, **options}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()


async def read(provider: AnthropicMessages, request: CompletionRequest | None = None) -> list[StreamEvent]:
    async with asyncio.timeout(LIMIT_S):
        return [event async for event in provider.stream(request or ask())]


# What is sent


async def test_a_request_says_what_was_asked(make: Make, upstream: Upstream) -> None:
    upstream.answers(begun(), said(0, "Yes"), ended())
    messages = (Message.system("Be brief."), Message.user("Hello"))
    wanted = CompletionRequest("m", messages, Parameters(temperature=0.5, max_tokens=9, stop=("END", " ")))
    await read(make(), wanted)
    received = upstream.received[0]
    assert (received.method, received.path) == ("POST", "/v1/messages")
    assert received.headers["x-api-key"] == KEY
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in received.headers
    assert received.body == {
        "model": "m",
        "max_tokens": 9,
        "stream": True,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "temperature": 0.5,
        "stop_sequences": ["END"],
    }


async def test_a_warning_follows_the_start(make: Make, upstream: Upstream) -> None:
    upstream.answers(begun(), said(0, "Yes"), ended())
    events = await read(make(), asked(seed=1))
    assert [event.type for event in events] == ["start", "warning", "text", "usage", "end"]
    assert "seed was not passed on" in events[1].text


# What comes


async def test_what_was_streamed_can_be_given_back(make: Make, upstream: Upstream) -> None:
    upstream.answers(
        begun(),
        told("ping"),
        block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm"},
            {"type": "thinking_delta", "thinking": "."},
            {"type": "signature_delta", "signature": "sig"},
        ),
        block(1, {"type": "redacted_thinking", "data": "EmwK"}),
        said(2, "Let me", " look."),
        block(
            3,
            {"type": "tool_use", "id": "t1", "name": "look", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"at"'},
            {"type": "input_json_delta", "partial_json": ": 1}"},
        ),
        ended("tool_use", output_tokens_details={"thinking_tokens": 4}),
    )
    events = await read(make())
    answer = assemble(events)
    assert (answer.reasoning, answer.text, answer.finish_reason) == ("Hm.", "Let me look.", "tool_calls")
    assert answer.usage == Usage(3, 7, reasoning_tokens=4)
    assert [event.text for event in events if event.type == "text"] == ["Let me", " look."]
    body, _ = wired(asked(messages=(Message.user("Hi"), answer)))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
    ]


async def test_a_thought_that_is_not_shown_is_still_given_back(make: Make, upstream: Upstream) -> None:
    hidden = block(0, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "sig"})
    upstream.answers(begun(), hidden, said(1, "Yes"), ended())
    answer = assemble(await read(make()))
    assert answer.reasoning == ""
    assert answer.parts[0].data == {"signature": "sig", "wire": "anthropic_messages"}


async def test_usage_is_cumulative_and_tells_the_caches_apart(make: Make, upstream: Upstream) -> None:
    cached = {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 50}
    kept = {"cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}}
    upstream.answers(begun(**cached, **kept), said(0, "Yes"), ended(input_tokens=5, output_tokens=9))
    usages = [event.usage for event in await read(make()) if event.type == "usage"]
    assert usages == [
        Usage(155, 9, cache_read_tokens=100, cache_write_tokens=50, cache_write_1h_tokens=30),
    ]


@pytest.mark.parametrize(
    ("reason", "finish", "warned"),
    [
        ("end_turn", "stop", ""),
        ("stop_sequence", "stop", ""),
        ("max_tokens", "length", ""),
        ("model_context_window_exceeded", "length", "filled"),
        ("pause_turn", "stop", "paused"),
        ("refusal", "content_filter", ""),
        ("bored", "stop", "unknown reason: bored"),
    ],
)
async def test_the_words_for_an_end_are_understood(
    make: Make, upstream: Upstream, reason: str, finish: str, warned: str
) -> None:
    upstream.answers(begun(), said(0, "x"), ended(reason))
    events = await read(make())
    assert events[-1].finish_reason == finish
    warnings = [event.text for event in events if event.type == "warning"]
    assert len(warnings) == bool(warned)
    assert all(warned in text for text in warnings)


async def test_a_refusal_says_why(make: Make, upstream: Upstream) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "It may be dangerous."}
    delta = told("message_delta", delta={"stop_reason": "refusal", "stop_details": details}, usage={"output_tokens": 1})
    upstream.answers(begun(), delta, told("message_stop"))
    events = await read(make())
    assert [event.text for event in events if event.type == "warning"] == ["It may be dangerous."]


async def test_sources_are_told(make: Make, upstream: Upstream) -> None:
    page = {
        "type": "web_search_result_location",
        "url": "https://example.com/io",
        "title": "Io",
        "cited_text": "A moon",
    }
    place = {"type": "char_location", "document_title": "Moons", "document_index": 0, "cited_text": "Io"}
    deltas = ({"type": "citations_delta", "citation": it} for it in (page, place))
    upstream.answers(begun(), block(0, {"type": "text", "text": "Io"}, *deltas), ended())
    assert [event.data for event in await read(make()) if event.type == "citation"] == [
        {"url": "https://example.com/io", "title": "Io", "cited_text": "A moon"},
        {"title": "Moons", "cited_text": "Io"},
    ]


async def test_tools_that_run_at_the_vendors_are_not_ours_to_call(make: Make, upstream: Upstream) -> None:
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    upstream.answers(
        begun(),
        block(0, search, {"type": "input_json_delta", "partial_json": '{"query": "Io"}'}),
        block(1, {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}),
        block(2, {"type": "compaction", "content": "…"}, {"type": "compaction_delta", "content": "…"}),
        told("message_tomorrow", what="?"),
        said(3, "Io."),
        ended(),
    )
    events = await read(make())
    assert [event.type for event in events] == ["start", "text", "usage", "end"]


async def test_the_start_says_where_to_find_it_again(make: Make, upstream: Upstream) -> None:
    upstream.answers(begun(), said(0, "Yes"), ended(), headers={"request-id": "req_1"})
    assert (await read(make(), ask(model="alias")))[0].data == {"request_id": "req_1", "served_model": "m"}


async def test_a_server_that_does_not_stream_is_read_too(make: Make, upstream: Upstream) -> None:
    content: list[Any] = [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}, {"type": "text", "text": "Yes"}]
    content.append({"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}})
    usage = {"input_tokens": 3, "output_tokens": 5}
    message: dict[str, Any] = {"type": "message", "model": "m", "content": content}
    message |= {"stop_reason": "tool_use", "usage": usage}
    upstream.answers(json.dumps(message))
    answer = assemble(await read(make()))
    assert (answer.reasoning, answer.text, answer.finish_reason) == ("Hm.", "Yes", "tool_calls")
    assert json.loads(answer.parts[-1].data["arguments"]) == {"at": 1}
    assert answer.usage == Usage(3, 5)


async def test_the_connection_serves_the_next_request(make: Make, upstream: Upstream) -> None:
    upstream.answers(begun(), said(0, "Yes"), ended())
    provider = make()
    await read(provider)
    await read(provider)
    assert upstream.connections == 1


async def test_a_server_that_keeps_the_line_open_after_the_end_is_not_waited_for(
    make: Make, upstream: Upstream
) -> None:
    upstream.answers(begun(), said(0, "Yes"), ended(), then="hold")
    assert (await read(make()))[-1].finish_reason == "stop"
    async with asyncio.timeout(LIMIT_S):
        await upstream.hung_up.wait()


# What goes wrong


async def test_a_stream_that_breaks_off_counts_nothing(make: Make, upstream: Upstream) -> None:
    upstream.answers(begun(), told("content_block_start", index=0, content_block={"type": "text", "text": "Half"}))
    events = await read(make())
    assert [event.type for event in events] == ["start", "text", "error", "end"]
    assert events[2].data["code"] == "provider_network"


async def test_an_overload_in_the_middle_is_told(make: Make, upstream: Upstream) -> None:
    overload = told("error", error={"type": "overloaded_error", "message": "Overloaded"}, request_id="req_1")
    upstream.answers(begun(), said(0, "Half"), overload)
    events = await read(make())
    assert [event.type for event in events] == ["start", "text", "error", "end"]
    assert (events[2].data["code"], events[2].data["retryable"]) == ("provider_overloaded", True)


def refusal(type: str, message: str) -> str:
    return json.dumps({"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"})


@pytest.mark.parametrize(
    ("status", "type", "message", "code", "retryable"),
    [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000", "provider_context_length", False),
        (400, "invalid_request_error", "Your credit balance is too low; go to Billing", "provider_balance", False),
        (401, "authentication_error", "invalid x-api-key", "provider_auth", False),
        (402, "billing_error", "Your payment failed", "provider_balance", False),
        (403, "permission_error", "Your key may not use this", "provider_auth", False),
        (404, "not_found_error", "model: claude-9", "provider_not_found", False),
        (413, "request_too_large", "Request exceeds the maximum size", "provider_context_length", False),
        (500, "api_error", "Internal server error", "provider_overloaded", True),
        (529, "overloaded_error", "Overloaded", "provider_overloaded", True),
    ],
)
async def test_a_refusal_is_named(
    make: Make, upstream: Upstream, status: int, type: str, message: str, code: str, retryable: bool
) -> None:
    upstream.answers(refusal(type, message), status=status, headers={"request-id": "req_1"})
    with pytest.raises(ProviderError) as caught:
        await read(make())
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert caught.value.details["request_id"] == "req_1"


@pytest.mark.parametrize(
    ("headers", "code", "retryable"),
    [
        ({"retry-after": "7"}, "provider_rate", True),
        ({}, "provider_balance", False),
        ({"retry-after": "7", "x-should-retry": "false"}, "provider_rate", False),
    ],
)
async def test_a_limit_of_spending_is_not_asked_again(
    make: Make, upstream: Upstream, headers: dict[str, str], code: str, retryable: bool
) -> None:
    upstream.answers(refusal("rate_limit_error", "This would exceed your limit"), status=429, headers=headers)
    with pytest.raises(ProviderError) as caught:
        await read(make())
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert caught.value.details["status"] == 429


async def test_what_a_model_turns_out_to_refuse_is_asked_without_it(make: Make, upstream: Upstream) -> None:
    upstream.refuses(
        refusal("invalid_request_error", "`temperature` is deprecated for this model."),
        refusal(
            "invalid_request_error", "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens"
        ),
        refusal("invalid_request_error", "logit_bias: Extra inputs are not permitted"),
    )
    upstream.answers(begun(), said(0, "Yes"), ended())
    events = await read(make(), ask(temperature=0.5, max_tokens=9_000, extra={"logit_bias": {}, "top_k": 3}))
    warned = [event.data for event in events if event.type == "warning"]
    assert [(it["code"], it["parameter"]) for it in warned] == [
        ("dropped", "temperature"),
        ("changed", "max_tokens"),
        ("dropped", "logit_bias"),
    ]
    last = upstream.received[-1].body
    assert (last["max_tokens"], last["top_k"]) == (8_192, 3)
    assert not {"temperature", "logit_bias"} & set(last)
    assert len(upstream.received) == 4


# Which models there are


def row(id: str, **more: Any) -> dict[str, Any]:
    return {"type": "model", "id": id, "display_name": f"Claude {id}", "created_at": "2026-01-01T00:00:00Z", **more}


async def test_the_list_is_read_page_by_page_with_what_models_can_do(make: Make, upstream: Upstream) -> None:
    can = {name: {"supported": True} for name in ("image_input", "thinking")}
    rows = [row("a", capabilities={**can, "structured_outputs": {"supported": False}}, max_input_tokens=200_000)]
    rows += [row("b", max_tokens=64_000, capabilities=None), row("old", lifecycle="retired"), {"id": 7}]
    pages = [{"data": rows, "has_more": True, "last_id": "b/x"}, {"data": [row("c")], "has_more": False}]
    upstream.tells(*(json.dumps(page) for page in pages))
    assert await make().models() == [
        ModelInfo("a", "Claude a", context=200_000, vision=True, tools=True, reasoning=True, json_schema=False),
        ModelInfo("b", "Claude b", tools=True, max_output=64_000),
        ModelInfo("c", "Claude c", tools=True),
    ]
    assert [it.path for it in upstream.received] == ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=b%2Fx"]
    assert upstream.received[1].headers["x-api-key"] == KEY


async def test_a_list_that_is_none_is_told(make: Make, upstream: Upstream) -> None:
    upstream.answers('{"data": {}}')
    with pytest.raises(ProviderError):
        await make().models()
