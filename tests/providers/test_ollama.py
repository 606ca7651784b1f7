"""Ollama's own wire: what is sent, how much context is asked for, what the server says of its models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, Parameters, Part, StreamEvent, Tool, Usage, assemble
from llmws.providers.base import CompletionRequest, Embedder, Embeddings, ModelInfo
from llmws.providers.ollama import Ollama
from llmws.providers.ollama_context import prompt_tokens, window
from llmws.providers.ollama_models import About, about_of, listed, loaded_window
from llmws.providers.ollama_request import translate

from .conftest import LIMIT_S, Upstream, ask, line

KEY = "ollama-a-real-secret"
ANSWER = (line({"content": "Yes"}), line(done=True, done_reason="stop", prompt_eval_count=2, eval_count=1))
THINKS = About(frozenset({"completion", "thinking"}), think=(False, True))
LEVELS = About(frozenset({"completion", "thinking"}), think=("low", "medium", "high"))
LOOK = Tool("look", "Look around.", {"type": "object", "properties": {"at": {"type": "integer"}}})

Make = Callable[..., Ollama]


@pytest.fixture
async def make(upstream: Upstream) -> AsyncIterator[Make]:
    made: list[Ollama] = []

    def make(**options: Any) -> Ollama:
        made.append(Ollama("Ollama", **{"base_url": upstream.url, **options}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()


async def read(provider: Ollama, request: CompletionRequest | None = None) -> list[StreamEvent]:
    async with asyncio.timeout(LIMIT_S):
        return [event async for event in provider.stream(request or ask())]


def asked(upstream: Upstream, path: str) -> list[Any]:
    """The bodies that the server received at `path`."""
    return [received.body for received in upstream.received if received.path == path]


# What is sent


def body_of(request: CompletionRequest, about: About | None = None, size: int | None = None) -> dict[str, Any]:
    return translate(request, about or About(), size)[0]


def test_what_is_not_asked_is_not_sent() -> None:
    assert body_of(ask()) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    }


def test_a_request_says_what_was_asked() -> None:
    schema = {"type": "object", "properties": {"moons": {"type": "integer"}}}
    parameters = Parameters(temperature=0.0, top_p=0.9, max_tokens=7, seed=1, stop=("END",), reasoning_effort="high")
    request = CompletionRequest("m", (Message.user("Hi"),), parameters, tools=(LOOK, Tool("wait")), schema=schema)
    body = body_of(request, LEVELS, 8192)
    assert body["options"] == {
        "temperature": 0.0,
        "top_p": 0.9,
        "num_predict": 7,
        "seed": 1,
        "stop": ["END"],
        "num_ctx": 8192,
    }
    assert (body["think"], body["format"]) == ("high", schema)
    assert "keep_alive" not in body  # how long a model stays is the owner's business
    functions = [tool["function"] for tool in body["tools"]]
    assert functions == [
        {"name": "look", "description": "Look around.", "parameters": dict(LOOK.parameters)},
        {"name": "wait", "description": "", "parameters": {"type": "object", "properties": {}}},
    ]


def test_extra_is_an_option_unless_the_wire_knows_it() -> None:
    body = body_of(ask(temperature=0.5, extra={"top_k": 40, "keep_alive": -1, "options": {"min_p": 0.1}}))
    assert body["options"] == {"temperature": 0.5, "top_k": 40, "min_p": 0.1}
    assert body["keep_alive"] == -1


@pytest.mark.parametrize("name", ["model", "messages", "stream"])
def test_extra_cannot_change_what_is_metered(name: str) -> None:
    with pytest.raises(ProviderError, match=name) as caught:
        body_of(ask(extra={name: "another"}))
    assert caught.value.code == "provider_invalid"


CONVERSATION = (
    Message.system("Be brief."),
    Message.user("What is there?"),
    Message(
        "assistant",
        (
            Part("reasoning", "I should look."),
            Part("text", "Let me see."),
            Part("tool_call", data={"id": "c1", "name": "look", "arguments": '{"at": 1}'}),
            Part("tool_call", data={"id": "c2", "name": "wait", "arguments": "not JSON"}),
        ),
    ),
    Message("tool", (Part("tool_result", "A cat.", {"id": "c1"}), Part("tool_result", "Done.", {"id": "c2"}))),
    Message("assistant", (Part("reasoning", "A cat."), Part("text", "A cat."))),
    Message("assistant", (), finish_reason="error"),
    Message("user", (Part("text", "And here?"), Part("image", data={"url": "data:image/png;base64,AA=="}))),
)


def test_a_conversation_goes_back_as_the_wire_wants_it() -> None:
    assert body_of(CompletionRequest("m", CONVERSATION))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is there?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "thinking": "I should look.",
            "tool_calls": [
                {"id": "c1", "function": {"name": "look", "arguments": {"at": 1}}},
                {"id": "c2", "function": {"name": "wait", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "A cat.", "tool_name": "look", "tool_call_id": "c1"},
        {"role": "tool", "content": "Done.", "tool_name": "wait", "tool_call_id": "c2"},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "And here?", "images": ["AA=="]},
    ]


def test_a_model_that_does_not_see_is_shown_nothing_and_that_is_told() -> None:
    blind = About(frozenset({"completion"}))
    body, warnings = translate(CompletionRequest("m", CONVERSATION), blind)
    assert body["messages"][-1] == {"role": "user", "content": "And here?"}
    assert [warning.data for warning in warnings] == [{"code": "dropped", "parameter": "images"}]
    seeing = About(frozenset({"completion", "vision"}))
    assert translate(CompletionRequest("m", CONVERSATION), seeing)[1] == []


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        (Part("image", data={"url": "https://example.com/cat.png"}), "Attach the image itself"),
        (Part("image", data={"url": "data:text/plain,cat"}), "Attach the image itself"),
        (Part("file", "x"), "Send text or images"),
    ],
)
def test_what_ollama_cannot_take_is_refused_with_a_remedy(part: Part, remedy: str) -> None:
    with pytest.raises(ProviderError) as caught:
        body_of(CompletionRequest("m", (Message("user", (part,)),)))
    assert caught.value.code == "provider_invalid"
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("about", "effort", "think", "told"),
    [
        (LEVELS, None, None, ""),
        (LEVELS, "high", "high", ""),
        (LEVELS, "none", "low", "always reasons"),
        (About(think=("low", "max")), "high", "max", "has no 'high'"),
        (About(think=("low", "high", False)), "none", False, ""),
        (THINKS, "none", False, ""),
        (THINKS, "low", True, "no degrees"),
        (About(think=(True,)), "none", None, "always reasons"),
        (About(think=(False,)), "high", None, "does not reason"),
        (About(think=(False,)), "none", None, ""),
        (About(frozenset({"completion"})), "high", None, "does not reason"),
        (About(frozenset({"completion"})), "none", None, ""),
        (About(), "medium", "medium", ""),
        (About(), "none", False, ""),
    ],
)
def test_only_a_value_that_the_model_knows_is_sent_as_think(
    about: About, effort: Any, think: bool | str | None, told: str
) -> None:
    request = ask(reasoning_effort=effort)
    body, warnings = translate(request, about)
    sent = body.get("think")
    assert sent == think
    assert type(sent) is type(think)
    assert [warning.data["parameter"] for warning in warnings] == ["reasoning_effort"] * bool(told)
    assert told in "".join(warning.text for warning in warnings)


@pytest.mark.parametrize(("choice", "sent", "told"), [("auto", True, 0), ("none", False, 0), ("look", True, 1)])
def test_the_model_chooses_its_tools_itself(choice: str, sent: bool, told: int) -> None:
    request = CompletionRequest("m", (Message.user("Hi"),), tools=(LOOK,), tool_choice=choice)
    body, warnings = translate(request, About())
    assert ("tools" in body) == sent
    assert len(warnings) == told


@pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/chat", "/v1"])
async def test_an_address_may_be_pasted_whole(make: Make, upstream: Upstream, suffix: str) -> None:
    upstream.answers(*ANSWER)
    await read(make(base_url=upstream.url.removesuffix("/v1") + suffix, api_key=KEY))
    assert upstream.received[-1].path == "/api/chat"
    assert {received.headers["authorization"] for received in upstream.received} == {f"Bearer {KEY}"}


# How much context


def long(tokens: int, **parameters: Any) -> CompletionRequest:
    return ask("word" * (tokens - 8), **parameters)


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "about", "loaded", "size"),
    [
        (100, None, About(), 0, None),  # every server reads as much
        (100, None, About(), 4096, 4096),  # what is loaded and enough stays
        (100, None, About(context=131072), 65536, 65536),
        (4000, None, About(context=131072), 0, 8192),
        (4000, None, About(context=131072), 4096, 8192),
        (4000, 100, About(context=131072), 8192, 8192),
        (4000, 20000, About(context=131072), 8192, 32768),
        (40000, None, About(context=40960), 8192, 40960),
        (100000, None, About(context=8192), 0, 8192),
        (4000, None, About(context=131072, window=32768), 0, None),
        (40000, None, About(context=131072, window=32768), 0, 65536),
        (4000, None, About(), 0, 8192),
        (1000, None, About(context=2048), 0, None),
        (10000, None, About(context=131072, elsewhere=True), 0, None),
    ],
)
def test_as_much_context_is_asked_for_as_is_needed(
    prompt: int, max_tokens: int | None, about: About, loaded: int, size: int | None
) -> None:
    request = long(prompt, max_tokens=max_tokens)
    assert prompt_tokens(request) == prompt
    assert window(request, about, loaded) == size


def test_everything_that_the_model_reads_counts() -> None:
    plain = prompt_tokens(ask("你好"))
    assert plain == 10
    image = Message("user", (Part("text", "你好"), Part("image", data={"url": "data:image/png;base64,AA=="})))
    assert prompt_tokens(CompletionRequest("m", (image,))) > plain + 500
    assert prompt_tokens(CompletionRequest("m", (Message.user("你好"),), tools=(LOOK,))) > plain + 10
    call = Message("assistant", (Part("tool_call", data={"id": "c", "name": "look", "arguments": "x" * 400}),))
    assert prompt_tokens(CompletionRequest("m", (call,))) > 100


async def test_each_request_asks_for_its_context_and_what_does_not_fit_is_told(make: Make, upstream: Upstream) -> None:
    upstream.answers(*ANSWER)
    upstream.answers_at("/api/show", {"capabilities": ["completion"], "model_info": {"llama.context_length": 8192}})
    upstream.answers_at("/api/ps", {"models": [{"model": "m:latest", "context_length": 4096}]})
    provider = make()
    events = await read(provider, long(5000))
    assert "warning" not in [event.type for event in events]
    events = await read(provider, long(9000))
    assert [event.type for event in events] == ["start", "warning", "text", "usage", "end"]
    assert "9,000 tokens long and the model reads 8,192" in events[1].text
    assert [body["options"]["num_ctx"] for body in asked(upstream, "/api/chat")] == [8192, 8192]
    assert asked(upstream, "/api/show") == [{"model": "m"}]  # once for both


@pytest.mark.parametrize("extra", [{"num_ctx": 512}, {"options": {"num_ctx": 512}}])
async def test_a_context_that_was_chosen_by_hand_stays(make: Make, upstream: Upstream, extra: dict[str, Any]) -> None:
    upstream.answers(*ANSWER)
    await read(make(), long(5000, extra=extra))
    assert asked(upstream, "/api/chat")[0]["options"] == {"num_ctx": 512}
    assert asked(upstream, "/api/ps") == []


async def test_a_server_that_does_not_say_what_its_models_can_do_is_asked_all_the_same(
    make: Make, upstream: Upstream
) -> None:
    upstream.answers(*ANSWER)
    for path in ("/api/show", "/api/ps"):
        upstream.answers_at(path, {"error": "not here"}, status=404)
    assert assemble(await read(make())).text == "Yes"


async def test_a_server_that_cannot_be_reached_is_waited_for_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ConnectTimeout("unreachable")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(ProviderError) as caught:
            await read(Ollama("Ollama", "http://127.0.0.1:11434", client=client))
    assert caught.value.code == "provider_network"
    assert asked == ["/api/show"]


# What comes


async def test_the_last_line_says_how_long_it_took(make: Make, upstream: Upstream) -> None:
    last = line(done=True, done_reason="stop", prompt_eval_count=5, eval_count=6, load_duration=1_500_000_000)
    upstream.answers(line({"content": "Yes"}), last)
    usage = (await read(make()))[-2]
    assert (usage.usage, usage.data) == (Usage(5, 6), {"load_s": 1.5})


async def test_calls_without_ids_get_different_ones(make: Make, upstream: Upstream) -> None:
    calls = [{"function": {"name": "look", "arguments": {"at": n}}} for n in (1, 2)]
    upstream.answers(line({"content": "", "tool_calls": calls}), ANSWER[1])
    parts = assemble(await read(make())).parts
    assert [json.loads(part.data["arguments"]) for part in parts] == [{"at": 1}, {"at": 2}]
    minted = {part.data["id"] for part in parts}
    assert len(minted) == 2
    assert all(it.startswith("call_") for it in minted)


async def test_the_cloud_says_which_model_it_took(make: Make, upstream: Upstream) -> None:
    cloud = {"model": "m", "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com"}
    upstream.answers(line({"content": "Yes"}, **cloud), line(done=True, **cloud))
    assert (await read(make()))[0].data == {"served_model": "gpt-oss:120b"}


async def test_reasoning_that_a_schema_swallows_is_told(make: Make, upstream: Upstream) -> None:
    upstream.answers(*ANSWER)
    parameters = Parameters(reasoning_effort="high")
    request = CompletionRequest("m", (Message.user("Hi"),), parameters, schema={"type": "object"})
    warnings = [event.text for event in await read(make(), request) if event.type == "warning"]
    assert len(warnings) == 1
    assert "schema" in warnings[0]

    upstream.answers(line({"content": "", "thinking": "Hm."}), *ANSWER)
    assert "warning" not in [event.type for event in await read(make(), request)]


async def test_an_unknown_word_for_an_end_is_told(make: Make, upstream: Upstream) -> None:
    upstream.answers(line({"content": "x"}), line(done=True, done_reason="bored"))
    events = await read(make())
    assert [event.type for event in events] == ["start", "text", "warning", "end"]
    assert "bored" in events[2].text


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, "model 'm' not found", "provider_not_found"),
        (400, "registry.ollama.ai/library/m:latest does not support tools", "provider_invalid"),
        (401, "unauthorized", "provider_auth"),
        (503, "server busy, please try again. maximum pending requests exceeded", "provider_overloaded"),
        (500, "llama runner process has terminated: exit status 2", "provider_overloaded"),
    ],
)
async def test_a_refusal_is_named(make: Make, upstream: Upstream, status: int, error: str, code: str) -> None:
    upstream.answers(json.dumps({"error": error}), status=status)
    with pytest.raises(ProviderError) as caught:
        await read(make())
    assert caught.value.code == code


@pytest.mark.parametrize("parts", [(), ("\n",), ("<html>Welcome</html>",), ("[]\n",), ('{"hello": 1}\n',), ("{\n}\n",)])
async def test_what_is_no_answer_is_not_taken_for_one(make: Make, upstream: Upstream, parts: tuple[str, ...]) -> None:
    upstream.answers(*parts)
    with pytest.raises(ProviderError) as caught:
        await read(make())
    assert "it is like http://localhost:11434" in caught.value.remedy


@pytest.mark.parametrize("then", ["end", "cut", "hold"])
async def test_a_line_that_breaks_after_the_end_does_no_harm(make: Make, upstream: Upstream, then: str) -> None:
    upstream.answers(*ANSWER, then=then)
    upstream.answers_at("/api/show", {})
    upstream.answers_at("/api/ps", {})
    assert (await read(make()))[-1].finish_reason == "stop"


async def test_closing_the_stream_hangs_up_on_the_server(make: Make, upstream: Upstream) -> None:
    upstream.answers(line({"content": "Once upon"}), then="hold")
    upstream.answers_at("/api/show", {})
    upstream.answers_at("/api/ps", {})
    stream = make().stream(ask())
    async with asyncio.timeout(LIMIT_S):
        async for event in stream:
            if event.type == "text":
                break
        await stream.aclose()
        await upstream.hung_up.wait()


# What the server has

SHOWN = {
    "capabilities": ["completion", "vision", "tools", "thinking"],
    "details": {"family": "qwen3"},
    "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
    "parameters": 'stop                           "<|im_start|>"\nnum_ctx                        32768\ntop_k 20',
    "thinking": {"values": [False, True], "default": True},
}


def test_what_is_shown_of_a_model_is_read() -> None:
    assert about_of(SHOWN) == About(frozenset(SHOWN["capabilities"]), 40960, 32768, (False, True))
    assert about_of({"remote_host": "https://ollama.com"}).elsewhere
    assert about_of("nothing") == About()


async def test_models_are_listed_with_what_they_can_do(make: Make, upstream: Upstream) -> None:
    new = {"capabilities": ["embedding"], "details": {"context_length": 2048}}
    rows = [
        {"name": "qwen3:latest", "model": "qwen3:latest", "details": {"family": "qwen3"}},
        {"name": "embeddinggemma", "model": "embeddinggemma", **new},
        {"size": 1},
        "not a row",
    ]
    upstream.answers_at("/api/tags", {"models": rows})
    upstream.answers_at("/api/show", SHOWN)
    provider = make()
    infos = await provider.models()
    assert infos == [
        ModelInfo(
            "qwen3:latest",
            "qwen3",
            context=40960,
            vision=True,
            tools=True,
            reasoning=True,
            json_schema=True,
            embeddings=False,
        ),
        ModelInfo(
            "embeddinggemma",
            "embeddinggemma",
            context=2048,
            vision=False,
            tools=False,
            reasoning=False,
            json_schema=False,
            embeddings=True,
        ),
    ]
    assert asked(upstream, "/api/show") == [{"model": "qwen3:latest"}]  # the new row says it itself
    assert await provider.models() == infos
    assert len(asked(upstream, "/api/show")) == 1  # known for a while


async def test_who_cannot_be_asked_is_listed_without_what_it_can_do(make: Make, upstream: Upstream) -> None:
    upstream.answers_at("/api/tags", {"models": [{"name": f"m{n}"} for n in range(30)]})
    upstream.answers_at("/api/show", {"error": "broken"}, status=500)
    infos = await make().models()
    assert infos[:2] == [ModelInfo("m0", "m0"), ModelInfo("m1", "m1")]
    assert len(infos) == 30


async def test_only_a_few_models_are_asked_about_at_once_and_a_dead_one_delays_nobody_for_long(
    make: Make, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmws.providers.ollama.ABOUT_S", 0.5)
    upstream.answers_at("/api/tags", {"models": [{"name": f"m{n}"} for n in range(30)]})
    upstream.answers(then="hold")
    async with asyncio.timeout(LIMIT_S):
        assert len(await make().models()) == 30
    assert len(asked(upstream, "/api/show")) <= 8


@pytest.mark.parametrize("told", ["[]", "{}", '{"models": 3}', "<html>"])
async def test_a_list_that_is_none(make: Make, upstream: Upstream, told: str) -> None:
    upstream.answers(told)
    with pytest.raises(ProviderError) as caught:
        await make().models()
    assert caught.value.code == "provider"


def test_what_is_loaded_is_found_by_its_short_name() -> None:
    running = {"models": [{"name": "other", "context_length": 1}, {"name": "m:latest", "context_length": 4096}]}
    assert (loaded_window(running, "m"), loaded_window(running, "m:latest"), loaded_window(running, "n")) == (
        4096,
        4096,
        0,
    )
    assert loaded_window("junk", "m") == 0
    assert listed({"models": []}) == {}


# Embeddings


async def test_each_text_gets_its_vector(make: Make, upstream: Upstream) -> None:
    provider = make()
    assert isinstance(provider, Embedder)
    upstream.answers(json.dumps({"model": "m", "embeddings": [[0.25, 1], [0, 1.5]], "prompt_eval_count": 8}))
    assert await provider.embed("m", ["one", "two"], 2) == Embeddings(((0.25, 1.0), (0.0, 1.5)), Usage(8))
    assert asked(upstream, "/api/embed") == [
        {"model": "m", "input": ["one", "two"], "truncate": False, "dimensions": 2}
    ]
    upstream.answers(json.dumps({"embeddings": [[0.25, 1]]}))
    with pytest.raises(ProviderError):
        await provider.embed("m", ["one", "two"])
    upstream.answers('{"error": "the input length exceeds the context length"}', status=400)
    with pytest.raises(ProviderError) as caught:
        await provider.embed("m", ["one"])
    assert caught.value.code == "provider_context_length"
