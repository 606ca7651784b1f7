"""The wire against a server that behaves as servers do: slow, silent, gone, mistaken."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.http import new_client
from llmws.messages import Message, Part, StreamEvent, Tool, assemble
from llmws.providers.base import CompletionRequest, ModelInfo
from llmws.providers.openai_chat import OpenAIChat, Quirks
from tests.ports import free_port

from .conftest import DONE, LIMIT_S, Upstream, ask, chunk

KEY = "sk-a-real-secret/with+signs"
ANSWER = (chunk({"content": "Yes"}), chunk({}, "stop"), DONE)

Make = Callable[..., OpenAIChat]


@pytest.fixture
async def make(upstream: Upstream) -> AsyncIterator[Make]:
    """Makes providers of the scripted server, and closes them."""
    made: list[OpenAIChat] = []

    def make(**options: Any) -> OpenAIChat:
        made.append(OpenAIChat("Vendor", **{"base_url": upstream.url, "api_key": KEY, **options}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()


async def read(provider: OpenAIChat, request: CompletionRequest | None = None) -> list[StreamEvent]:
    async with asyncio.timeout(LIMIT_S):
        return [event async for event in provider.stream(request or ask())]


async def sent(make: Make, upstream: Upstream, request: CompletionRequest, **quirks: Any) -> dict[str, Any]:
    """The body that the server received."""
    upstream.answers(*ANSWER)
    await read(make(quirks=Quirks(**quirks)), request)
    body: dict[str, Any] = upstream.received[-1].body
    return body


# What is sent


async def test_a_request_says_what_was_asked(make: Make, upstream: Upstream) -> None:
    request = ask(temperature=0.0, top_p=0.9, max_tokens=7, seed=1, stop=("END",), reasoning_effort="low")
    body = await sent(make, upstream, request)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": 1,
        "stop": ["END"],
        "reasoning_effort": "low",
    }
    received = upstream.received[-1]
    assert (received.method, received.path) == ("POST", "/v1/chat/completions")
    assert received.headers["authorization"] == f"Bearer {KEY}"


async def test_what_is_not_asked_is_not_sent(make: Make, upstream: Upstream) -> None:
    assert set(await sent(make, upstream, ask())) == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize(
    ("quirks", "said"),
    [
        ({"max_tokens": "max_completion_tokens"}, {"max_completion_tokens": 5, "reasoning_effort": "none"}),
        ({"reasoning_effort": "thinking"}, {"max_tokens": 5, "thinking": {"type": "disabled"}}),
        (
            {"reasoning_effort": "chat_template_kwargs"},
            {"max_tokens": 5, "chat_template_kwargs": {"enable_thinking": False}},
        ),
        ({"reasoning_effort": "unsupported"}, {"max_tokens": 5}),
    ],
)
async def test_quirks_decide_how_it_is_said(
    make: Make, upstream: Upstream, quirks: dict[str, Any], said: dict[str, Any]
) -> None:
    body = await sent(make, upstream, ask(max_tokens=5, reasoning_effort="none"), include_usage=False, **quirks)
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True, **said}


async def test_thinking_is_switched_on_with_its_effort(make: Make, upstream: Upstream) -> None:
    body = await sent(make, upstream, ask(reasoning_effort="high"), reasoning_effort="thinking")
    assert (body["thinking"], body["reasoning_effort"]) == ({"type": "enabled"}, "high")


async def test_what_cannot_be_passed_on_is_told(make: Make, upstream: Upstream) -> None:
    upstream.answers(*ANSWER)
    events = await read(make(quirks=Quirks(reasoning_effort="unsupported")), ask(reasoning_effort="low"))
    assert [event.type for event in events] == ["start", "warning", "text", "end"]


async def test_extra_goes_through_as_it_is(make: Make, upstream: Upstream) -> None:
    lora = [{"id": 0, "scale": 1.0}]
    body = await sent(make, upstream, ask(extra={"lora": lora, "temperature": 0.5, "tools": []}))
    assert (body["lora"], body["temperature"], body["tools"]) == (lora, 0.5, [])


@pytest.mark.parametrize("name", ["model", "models", "messages", "stream", "stream_options"])
async def test_extra_cannot_change_what_is_metered(make: Make, upstream: Upstream, name: str) -> None:
    with pytest.raises(ProviderError, match=name) as caught:
        await read(make(), ask(extra={name: "gpt-expensive"}))
    assert caught.value.code == "provider_invalid"
    assert upstream.received == []


LOOK = Tool("look", "Look around.", {"type": "object", "properties": {"at": {"type": "integer"}}})


async def test_tools_and_a_schema_are_passed_on(make: Make, upstream: Upstream) -> None:
    schema = {"type": "object", "properties": {"moons": {"type": "integer"}}}
    asked = CompletionRequest("m", (Message.user("Hi"),), tools=(LOOK, Tool("wait")), tool_choice="auto", schema=schema)
    body = await sent(make, upstream, asked)
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "look", "description": "Look around.", "parameters": dict(LOOK.parameters)},
        },
        {"type": "function", "function": {"name": "wait", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert body["tool_choice"] == "auto"
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": False},
    }


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("none", "none"),
        ("required", "required"),
        ("look", {"type": "function", "function": {"name": "look"}}),
    ],
)
async def test_which_tool_must_be_called_is_said(make: Make, upstream: Upstream, choice: str, said: Any) -> None:
    asked = CompletionRequest("m", (Message.user("Hi"),), tools=(LOOK,), tool_choice=choice)
    assert (await sent(make, upstream, asked))["tool_choice"] == said


TOOL_TURN = Message(
    "assistant",
    (
        Part("reasoning", "I should look."),
        Part("text", "Let me see."),
        Part("warning", "not for the model"),
        Part("tool_call", data={"index": 0, "id": "c1", "name": "look", "arguments": '{"at": 1}'}),
    ),
)
CONVERSATION = (
    Message.system("Be brief."),
    Message.user("What is there?"),
    TOOL_TURN,
    Message("tool", (Part("tool_result", "A cat.", {"id": "c1"}),)),
    Message("assistant", (Part("reasoning", "A cat."), Part("text", "A cat."))),
    Message("assistant", (), finish_reason="error", error={"message": "failed"}),
    Message("user", (Part("text", "And here?"), Part("image", data={"url": "data:image/png;base64,AA=="}))),
)
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}


async def test_a_conversation_goes_back_without_its_reasoning(make: Make, upstream: Upstream) -> None:
    body = await sent(make, upstream, CompletionRequest("m", CONVERSATION))
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is there?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "A cat."},
        {"role": "assistant", "content": "A cat."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And here?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
    ]


async def test_reasoning_goes_back_with_tool_calls_where_the_row_says_so(make: Make, upstream: Upstream) -> None:
    unreasoned = Message("assistant", TOOL_TURN.parts[-1:])
    request = CompletionRequest("m", (*CONVERSATION, unreasoned))
    assistants = [
        turn
        for turn in (await sent(make, upstream, request, replay_reasoning="tool_calls"))["messages"]
        if turn["role"] == "assistant"
    ]
    assert [turn.get("reasoning_content") for turn in assistants] == ["I should look.", None, " "]
    assert assistants[-1]["content"] is None


async def test_a_part_that_the_wire_has_no_word_for_is_refused(make: Make, upstream: Upstream) -> None:
    request = CompletionRequest("m", (Message("user", (Part("file", "x"),)),))
    with pytest.raises(ProviderError, match="'file'"):
        await read(make(), request)


async def test_text_that_is_no_unicode_and_numbers_that_are_none(make: Make, upstream: Upstream) -> None:
    assert (await sent(make, upstream, ask("\ud800 half")))["messages"][0]["content"] == "\ud800 half"
    with pytest.raises(ProviderError) as caught:
        await read(make(), ask(temperature=float("nan")))
    assert caught.value.code == "provider_invalid"


@pytest.mark.parametrize("suffix", ["", "/", "/chat/completions", "/chat/completions/", "  "])
async def test_an_address_may_be_pasted_whole(make: Make, upstream: Upstream, suffix: str) -> None:
    upstream.answers(*ANSWER)
    await read(make(base_url=upstream.url + suffix))
    assert upstream.received[-1].path == "/v1/chat/completions"


async def test_an_address_may_be_written_as_people_write(make: Make, upstream: Upstream) -> None:
    upstream.answers(*ANSWER)
    await read(make(base_url=upstream.url.replace("/v1", "/möglich/v1")))
    assert upstream.received[-1].path == "/m%C3%B6glich/v1/chat/completions"
    assert upstream.received[-1].headers["user-agent"].startswith("llmws/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://h/v1",
        "http://",
        "http://h:99999/v1",
        "http://a b/v1",
        "http://h/v1?key=x",
        "http://h/#v1",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ProviderError) as caught:
        OpenAIChat("Vendor", url)
    assert caught.value.code == "provider_invalid"
    assert caught.value.remedy


@pytest.mark.parametrize("key", ["sk-a\nb-secret", "sk-“secret”", "sk secret", "sk-a\x00secret"])
def test_a_key_that_cannot_be_is_refused_and_not_repeated(upstream_url: str, key: str) -> None:
    with pytest.raises(ProviderError) as caught:
        OpenAIChat("Vendor", upstream_url, key)
    assert caught.value.code == "provider_auth"
    assert "secret" not in str(caught.value)


@pytest.fixture
def upstream_url() -> str:
    return "http://127.0.0.1:9/v1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_proxy_stands_before_a_server_on_this_machine(
    make: Make, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    upstream.answers(*ANSWER)
    assert assemble(await read(make(base_url=upstream.url.replace("127.0.0.1", host)))).text == "Yes"


# What comes


async def test_the_start_says_who_answers_and_where_to_find_it_again(make: Make, upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "Hi"}, model="m-2026-01-01"), chunk({}, "stop"), DONE)
    start = (await read(make()))[0]
    assert start.model == "m"
    assert start.data == {"request_id": "chatcmpl-1", "served_model": "m-2026-01-01"}


async def test_text_arrives_while_the_server_still_speaks(make: Make, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.answers(chunk({"content": "Now"}), gate, chunk({"content": ", then"}), chunk({}, "stop"), DONE)
    heard: list[str] = []
    async with asyncio.timeout(LIMIT_S):
        async for event in make().stream(ask()):
            if event.type == "text":
                heard.append(event.text)
                gate.set()
    assert heard == ["Now", ", then"]


async def test_what_might_have_become_a_tag_is_not_lost(make: Make, upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "<thi"}), chunk({}, "stop"), DONE)
    assert assemble(await read(make())).text == "<thi"


async def test_blank_space_before_reasoning_and_calls_is_no_text(make: Make, upstream: Upstream) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{}"}}
    deltas = ({"content": "\n"}, {"reasoning": "Hm."}, {"tool_calls": [call]})
    upstream.answers(*(chunk(delta) for delta in deltas), chunk({}, "tool_calls"), DONE)
    assert [part.type for part in assemble(await read(make())).parts] == ["reasoning", "tool_call"]


@pytest.mark.parametrize(
    ("word", "reason"),
    [("length", "length"), ("function_call", "tool_calls"), ("content_filter", "content_filter"), ("eos", "stop")],
)
async def test_the_words_for_an_end_are_understood(make: Make, upstream: Upstream, word: str, reason: str) -> None:
    upstream.answers(chunk({"content": "x"}), chunk({}, word), DONE)
    assert (await read(make()))[-1].finish_reason == reason


async def test_an_unknown_word_for_an_end_is_told(make: Make, upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "x"}), chunk({}, "bored"), DONE)
    events = await read(make())
    assert [event.type for event in events] == ["start", "text", "warning", "end"]
    assert "bored" in events[2].text


async def test_a_server_that_gives_up_has_failed(make: Make, upstream: Upstream) -> None:
    usage = chunk(None, usage={"prompt_tokens": 1, "completion_tokens": 1})
    upstream.answers(chunk({"content": "x"}), chunk({}, "insufficient_system_resource"), usage, DONE)
    events = await read(make())
    assert [event.type for event in events][-3:] == ["usage", "error", "end"]
    assert events[-2].data["code"] == "provider_overloaded"


async def test_usage_is_the_last_that_was_told_and_never_the_empty_one(make: Make, upstream: Upstream) -> None:
    figures = [{"prompt_tokens": 5, "completion_tokens": n, "total_tokens": 5 + n} for n in (1, 2)]
    zero = {"prompt_tokens": 0, "completion_tokens": 0}
    upstream.answers(*(chunk({"content": "x"}, usage=each) for each in (None, *figures, zero)), chunk({}, "stop"), DONE)
    usages = [event.usage for event in await read(make()) if event.type == "usage"]
    assert [usage.output_tokens for usage in usages if usage] == [2]


async def test_reasoning_that_is_counted_beside_the_answer_is_added(make: Make, upstream: Upstream) -> None:
    told = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}
    told = {**told, "completion_tokens_details": {"reasoning_tokens": 94}}
    upstream.answers(*ANSWER[:2], chunk(None, usage=told), DONE)
    usage = assemble(await read(make())).usage
    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens) == (103, 94)


async def test_a_call_without_an_id_gets_one(make: Make, upstream: Upstream) -> None:
    calls = [{"function": {"name": "look", "arguments": {"at": "it"}}}]
    upstream.answers(chunk({"tool_calls": calls}), chunk({}, "tool_calls"), DONE)
    call = assemble(await read(make())).parts[0].data
    assert call["id"].startswith("call_")
    assert json.loads(call["arguments"]) == {"at": "it"}


async def test_the_connection_serves_the_next_request(make: Make, upstream: Upstream) -> None:
    upstream.answers(*ANSWER)
    provider = make()
    await read(provider)
    await read(provider)
    assert upstream.connections == 1


async def test_a_server_that_keeps_the_line_open_after_done_is_not_waited_for(make: Make, upstream: Upstream) -> None:
    upstream.answers(*ANSWER, then="hold")
    assert (await read(make()))[-1].finish_reason == "stop"
    async with asyncio.timeout(LIMIT_S):
        await upstream.hung_up.wait()


async def test_a_client_that_is_shared_stays_open(make: Make, upstream: Upstream) -> None:
    upstream.answers(*ANSWER)
    async with new_client(proxies=False) as client:
        await make(client=client).aclose()
        await read(make(client=client))
        assert not client.is_closed


# What goes wrong


async def test_closing_the_stream_hangs_up_on_the_server(make: Make, upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "Once upon"}), then="hold")
    async with asyncio.timeout(LIMIT_S):
        async with aclosing(make().stream(ask())) as stream:
            async for event in stream:
                if event.type == "text":
                    break
        await upstream.hung_up.wait()


async def test_cancelling_before_the_first_token_hangs_up_too(make: Make, upstream: Upstream) -> None:
    upstream.answers(": keep-alive\n\n", then="hold")
    task = asyncio.create_task(read(make()))
    async with asyncio.timeout(LIMIT_S):
        await upstream.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.hung_up.wait()


async def test_a_server_that_falls_silent_is_given_up(make: Make, upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "Well"}), then="hold")
    events = await read(make(idle_s=1.0))
    assert [event.type for event in events] == ["start", "text", "error", "end"]
    assert events[2].data["code"] == "provider_timeout"
    assert events[2].data["retryable"]
    async with asyncio.timeout(LIMIT_S):
        await upstream.hung_up.wait()


async def test_a_server_that_never_begins_is_given_up(make: Make, upstream: Upstream) -> None:
    upstream.answers(then="hold")
    with pytest.raises(ProviderError) as caught:
        await read(make(idle_s=1.0))
    assert caught.value.code == "provider_timeout"


async def test_keep_alives_keep_a_slow_server_alive(make: Make, upstream: Upstream) -> None:
    gates = [asyncio.Event() for _ in range(13)]
    drips = [part for gate in gates for part in (gate, ": keep-alive\n\n")]
    upstream.answers(*drips, *ANSWER)

    async def drip() -> None:
        for gate in gates:
            await asyncio.sleep(0.1)  # together longer than the idle time-out
            gate.set()

    dripping = asyncio.create_task(drip())
    assert assemble(await read(make(idle_s=1.0))).text == "Yes"
    await dripping


async def test_keep_alives_do_not_put_off_the_first_token_for_ever(make: Make, upstream: Upstream) -> None:
    gates = [asyncio.Event() for _ in range(1000)]
    upstream.answers(chunk({"role": "assistant"}), *(part for gate in gates for part in (gate, ": keep-alive\n\n")))

    async def drip() -> None:
        for gate in gates:
            await asyncio.sleep(0.02)
            gate.set()

    dripping = asyncio.create_task(drip())
    events = await read(make(idle_s=5.0, first_token_s=0.3))
    dripping.cancel()
    assert [event.type for event in events] == ["start", "error", "end"]
    assert events[1].data["code"] == "provider_timeout"


async def test_an_answer_may_take_longer_than_its_first_token(make: Make, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.answers(chunk({"content": "Slow"}), gate, *ANSWER)

    async def open_later() -> None:
        await asyncio.sleep(1.2)
        gate.set()

    opening = asyncio.create_task(open_later())
    assert assemble(await read(make(first_token_s=1.0))).text == "SlowYes"
    await opening


async def test_a_line_that_breaks_keeps_what_was_said(make: Make, upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "Half"}), then="cut")
    events = await read(make())
    assert [event.type for event in events] == ["start", "text", "error", "end"]
    assert events[2].data["code"] == "provider_network"


async def test_a_line_that_breaks_before_the_first_event_is_raised(make: Make, upstream: Upstream) -> None:
    upstream.answers(then="cut")
    with pytest.raises(ProviderError) as caught:
        await read(make())
    assert caught.value.code == "provider_network"


@pytest.mark.parametrize("then", ["end", "cut"])
async def test_a_line_that_breaks_after_the_end_does_no_harm(make: Make, upstream: Upstream, then: str) -> None:
    upstream.answers(*ANSWER[:2], then=then)
    assert (await read(make()))[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    "parts", [(), (DONE,), (": hello\n\n",), ("<html>Welcome</html>",), ("data: hello\n\n",), ("[]",)]
)
async def test_what_is_no_answer_is_not_taken_for_one(make: Make, upstream: Upstream, parts: tuple[str, ...]) -> None:
    upstream.answers(*parts)
    with pytest.raises(ProviderError) as caught:
        await read(make())
    assert caught.value.code == "provider"
    assert "/v1" in caught.value.remedy


async def test_a_flood_without_an_event_is_cut_off(make: Make, upstream: Upstream) -> None:
    upstream.answers("data: ", *(["x" * 1_000_000] * 20), then="hold")
    with pytest.raises(ProviderError, match="more than can be read"):
        await read(make())


async def test_nothing_listens(make: Make) -> None:
    port = free_port()
    provider = make(base_url=f"http://someone:hunter22@127.0.0.1:{port}/v1")
    for asked in (read(provider), provider.models()):
        with pytest.raises(ProviderError) as caught:
            await asked
        assert caught.value.code == "provider_network"
        assert caught.value.message == f"Nothing listens at http://127.0.0.1:{port}/v1."
        assert "hunter22" not in repr(caught.value.to_dict())


async def test_a_name_that_nobody_knows(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ProviderError, match=r"The name llm\.example is not known"):
        await read(make(base_url="https://llm.example/v1"))


async def test_a_server_without_the_security_that_the_address_promises(make: Make) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProviderError, match="secure connection") as caught:
            await read(make(base_url=f"https://127.0.0.1:{port}/v1"))
    assert caught.value.code == "provider_network"
    assert "SSL_CERT_FILE" in caught.value.remedy


# The list of models


async def test_models_are_listed_in_every_dialect(make: Make, upstream: Upstream) -> None:
    rows = [
        {"id": "plain", "object": "model"},
        {"id": "vllm", "max_model_len": 4096, "parent": "base"},
        {
            "id": "router",
            "name": "Router",
            "context_length": 9,
            "architecture": {"input_modalities": ["text", "image"]},
            "supported_parameters": ["tools", "structured_outputs"],
            "top_provider": {"max_completion_tokens": 5},
        },
        {"id": "kimi", "context_length": 8, "supports_image_in": True, "supports_reasoning": False},
        {"id": "mistral", "capabilities": {"vision": False, "function_calling": True}},
        {"id": "llama", "meta": {"n_ctx": 2048, "n_ctx_train": 8192}},
        {"name": "without id"},
        "not a row",
    ]
    upstream.answers(json.dumps({"object": "list", "data": rows}), headers={"Content-Type": "application/json"})
    assert await make().models() == [
        ModelInfo("plain", "plain"),
        ModelInfo("vllm", "vllm", context=4096, base="base"),
        ModelInfo(
            "router", "Router", context=9, vision=True, tools=True, reasoning=False, json_schema=True, max_output=5
        ),
        ModelInfo("kimi", "kimi", context=8, vision=True, reasoning=False),
        ModelInfo("mistral", "mistral", vision=False, tools=True),
        ModelInfo("llama", "llama", context=2048),
    ]
    assert (upstream.received[0].method, upstream.received[0].path) == ("GET", "/v1/models")
    assert upstream.received[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, '{"error": {"message": "no"}}', "provider_auth"),
        (404, "<html>nginx</html>", "provider_not_found"),
        (200, "<html>Welcome</html>", "provider"),
        (200, '{"code": 20012, "message": "Api key is invalid: sk-a-real-secret/with+signs"}', "provider_auth"),
    ],
)
async def test_a_list_that_is_refused(make: Make, upstream: Upstream, status: int, body: str, code: str) -> None:
    upstream.answers(body, status=status)
    with pytest.raises(ProviderError) as caught:
        await make().models()
    assert caught.value.code == code
    assert KEY not in repr(caught.value.to_dict())
