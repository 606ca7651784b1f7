"""What vendors really send (`streams/`, each with its source), read the same however the bytes are split."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmws.messages import Usage, assemble, coalesce

from .conftest import Upstream
from .recorded import OPEN, STREAMS, Told, provider_of, read

SIGNED = {"signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds", "wire": "anthropic_messages"}
DETAILS = [
    {
        "format": "anthropic-claude-v1",
        "index": 0,
        "type": "reasoning.text",
        "text": "First, 考虑",
        "signature": "sig-1",
    },
    {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 1, "format": "openai-responses-v1"},
]

EXPECTED: dict[str, dict[str, Told]] = {
    "openai_chat": {
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
        "moonshot": Told("你好", "一个水桶", usage=Usage(19, 13, cache_read_tokens=12)),
        "glm": Told(
            "Hello",
            "嗯,好。",
            finish_reason="content_filter",
            usage=Usage(8, 30, reasoning_tokens=20, cache_read_tokens=2),
        ),
        "ernie": Told("你好!", "用户问好。", usage=Usage(2, 9, reasoning_tokens=5)),
        "gemini-tools": Told(
            finish_reason="tool_calls",
            calls=(("function-call-1", "check_flight", '{"flight":"AA100"}'),),
            usage=Usage(51, 18),
        ),
        "openrouter-details": Told(
            "Yes.",
            "First, 考虑",
            usage=Usage(14, 9, reasoning_tokens=6),
            marks=({"details": DETAILS, "wire": "openai_chat"},),
        ),
        "dashscope-arrears": Told(error="provider_balance", raised=True),
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
    },
    "anthropic_messages": {
        "basic": Told("Hello 世界!", usage=Usage(25, 15)),
        "thinking": Told(
            "27 * 453 = 12,231",
            "Let me solve this: 453 = 400 + 50 + 3 步",
            usage=Usage(25, 90, reasoning_tokens=61),
            marks=(SIGNED,),
        ),
        "thinking-omitted": Told(
            "Done.",
            usage=Usage(25, 40),
            marks=(
                SIGNED,
                {
                    "redacted": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3",
                    "wire": "anthropic_messages",
                },
            ),
        ),
        "tool-use": Told(
            "Okay, let's check",
            finish_reason="tool_calls",
            calls=(
                ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather", '{"location": "San Francisco, CA"}'),
                ("toolu_02", "get_time", ""),
            ),
            usage=Usage(472, 89),
        ),
        "cache": Told(
            "Ok", usage=Usage(100_608, 7, cache_read_tokens=100_000, cache_write_tokens=556, cache_write_1h_tokens=100)
        ),
        "error-midstream": Told("Half", finish_reason="error", error="provider_overloaded"),
        "error-in-200": Told(error="provider_auth", raised=True),
        "unknown-events": Told("No space.", usage=Usage(25, 4)),
        "web-search": Told("Io is a moon.", usage=Usage(25, 30), citations=("https://example.com/io",)),
        "refusal": Told("I", finish_reason="content_filter", usage=Usage(25, 2), warnings=1),
        "max-tokens": Told("Once upon", finish_reason="length", usage=Usage(25, 2)),
        "broken-off": Told("Half an", finish_reason="error", error="provider_network"),
        "not-streamed": Told(
            "There you are.",
            "Hm.",
            finish_reason="tool_calls",
            calls=(("toolu_1", "look", '{"at": 1}'),),
            usage=Usage(2095, 503),
            citations=("https://example.com/",),
            marks=(SIGNED,),
        ),
    },
    "openai_responses": {
        "text": Told("Hi there, 世界 👋", usage=Usage(37, 11, cache_read_tokens=8, cache_write_tokens=5)),
        "reasoning-tools": Told(
            reasoning="**Looking for 巴黎**\n\nTwo calls.",
            finish_reason="tool_calls",
            calls=(("call_1", "get_weather", '{"location":"巴黎"}'), ("call_2", "get_time", "{}")),
            usage=Usage(81, 135, reasoning_tokens=89),
            marks=({"id": "rs_1", "encrypted": "gAAAA-whole", "wire": "openai_responses"},),
        ),
        "refusal": Told("I cannot help with that.", usage=Usage(9, 6)),
        "incomplete": Told("Once upon", finish_reason="length", usage=Usage(12, 16)),
        "content-filter": Told("First", finish_reason="content_filter"),
        "failed": Told("The", finish_reason="error", error="provider_overloaded", usage=Usage(7, 1)),
        "error-midstream": Told("The", finish_reason="error", error="provider_rate"),
        "error-in-200": Told(error="provider_context_length", raised=True),
        "citations": Told("Io is a moon.", usage=Usage(300, 5), citations=("https://example.com/io",)),
        "not-streamed": Told(
            "There you are.",
            "Hm.",
            finish_reason="tool_calls",
            calls=(("call_1", "look", "{}"),),
            usage=Usage(36, 87, reasoning_tokens=3),
            citations=("https://example.com/",),
            marks=({"id": "rs_1", "encrypted": "gAAAA", "wire": "openai_responses"},),
        ),
        "whole-items": Told(
            reasoning="Hm.",
            finish_reason="tool_calls",
            calls=(("call_1", "look", '{"at":1}'), ("call_2", "jump", "{}")),
            usage=Usage(5, 4),
        ),
        "reasoning-text": Told("Four.", "Two and two.", usage=Usage(12, 8, reasoning_tokens=5)),
        "llama-cpp": Told("The colour", usage=Usage(34, 2, cache_read_tokens=33)),
        "broken-off": Told("Half an", finish_reason="error", error="provider_network"),
    },
    "ollama": {
        "chat": Told("The sky 天空 👋", usage=Usage(26, 282)),
        "thinking": Told("<think> is a tag, 391 the answer.", "17 × 20 is 340.", usage=Usage(19, 31)),
        "tools": Told(
            finish_reason="tool_calls",
            calls=(("", "get_weather", '{"city": "Tokyo"}'), ("", "get_time", "{}")),
            usage=Usage(169, 15),
        ),
        "tools-with-ids": Told(
            reasoning="I need both.",
            finish_reason="tool_calls",
            calls=(("call_a1", "look", '{"at": "天", "far": true}'), ("call_b2", "look", '{"at": "b"}')),
            usage=Usage(80, 12),
        ),
        "error-midstream": Told(" Yes.", finish_reason="error", error="provider"),
        "error-in-200": Told(error="provider_context_length", raised=True),
        "think-tag": Told("Yes.", "Okay, 好.\n", usage=Usage(6, 14)),
        "length": Told("Once upon", finish_reason="length", usage=Usage(9, 2)),
        "cloud": Told("Moin", "Hm.", usage=Usage(70, 9)),
        "not-streamed": Told("Hello! How are you today?", usage=Usage(26, 298)),
        "broken-off": Told("Half an", finish_reason="error", error="provider_network"),
    },
}
RECORDED = [(wire, name) for wire, told in EXPECTED.items() for name in told]
recorded = pytest.mark.parametrize(("wire", "name"), RECORDED)


def bytes_of(wire: str, name: str) -> bytes:
    return (STREAMS / wire / f"{name}{'.ndjson' if wire == 'ollama' else '.sse'}").read_bytes()


def test_every_stream_has_an_expectation_and_a_source() -> None:
    paths = [path for path in STREAMS.rglob("*") if path.is_file()]
    assert sorted((path.parent.name, path.stem) for path in paths) == sorted(RECORDED)
    for path in paths:
        # A line of JSON cannot be a comment; but who does not know it passes it over.
        assert path.read_bytes().startswith((b": Source: ", b'{"source":"')), path.name


@recorded
async def test_a_recorded_stream_is_read_over_a_real_connection(wire: str, name: str, upstream: Upstream) -> None:
    upstream.answers(bytes_of(wire, name))
    provider = OPEN[wire](upstream.url)
    expected = EXPECTED[wire][name]
    told, events = await read(provider, expected.model)
    await provider.aclose()

    assert told == expected
    assert told.raised == expected.raised
    kinds = [event.type for event in events]
    assert kinds.count("start") == kinds.count("end") == (0 if told.raised else 1)
    assert kinds[:1] + kinds[-1:] in ([], ["start", "end"])


async def test_what_a_vendor_signs_its_calls_with_is_kept() -> None:
    _, events = await read(provider_of("openai_chat", [bytes_of("openai_chat", "gemini-tools")]))
    call = next(part for part in assemble(events).parts if part.type == "tool_call")
    assert call.data["extra_content"] == {"google": {"thought_signature": "CiQB-sig"}}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=gbk", "", "text/html"])
@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("openai_chat", "openai"),
        ("openai_chat", "not-streamed"),
        ("openai_chat", "error-in-200"),
        ("anthropic_messages", "basic"),
        ("anthropic_messages", "not-streamed"),
        ("openai_responses", "text"),
        ("openai_responses", "not-streamed"),
        ("ollama", "chat"),
    ],
)
async def test_the_content_type_does_not_matter(wire: str, name: str, content_type: str) -> None:
    told, _ = await read(provider_of(wire, [bytes_of(wire, name)], content_type))
    assert told == EXPECTED[wire][name]


@recorded
async def test_a_stream_that_comes_byte_by_byte_is_read_the_same(wire: str, name: str) -> None:
    data = bytes_of(wire, name)
    told, _ = await read(provider_of(wire, [data[i : i + 1] for i in range(len(data))]), EXPECTED[wire][name].model)
    assert told == EXPECTED[wire][name]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_split_of_the_bytes_does_not_matter(data: st.DataObject) -> None:
    wire, name = data.draw(st.sampled_from(RECORDED))
    ending = data.draw(st.sampled_from([b"\n", b"\r\n"] if wire == "ollama" else [b"\n", b"\r\n", b"\r"]))
    raw = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + bytes_of(wire, name)
    raw = raw.replace(b"\n", ending)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=40))
    pieces = [raw[start:stop] for start, stop in pairwise([0, *sorted(cuts), len(raw)])]

    expected = EXPECTED[wire][name]
    whole, one = asyncio.run(read(provider_of(wire, [raw]), expected.model))
    told, many = asyncio.run(read(provider_of(wire, pieces), expected.model))

    assert whole == told == expected
    assert coalesce(one) == coalesce(many)


WORDS = {
    "openai_chat": "id model choices index delta message content reasoning reasoning_content tool_calls function name"
    " arguments finish_reason usage prompt_tokens completion_tokens prompt_tokens_details annotations url_citation url"
    " error code type text",
    "anthropic_messages": "type index message content content_block delta text thinking signature data id name input"
    " partial_json citation url title stop_reason stop_details explanation usage input_tokens output_tokens error model"
    " cache_creation ephemeral_1h_input_tokens output_tokens_details thinking_tokens",
    "openai_responses": "type response object status item item_id output_index output delta arguments call_id name"
    " summary content text annotation annotations url usage input_tokens input_tokens_details error code message"
    " incomplete_details reason encrypted_content refusal id model",
    "ollama": "model message content thinking tool_calls function name arguments id done done_reason error status"
    " prompt_eval_count eval_count total_duration remote_model images",
}
# What makes a chunk one that is looked into; the rest is junk.
LIKELY: dict[str, dict[str, Any]] = {
    "openai_chat": {"choices": [{"delta": {"content": "x", "tool_calls": [{"function": {"name": "f"}}]}}]},
    "anthropic_messages": {"type": "message_start", "message": {"content": [{"type": "text", "text": "x"}]}},
    "openai_responses": {"type": "response.output_item.done", "item": {"type": "function_call", "name": "f"}},
    "ollama": {"message": {"content": "x", "tool_calls": [{"function": {"name": "f"}}]}, "done": True},
}
TYPES = st.sampled_from(
    [
        *(f"response.{it}" for it in ("created", "completed", "incomplete", "failed")),
        *(f"response.{it}.delta" for it in ("output_text", "reasoning_text", "reasoning_summary_text", "refusal")),
        *(f"response.output_item.{it}" for it in ("added", "done")),
        *(f"response.function_call_arguments.{it}" for it in ("delta", "done")),
        *(f"content_block_{it}" for it in ("start", "delta", "stop")),
        *("message_start", "message_delta", "message_stop", "text", "thinking", "redacted_thinking", "tool_use"),
        *(f"{it}_delta" for it in ("text", "thinking", "signature", "citations", "input_json")),
        *("response.output_text.annotation.added", "function_call", "message", "reasoning", "url_citation", "error"),
    ]
)


def chunks(wire: str) -> st.SearchStrategy[list[Any]]:
    """Objects of the wire's own words, wildly nested."""
    keys = st.sampled_from(WORDS[wire].split())
    scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | TYPES
    junk = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )
    objects = st.dictionaries(keys, junk, max_size=5)
    mixed = objects.map(lambda more: {**LIKELY[wire], **more})
    typed = st.builds(lambda more, kind: {**more, "type": kind}, objects, TYPES)
    nested = st.builds(lambda key, inner: {**LIKELY[wire], key: inner}, keys, objects | st.lists(objects, max_size=2))
    return st.lists(objects | mixed | typed | nested | junk, max_size=4)


@pytest.mark.parametrize("wire", WORDS)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_json_that_a_server_may_send_is_a_surprise(wire: str, data: st.DataObject) -> None:
    form = "{}\n" if wire == "ollama" else "data: {}\n\n"
    raw = "".join(form.format(json.dumps(chunk)) for chunk in data.draw(chunks(wire))).encode()
    told, events = asyncio.run(read(provider_of(wire, [raw])))
    assert told.raised or events[-1].type == "end"


@pytest.mark.parametrize("wire", WORDS)
@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(
        st.binary(max_size=30) | st.sampled_from([b"data: ", b"\n\n", b"{}", b"data: [DONE]\n\n"]), max_size=8
    )
)
def test_no_bytes_that_a_server_may_send_are_a_surprise(wire: str, pieces: list[bytes]) -> None:
    told, events = asyncio.run(read(provider_of(wire, pieces)))
    assert told.raised or events[-1].type == "end"
