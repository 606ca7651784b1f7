"""The Responses wire: what is sent, what goes back of an earlier answer, and what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, Part, StreamEvent, Tool, Usage, assemble, coalesce, replay
from llmws.providers.base import CompletionRequest, Embedder, ModelInfo
from llmws.providers.openai_responses import OpenAIResponses, ResponsesQuirks
from llmws.providers.openai_responses_answer import usage_of
from llmws.providers.openai_responses_request import translate

from .conftest import LIMIT_S, Upstream, ask, happened
from .recorded import STREAMS

KEY = "sk-a-real-secret"
QUIRKS = ResponsesQuirks(reasons=("o3*", "gpt-5*"), always_reasons=("o3*",), least_output=16)
CREATED = happened("response.created", response={"id": "resp_1", "object": "response", "status": "in_progress"})
COMPLETED = happened("response.completed", response={"id": "resp_1", "object": "response", "status": "completed"})
LOOK = Tool("look", "Look around.", {"type": "object", "properties": {"at": {"type": "integer"}}})

Make = Callable[..., OpenAIResponses]


@pytest.fixture
async def make(upstream: Upstream) -> AsyncIterator[Make]:
    made: list[OpenAIResponses] = []

    def make(**options: Any) -> OpenAIResponses:
        made.append(OpenAIResponses("Vendor", **{"base_url": upstream.url, "api_key": KEY, **options}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()


async def read(provider: OpenAIResponses, request: CompletionRequest | None = None) -> list[StreamEvent]:
    async with asyncio.timeout(LIMIT_S):
        return [event async for event in provider.stream(request or ask())]


# What is sent


def body_of(request: CompletionRequest, quirks: ResponsesQuirks = QUIRKS) -> dict[str, Any]:
    return translate(request, quirks)[0]


async def test_a_request_says_what_was_asked(make: Make, upstream: Upstream) -> None:
    upstream.answers(CREATED, COMPLETED)
    await read(make(), ask(temperature=0.0, top_p=0.9, max_tokens=7))
    assert upstream.received[-1].body == {
        "model": "m",
        "input": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "store": False,
        "temperature": 0.0,
        "top_p": 0.9,
        "max_output_tokens": 7,
    }
    assert (upstream.received[-1].method, upstream.received[-1].path) == ("POST", "/v1/responses")
    assert upstream.received[-1].headers["authorization"] == f"Bearer {KEY}"


def test_tools_and_a_schema_are_passed_on() -> None:
    schema = {"type": "object", "properties": {"moons": {"type": "integer"}}}
    request = CompletionRequest("m", (Message.user("Hi"),), tools=(LOOK, Tool("wait")), schema=schema)
    body = body_of(request, ResponsesQuirks())
    assert body["tools"] == [
        {
            "type": "function",
            "name": "look",
            "description": "Look around.",
            "parameters": dict(LOOK.parameters),
            "strict": False,
        },
        {
            "type": "function",
            "name": "wait",
            "description": "",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
    ]
    assert body["text"] == {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": False}}
    for choice, said in [("required", "required"), ("look", {"type": "function", "name": "look"})]:
        assert body_of(replace(request, tool_choice=choice), ResponsesQuirks())["tool_choice"] == said


@pytest.mark.parametrize(
    ("model", "parameters", "said", "told"),
    [
        ("gpt-5", {}, {"summary": "auto"}, 0),
        ("gpt-5", {"reasoning_effort": "high"}, {"effort": "high", "summary": "auto"}, 0),
        ("gpt-5", {"reasoning_effort": "none", "temperature": 0.5}, {"effort": "none"}, 0),
        ("gpt-5", {"temperature": 0.5}, {"summary": "auto"}, 1),
        ("gpt-5", {"reasoning_effort": "low", "top_p": 0.5}, {"effort": "low", "summary": "auto"}, 1),
        ("o3", {"reasoning_effort": "none"}, {"effort": "low", "summary": "auto"}, 1),
        ("gpt-4.1", {"temperature": 0.5}, None, 0),
        ("gpt-4.1", {"reasoning_effort": "none"}, None, 0),
        ("gpt-4.1", {"reasoning_effort": "high"}, None, 1),
        ("gpt-4.1", {"stop": ("END",), "seed": 1}, None, 2),
        ("gpt-4.1", {"max_tokens": 5}, None, 1),
    ],
)
def test_what_a_model_would_refuse_is_left_out_or_changed_and_told(
    model: str, parameters: dict[str, Any], said: dict[str, str] | None, told: int
) -> None:
    request = ask(model=model, **parameters)
    body, warnings = translate(request, QUIRKS)
    assert body.get("reasoning") == said
    assert body.get("include") == (["reasoning.encrypted_content"] if said and "summary" in said else None)
    dropped = model == "gpt-5" and told
    assert body.get("temperature") == (None if dropped else parameters.get("temperature"))
    assert "top_p" not in body
    assert {"stop", "seed"}.isdisjoint(body)
    assert body.get("max_output_tokens") == (16 if "max_tokens" in parameters else None)
    assert len(warnings) == told
    assert all(warning.data["parameter"] and warning.text.endswith(".") for warning in warnings)


def test_where_nobody_knows_what_a_model_takes_it_gets_what_was_asked_for() -> None:
    request = ask(reasoning_effort="low", temperature=0.5)
    body, warnings = translate(request, ResponsesQuirks())
    assert (body["reasoning"], body["temperature"]) == ({"effort": "low", "summary": "auto"}, 0.5)
    assert "include" not in body
    assert warnings == []


@pytest.mark.parametrize(
    "name", ["model", "input", "stream", "store", "background", "previous_response_id", "conversation", "prompt"]
)
def test_extra_cannot_change_what_is_metered(name: str) -> None:
    with pytest.raises(ProviderError, match=name) as caught:
        body_of(ask(extra={name: True}))
    assert caught.value.code == "provider_invalid"
    assert body_of(ask(extra={"verbosity": "low"}))["verbosity"] == "low"


async def test_a_summary_that_an_account_may_not_have_is_done_without(make: Make, upstream: Upstream) -> None:
    words = "Your organization must be verified to generate reasoning summaries."
    error = {
        "message": words,
        "type": "invalid_request_error",
        "param": "reasoning.summary",
        "code": "unsupported_value",
    }
    upstream.refuses(json.dumps({"error": error}))
    upstream.answers(CREATED, happened("response.output_text.delta", output_index=0, delta="Yes"), COMPLETED)
    events = await read(make(quirks=QUIRKS), ask(model="gpt-5", reasoning_effort="low"))
    assert [event.type for event in events] == ["start", "warning", "text", "end"]
    assert events[1].data["parameter"] == "reasoning.summary"
    assert [received.body["reasoning"] for received in upstream.received] == [
        {"effort": "low", "summary": "auto"},
        {"effort": "low"},
    ]


def mark(number: int, **more: str) -> Part:
    return Part("reasoning", data={"id": f"rs_{number}", "encrypted": f"g{number}", "wire": "openai_responses", **more})


def thought(number: int) -> dict[str, Any]:
    return {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": f"g{number}"}


CALL = Part("tool_call", data={"index": 0, "id": "c1", "name": "look", "arguments": '{"at": 1}'})
SAID = {"type": "message", "role": "assistant", "content": "Half an"}
CALLED = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": 1}'}


def test_a_conversation_goes_back_as_items() -> None:
    conversation = (
        Message.system("Be brief."),
        Message.user("What is there?"),
        Message("assistant", (Part("reasoning", "Hm."), mark(1), Part("text", "Let me see."), CALL)),
        Message("tool", (Part("tool_result", "A cat.", {"id": "c1"}),)),
        Message(
            "assistant",
            (Part("text", "A "), Part("citation", data={"url": "https://example.com"}), Part("text", "cat.")),
        ),
        Message("assistant", (), finish_reason="error"),
        Message("user", (Part("text", "And here?"), Part("image", data={"url": "data:image/png;base64,AA=="}))),
    )
    assert body_of(CompletionRequest("m", conversation))["input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is there?"},
        thought(1),
        {"type": "message", "role": "assistant", "content": "Let me see."},
        CALLED,
        {"type": "function_call_output", "call_id": "c1", "output": "A cat."},
        {"type": "message", "role": "assistant", "content": "A cat."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "And here?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("parts", "finish_reason", "items"),
    [
        ((mark(1), CALL), "tool_calls", [thought(1), CALLED]),
        ((mark(1), mark(2), CALL), "tool_calls", [thought(2), CALLED]),  # what followed the first is not ours to send
        ((CALL, mark(1)), "tool_calls", [CALLED]),
        ((mark(1),), "stop", []),
        ((mark(1, wire="anthropic_messages"), CALL), "tool_calls", [CALLED]),
        ((Part("reasoning", "Hm."), CALL), "tool_calls", [CALLED]),
        ((mark(1), Part("text", "Half an")), "interrupted", [SAID]),
    ],
)
def test_reasoning_goes_back_only_with_what_it_led_to(
    parts: tuple[Part, ...], finish_reason: Any, items: list[dict[str, Any]]
) -> None:
    message = Message("assistant", parts, finish_reason=finish_reason)
    assert body_of(CompletionRequest("gpt-5", (message,)))["input"] == items


async def test_an_answer_survives_being_kept_and_goes_back_verbatim(make: Make, upstream: Upstream) -> None:
    upstream.answers((STREAMS / "openai_responses" / "reasoning-tools.sse").read_bytes())
    message = assemble(await read(make()))
    kept = assemble(coalesce(replay(Message.from_dict(message.to_dict()))))
    assert kept.parts == message.parts
    items = body_of(CompletionRequest("gpt-5", (kept,)))["input"]
    assert [item.get("encrypted_content") or item.get("call_id") for item in items] == [
        "gAAAA-whole",
        "call_1",
        "call_2",
    ]


def test_a_part_that_the_wire_has_no_word_for_is_refused() -> None:
    with pytest.raises(ProviderError, match="'file'"):
        body_of(CompletionRequest("m", (Message("user", (Part("file", "x"),)),)))


@pytest.mark.parametrize("suffix", ["", "/", "/responses"])
async def test_an_address_may_be_pasted_whole(make: Make, upstream: Upstream, suffix: str) -> None:
    upstream.answers(CREATED, COMPLETED)
    await read(make(base_url=upstream.url + suffix))
    assert upstream.received[-1].path == "/v1/responses"


# What comes


async def test_the_start_says_who_answers_and_where_to_find_it_again(make: Make, upstream: Upstream) -> None:
    served = {"id": "resp_9", "object": "response", "model": "m-2026-01-01", "status": "in_progress"}
    upstream.answers(happened("response.created", response=served), COMPLETED)
    start = (await read(make()))[0]
    assert (start.model, start.data) == ("m", {"request_id": "resp_9", "served_model": "m-2026-01-01"})


async def test_what_was_left_out_is_told_at_the_start(make: Make, upstream: Upstream) -> None:
    upstream.answers(CREATED, COMPLETED)
    events = await read(make(), ask(seed=1))
    assert [event.type for event in events] == ["start", "warning", "end"]


async def test_a_mark_is_not_yet_an_answer(make: Make, upstream: Upstream) -> None:
    """Who waits for the first token goes on waiting."""
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"}
    upstream.answers(CREATED, happened("response.output_item.done", output_index=0, item=item), then="hold")
    events = await read(make(first_token_s=1.0))
    assert [event.type for event in events] == ["start", "reasoning", "error", "end"]
    assert events[2].data["code"] == "provider_timeout"


async def test_the_summary_is_heard_once_where_the_reasoning_is_told_too(make: Make, upstream: Upstream) -> None:
    upstream.answers(
        CREATED,
        happened("response.reasoning_text.delta", output_index=0, delta="Two and two."),
        happened("response.reasoning_summary_text.delta", output_index=0, delta="Counting."),
        COMPLETED,
    )
    assert assemble(await read(make())).reasoning == "Two and two."


async def test_an_unknown_reason_for_an_end_is_told(make: Make, upstream: Upstream) -> None:
    response = {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "bored"}}
    upstream.answers(CREATED, happened("response.incomplete", response=response))
    events = await read(make())
    assert [event.type for event in events] == ["start", "warning", "end"]
    assert "bored" in events[1].text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "server_error", "message": "The server had an error"}, "provider_overloaded"),
        ({"code": "rate_limit_exceeded", "message": "Slow down"}, "provider_rate"),
        ({"code": "image_content_policy_violation", "message": "No"}, "provider_content_filter"),
        (None, "provider"),
    ],
)
async def test_a_response_that_failed_says_why(
    make: Make, upstream: Upstream, error: dict[str, str] | None, code: str
) -> None:
    response = {"object": "response", "status": "failed", "error": error, "usage": {"input_tokens": 3}}
    upstream.answers(CREATED, happened("response.failed", response=response))
    events = await read(make())
    assert [event.type for event in events] == ["start", "usage", "error", "end"]
    assert events[2].data["code"] == code


@pytest.mark.parametrize("then", ["end", "cut", "hold"])
async def test_a_line_that_breaks_after_the_end_does_no_harm(make: Make, upstream: Upstream, then: str) -> None:
    upstream.answers(CREATED, COMPLETED, then=then)
    assert (await read(make()))[-1].finish_reason == "stop"


@pytest.mark.parametrize("parts", [(), ("data: [DONE]\n\n",), ("<html>Welcome</html>",), ('{"hello": 1}',), ("[]",)])
async def test_what_is_no_answer_is_not_taken_for_one(make: Make, upstream: Upstream, parts: tuple[str, ...]) -> None:
    upstream.answers(*parts)
    with pytest.raises(ProviderError) as caught:
        await read(make())
    assert caught.value.code == "provider"


def test_usage_is_none_where_nothing_was_counted() -> None:
    assert usage_of({}) is None
    assert usage_of({"input_tokens": 0, "output_tokens": 0}) is None
    told = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "output_tokens": 5,
    }
    assert usage_of(told) == Usage(9, 5, cache_read_tokens=4, cache_write_tokens=3)


# What both of OpenAI's wires share


async def test_models_are_listed_and_texts_embedded_as_on_the_chat_wire(make: Make, upstream: Upstream) -> None:
    provider = make()
    upstream.answers_at("/v1/models", {"data": [{"id": "m", "context_length": 9}]})
    upstream.answers_at("/v1/embeddings", {"data": [{"embedding": [1, 2]}], "usage": {"prompt_tokens": 3}})
    assert await provider.models() == [ModelInfo("m", "m", context=9)]
    assert isinstance(provider, Embedder)
    assert (await provider.embed("m", ["one"])).vectors == ((1.0, 2.0),)
