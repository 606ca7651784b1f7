"""What vendors really send (`streams/`, each with its source), read the same however the bytes are split."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmws.errors import ProviderError
from llmws.messages import StreamEvent, Usage, assemble, coalesce
from llmws.providers.openai_chat import OpenAIChat, Quirks

from .conftest import Upstream, ask

STREAMS = Path(__file__).parent / "streams"


@dataclass(frozen=True)
class Told:
    """What a stream must be read as."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str = "stop"
    calls: tuple[tuple[str, str, str], ...] = ()
    usage: Usage | None = None
    error: str | None = None
    citations: tuple[str, ...] = ()
    model: str = "m"
    raised: bool = field(default=False, compare=False)


EXPECTED = {
    "openai": Told("Hello, 世界 👋", usage=Usage(19, 10, cache_read_tokens=4)),
    "openai-tools": Told(
        finish_reason="tool_calls",
        calls=(
            ("call_DdmO9pD3xa9XTPNJ32zg2hcA", "get_weather", '{"location":"Paris"}'),
            ("call_7Kx1", "get_time", "{}"),
        ),
    ),
    "ollama-tools": Told(
        finish_reason="tool_calls",
        calls=(
            ("call_a1", "file_write", '{"filePath":"hello.py"}'),
            ("call_b2", "file_write", '{"filePath":"world.py"}'),
        ),
        usage=Usage(210, 48),
    ),
    "deepseek": Told(
        "<think> aside, 9.8 is greater.", "9.8 is 9.80, 比 9.11 大。", usage=Usage(17, 30, reasoning_tokens=21)
    ),
    "vllm": Told("Four.", "Two and two.", usage=Usage(12, 8)),
    "qwen": Told("我是通义千问。", "用户问我是谁。", usage=Usage(10, 360, reasoning_tokens=255)),
    "qwen-inspection": Told("从前", finish_reason="error", error="provider_content_filter"),
    "siliconflow": Told("你好！", "\n嗯", usage=Usage(5, 5, reasoning_tokens=2)),
    "llama-cpp": Told("Hello! I", finish_reason="length", usage=Usage(33, 12, cache_read_tokens=20)),
    "think-tag": Told("The tag is `<think>`.", "So 1 < 2 思考"),
    "think-unopened": Told("Yes.", "Okay, 好.\n", model="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"),
    "broken-off": Told("Half an", finish_reason="error", error="provider_network"),
    "error-midstream": Told("The", finish_reason="error", error="provider_overloaded"),
    "openrouter": Told("Once", finish_reason="error", error="provider_rate"),
    "error-in-200": Told(error="provider_auth", raised=True),
    "qianfan-rate": Told(error="provider_rate", raised=True),
    "not-streamed": Told(
        "There you are.",
        "Hm.",
        finish_reason="tool_calls",
        calls=(("call_1", "look", "{}"),),
        usage=Usage(1117, 46),
        citations=("https://example.com/",),
    ),
    "unknown-events": Told("No space.", usage=Usage(3, 2)),
}


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in the pieces that a test wants, which no socket guarantees."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def provider_of(pieces: list[bytes], content_type: str = "text/event-stream") -> OpenAIChat:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": content_type}, stream=Pieces(pieces))

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    quirks = Quirks(opens_in_reasoning=("*deepseek-r1*",))
    return OpenAIChat("Vendor", "http://127.0.0.1/v1", "sk-a-real-secret", quirks=quirks, client=client)


async def read(provider: OpenAIChat, model: str = "m") -> tuple[Told, list[StreamEvent]]:
    """The fold of a stream, and the stream."""
    events: list[StreamEvent] = []
    try:
        async for event in provider.stream(ask(model=model)):
            events.append(event)
    except ProviderError as error:
        assert events == []
        return Told(error=error.code, raised=True), []
    message = assemble(events)
    told = Told(
        message.text,
        message.reasoning,
        str(message.finish_reason),
        tuple(
            (part.data["id"], part.data["name"], part.data["arguments"])
            for part in message.parts
            if part.type == "tool_call"
        ),
        message.usage,
        message.error["code"] if message.error else None,
        tuple(part.data["url"] for part in message.parts if part.type == "citation"),
        str(message.model),
    )
    return told, events


def test_every_stream_has_an_expectation_and_a_source() -> None:
    names = {path.stem for path in STREAMS.iterdir()}
    assert names == set(EXPECTED)
    for path in STREAMS.iterdir():
        assert path.read_bytes().startswith(b": Source: "), path.name


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_recorded_stream_is_read_over_a_real_connection(name: str, upstream: Upstream) -> None:
    upstream.answers((STREAMS / f"{name}.sse").read_bytes())
    provider = OpenAIChat("Vendor", upstream.url, quirks=Quirks(opens_in_reasoning=("*deepseek-r1*",)))
    told, events = await read(provider, EXPECTED[name].model)
    await provider.aclose()

    assert told == EXPECTED[name]
    assert told.raised == EXPECTED[name].raised
    kinds = [event.type for event in events]
    assert kinds.count("start") == kinds.count("end") == (0 if told.raised else 1)
    assert kinds[:1] + kinds[-1:] in ([], ["start", "end"])


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=gbk", "", "text/html"])
@pytest.mark.parametrize("name", ["openai", "not-streamed", "error-in-200"])
async def test_the_content_type_does_not_matter(name: str, content_type: str) -> None:
    told, _ = await read(provider_of([(STREAMS / f"{name}.sse").read_bytes()], content_type))
    assert told == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_stream_that_comes_byte_by_byte_is_read_the_same(name: str) -> None:
    data = (STREAMS / f"{name}.sse").read_bytes()
    told, _ = await read(provider_of([data[i : i + 1] for i in range(len(data))]), EXPECTED[name].model)
    assert told == EXPECTED[name]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_split_of_the_bytes_does_not_matter(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EXPECTED)))
    ending = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    raw = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + (STREAMS / f"{name}.sse").read_bytes()
    raw = raw.replace(b"\n", ending)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=40))
    pieces = [raw[start:stop] for start, stop in pairwise([0, *sorted(cuts), len(raw)])]

    whole, one = asyncio.run(read(provider_of([raw]), EXPECTED[name].model))
    told, many = asyncio.run(read(provider_of(pieces), EXPECTED[name].model))

    assert whole == told == EXPECTED[name]
    assert coalesce(one) == coalesce(many)


WORDS = (
    "id model choices index delta message content reasoning reasoning_content tool_calls function name arguments"
    " finish_reason usage prompt_tokens completion_tokens prompt_tokens_details annotations url_citation url error"
    " code type text"
)
KEYS = st.sampled_from(WORDS.split())
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


OBJECTS = st.dictionaries(KEYS, JUNK, max_size=5)
CALLS = st.fixed_dictionaries({"tool_calls": st.lists(OBJECTS | st.fixed_dictionaries({"function": OBJECTS}))})
CHUNKS = OBJECTS | st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"delta": OBJECTS | CALLS}))})


@settings(max_examples=150, deadline=None)
@given(st.lists(CHUNKS, max_size=4))
def test_no_json_that_a_server_may_send_is_a_surprise(chunks: list[dict[str, Any]]) -> None:
    raw = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    told, events = asyncio.run(read(provider_of([raw])))
    assert told.raised or events[-1].type == "end"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"data: ", b"\n\n", b"{}", b"data: [DONE]\n\n"]), max_size=8))
def test_no_bytes_that_a_server_may_send_are_a_surprise(pieces: list[bytes]) -> None:
    told, events = asyncio.run(read(provider_of(pieces)))
    assert told.raised or events[-1].type == "end"
