"""What the gateway's wires make of a request, and of an answer, without any server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from llmws.errors import InvalidRequest
from llmws.messages import Part, StreamEvent, Usage, assemble
from llmws.providers.anthropic_request import Dialect, translate
from llmws.service.gateway import anthropic_messages, openai_chat, openai_responses
from llmws.service.gateway.wire import Asked

SIGNED = {"signature": "EqQB", "wire": "anthropic_messages"}
ENCRYPTED = {"id": "rs_1", "encrypted": "gAAA", "wire": "openai_responses"}
REDACTED = {"redacted": "c2Vj", "wire": "anthropic_messages"}
USED = Usage(100, 20, 5, cache_read_tokens=60, cache_write_tokens=10)


def chat(**more: Any) -> Asked:
    return openai_chat.ask({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more}, "1", 0)


def responses(**more: Any) -> Asked:
    return openai_responses.ask({"model": "m", "input": "Hi", **more}, "1", 0)


def messages(**more: Any) -> Asked:
    said = [{"role": "user", "content": "Hi"}]
    return anthropic_messages.ask({"model": "m", "max_tokens": 9, "messages": said, **more}, "1", 0)


def answered(*marks: dict[str, Any], end: Any = "stop") -> list[StreamEvent]:
    thoughts = [StreamEvent("reasoning", data=mark) for mark in marks]
    said = [StreamEvent("text", text="Yes, "), StreamEvent("text", text="here.")]
    cited = StreamEvent("citation", data={"url": "http://a", "title": "A"})
    return [
        StreamEvent("start", model="m"),
        StreamEvent("reasoning", text="Hm."),
        *thoughts,
        *said,
        cited,
        StreamEvent("tool_call", data={"index": 0, "id": "c1", "name": "look", "arguments": '{"far"'}),
        StreamEvent("tool_call", data={"index": 1, "id": "c2", "name": "look", "arguments": "{}"}),
        StreamEvent("tool_call", data={"index": 0, "arguments": ": true}"}),
        StreamEvent("usage", usage=USED),
        StreamEvent("end", finish_reason=end),
    ]


def told(asked: Asked, events: Iterable[StreamEvent]) -> list[tuple[str, dict[str, Any]]]:
    """The server-sent events of an answer: their names and data."""
    answer = asked.answer(asked.model)
    frames = b"".join(frame for event in events for frame in answer.frames(event)).decode()
    found = []
    for block in frames.strip().split("\n\n"):
        lines = dict(line.partition(": ")[::2] for line in block.split("\n"))
        if lines["data"] != "[DONE]":
            found.append((lines.get("event", ""), json.loads(lines["data"])))
    return found


def thoughts(asked: Asked) -> list[tuple[str, dict[str, Any]]]:
    parts = [part for message in asked.request.messages for part in message.parts]
    return [(part.text, dict(part.data)) for part in parts if part.type == "reasoning"]


@pytest.mark.parametrize("mark", [SIGNED, ENCRYPTED, REDACTED, {"details": [1], "wire": "openai_chat"}])
def test_what_a_model_must_get_back_survives_a_wire_that_is_not_its_own(mark: dict[str, Any]) -> None:
    whole = messages().answer("m").whole(assemble(answered(mark)))
    again = messages(messages=[{"role": "assistant", "content": whole["content"]}])
    assert ("".join(text for text, _ in thoughts(again)), thoughts(again)[-1][1]) == ("Hm.", mark)

    whole = responses().answer("m").whole(assemble(answered(mark)))
    assert thoughts(responses(input=whole["output"])) == [("Hm.", mark)]


def test_a_signature_stays_itself_on_the_wire_that_made_it() -> None:
    thought = messages().answer("m").whole(assemble(answered(SIGNED)))["content"][0]
    assert thought == {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"}
    told = messages(messages=[{"role": "assistant", "content": [thought]}])
    assert thoughts(told) == [("Hm.", SIGNED)]


@pytest.mark.parametrize("mark", [SIGNED, REDACTED])
def test_anthropic_s_events_open_fill_and_close_each_block_in_turn(mark: dict[str, Any]) -> None:
    asked = messages()
    events = told(asked, answered(mark))
    assert [name for name, _ in events[:2]] == ["message_start", "content_block_start"]
    assert [name for name, _ in events[-2:]] == ["message_delta", "message_stop"]
    open_ones: set[int] = set()
    blocks: list[dict[str, Any]] = []
    for name, data in events:
        if name == "content_block_start":
            assert data["index"] == len(blocks)
            assert not open_ones or data["content_block"]["type"] == "tool_use"
            open_ones.add(data["index"])
            blocks.append({**data["content_block"], "_json": ""})
        elif name == "content_block_delta":
            assert data["index"] in open_ones
            delta, block = data["delta"], blocks[data["index"]]
            for field in ("text", "thinking", "signature"):
                if field in delta:
                    block[field] = block[field] + delta[field]
            block["_json"] += delta.get("partial_json", "")
        elif name == "content_block_stop":
            open_ones.remove(data["index"])
    assert open_ones == set()
    assert [block["text"] for block in blocks if block["type"] == "text"] == ["Yes, here."]
    assert [json.loads(block["_json"]) for block in blocks if block["type"] == "tool_use"] == [{"far": True}, {}]
    kinds = [block["type"] for block in blocks]
    whole = messages().answer("m").whole(assemble(answered(mark)))
    assert kinds == [block["type"] for block in whole["content"]]
    assert events[-2][1]["usage"] == whole["usage"]
    assert (whole["usage"]["input_tokens"], whole["usage"]["cache_read_input_tokens"]) == (30, 60)


def test_the_events_of_a_response_end_in_the_response_itself() -> None:
    events = told(responses(), answered(ENCRYPTED))
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert all(name == data["type"] for name, data in events)
    name, last = events[-1]
    assert name == "response.completed"
    assert last["response"] == responses().answer("m").whole(assemble(answered(ENCRYPTED)))
    done = [data["item"] for name, data in events if name == "response.output_item.done"]
    assert done == last["response"]["output"]
    deltas = "".join(data["delta"] for name, data in events if name == "response.output_text.delta")
    assert deltas == "Yes, here." == last["response"]["output"][1]["content"][0]["text"]
    assert last["response"]["usage"]["input_tokens_details"] == {"cached_tokens": 60}


@pytest.mark.parametrize(
    ("finish_reason", "openai", "response", "anthropic"),
    [
        ("stop", "stop", ("completed", None), "end_turn"),
        ("tool_calls", "tool_calls", ("completed", None), "tool_use"),
        ("length", "length", ("incomplete", {"reason": "max_output_tokens"}), "max_tokens"),
        ("content_filter", "content_filter", ("incomplete", {"reason": "content_filter"}), "refusal"),
    ],
)
def test_why_an_answer_ended_in_the_words_of_each_wire(
    finish_reason: Any, openai: str, response: Any, anthropic: str
) -> None:
    message = assemble(answered(end=finish_reason))
    assert chat().answer("m").whole(message)["choices"][0]["finish_reason"] == openai
    whole = responses().answer("m").whole(message)
    assert (whole["status"], whole["incomplete_details"]) == response
    assert messages().answer("m").whole(message)["stop_reason"] == anthropic


def test_what_only_one_wire_knows_goes_to_servers_of_that_wire_alone() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": False}}
    asked = chat(response_format=wanted, presence_penalty=1, user="ada", enable_thinking=True)
    other = asked.request_to("x", same_wire=False)
    assert (other.model, other.schema, other.parameters.extra) == ("x", schema, {"enable_thinking": True})
    same = asked.request_to("x", same_wire=True).parameters.extra
    assert same == {"enable_thinking": True, "presence_penalty": 1, "response_format": wanted}
    assert messages(top_k=5).request_to("x", same_wire=False).parameters.extra == {}
    # How an answer is streamed is between a program and us.
    streamed = responses(stream_options={"include_obfuscation": False}).request_to("x", same_wire=True)
    assert streamed.parameters.extra == {}


def test_what_is_to_be_cached_reaches_a_server_of_the_same_wire() -> None:
    kept = {"cache_control": {"type": "ephemeral"}}
    blocks = [{"type": "text", "text": "A long book", **kept}, {"type": "text", "text": "What is it about?"}]
    asked = messages(messages=[{"role": "user", "content": blocks}])
    body, _ = translate(asked.request_to("claude-opus-4-8", same_wire=True), Dialect())
    assert body["messages"] == [{"role": "user", "content": blocks}]


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "disabled"}, "none"),
        ({"type": "adaptive"}, "high"),
        ({"type": "enabled", "budget_tokens": 2_000}, "low"),
        ({"type": "enabled", "budget_tokens": 30_000}, "high"),
    ],
)
def test_a_budget_of_thought_is_an_effort_elsewhere(thinking: dict[str, Any], effort: str) -> None:
    assert messages(thinking=thinking).request.parameters.reasoning_effort == effort


def test_tools_and_who_must_be_called() -> None:
    schema = {"type": "object"}
    function = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": schema}}
    named = {"type": "function", "function": {"name": "look"}}
    for asked in (
        chat(tools=[function], tool_choice=named),
        responses(
            tools=[{"type": "function", **function["function"]}], tool_choice={"type": "function", "name": "look"}
        ),
        messages(
            tools=[{"name": "look", "description": "Look.", "input_schema": schema}],
            tool_choice={"type": "tool", "name": "look"},
        ),
    ):
        [tool] = asked.request.tools
        assert (tool.name, tool.description, tool.parameters, asked.request.tool_choice) == (
            "look",
            "Look.",
            schema,
            "look",
        )


def test_what_a_model_did_in_a_row_is_one_message() -> None:
    items = [
        {"role": "user", "content": "Look"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "a cat"}]},
    ]
    asked = responses(input=items, instructions="Be brief.")
    assert [message.role for message in asked.request.messages] == ["system", "user", "assistant", "tool"]
    assert asked.request.messages[2].parts == (
        Part("reasoning", "", ENCRYPTED),
        Part("tool_call", data={"id": "c1", "name": "look", "arguments": "{}"}),
    )
    assert asked.request.messages[3].parts == (Part("tool_result", "a cat", {"id": "c1"}),)


@pytest.mark.parametrize(
    ("make", "more", "param"),
    [
        (chat, {"logprobs": True}, "logprobs"),
        (chat, {"functions": [{}]}, "functions"),
        (chat, {"reasoning_effort": "wild"}, "reasoning_effort"),
        (chat, {"response_format": {"type": "json_schema"}}, "response_format"),
        (chat, {"tools": [{"type": "web"}]}, "tools[0].type"),
        (responses, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (responses, {"store": True}, "store"),
        (responses, {"background": True}, "background"),
        (responses, {"tools": [{"type": "web_search"}]}, "tools[0]"),
        (responses, {"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        (responses, {"input": []}, "input"),
        (messages, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        (messages, {"thinking": {"type": "enabled"}}, "thinking"),
        (messages, {"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages[0]"),
        (messages, {"max_tokens": None}, "max_tokens"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make: Any, more: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make(**more)
    assert refused.value.details["param"] == param
