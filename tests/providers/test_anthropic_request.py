"""What each of Anthropic's models is asked, in the words that it takes, and what is told of a wish that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, Parameters, Part, Tool
from llmws.providers.anthropic_messages import AnthropicQuirks
from llmws.providers.anthropic_request import Dialect, translate
from llmws.providers.base import CompletionRequest
from llmws.providers.catalog import load

QUIRKS: AnthropicQuirks = load()["anthropic"].quirks


def asked(model: str = "claude-opus-4-8", **more: Any) -> CompletionRequest:
    """A request of `Parameters`, and of whatever else a request has."""
    rest = {name: more.pop(name) for name in ("tools", "tool_choice", "schema", "messages") if name in more}
    return CompletionRequest(model, rest.pop("messages", (Message.user("Hi"),)), Parameters(**more), **rest)


def wired(request: CompletionRequest) -> tuple[dict[str, Any], list[str]]:
    """The body for `request`, and the parameters that something was told of."""
    body, warnings = translate(request, QUIRKS.of(request.model))
    assert all(warning.type == "warning" and warning.text.endswith(".") for warning in warnings)
    return body, [warning.data["parameter"] for warning in warnings]


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-sonnet-20241022", 8_192),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-opus-9", 128_000),
    ],
)
def test_an_answer_always_has_a_limit(model: str, limit: int) -> None:
    assert wired(asked(model))[0]["max_tokens"] == limit


ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "effort", "body", "warned"),
    [
        ("claude-opus-4-8", None, {}, []),
        ("claude-opus-4-8", "high", {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}, []),
        ("claude-opus-4-8", "none", {"thinking": {"type": "disabled"}}, []),
        ("claude-sonnet-4-6", "low", {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}, []),
        ("claude-fable-5", None, {"thinking": ADAPTIVE}, []),
        ("claude-fable-5", "none", {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}, ["reasoning_effort"]),
        ("claude-sonnet-4-5", "medium", {"thinking": {"type": "enabled", "budget_tokens": 8_192}}, []),
        ("claude-sonnet-4-5", "none", {}, []),
        ("claude-3-5-haiku-20241022", "high", {}, ["reasoning_effort"]),
        ("claude-3-5-haiku-20241022", "none", {}, []),
    ],
)
def test_each_model_is_told_to_think_in_its_own_way(
    model: str, effort: Any, body: dict[str, Any], warned: list[str]
) -> None:
    sent, parameters = wired(asked(model, reasoning_effort=effort))
    assert {name: sent[name] for name in ("thinking", "output_config") if name in sent} == body
    assert parameters == warned


@pytest.mark.parametrize(("limit", "budget"), [(30_000, 24_576), (9_216, 8_192), (2_048, 1_024), (2_000, None)])
def test_a_budget_leaves_room_for_the_answer(limit: int, budget: int | None) -> None:
    body, warned = wired(asked("claude-sonnet-4-5", reasoning_effort="high", max_tokens=limit))
    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert warned == ([] if budget else ["reasoning_effort"])


@pytest.mark.parametrize(
    ("model", "parameters", "body", "warned"),
    [
        ("claude-opus-4-8", {"temperature": 0.5, "top_p": 0.9}, {}, ["temperature", "top_p"]),
        ("claude-sonnet-4-6", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, ["top_p"]),
        ("claude-sonnet-4-6", {"top_p": 0.9}, {"top_p": 0.9}, []),
        ("claude-sonnet-4-6", {"temperature": 1.7}, {"temperature": 1}, ["temperature"]),
        ("claude-sonnet-4-5", {"temperature": 0.5, "reasoning_effort": "low"}, {}, ["temperature"]),
        ("claude-sonnet-4-5", {"temperature": 0.5, "reasoning_effort": "none"}, {"temperature": 0.5}, []),
        ("claude-sonnet-4-6", {"seed": 1}, {}, ["seed"]),
        ("claude-sonnet-4-6", {"stop": ("\n", "END")}, {"stop_sequences": ["END"]}, ["stop"]),
    ],
)
def test_what_a_model_refuses_is_dropped_or_changed_and_told(
    model: str, parameters: dict[str, Any], body: dict[str, Any], warned: list[str]
) -> None:
    sent, told_of = wired(asked(model, **parameters))
    assert {it: sent[it] for it in ("temperature", "top_p", "stop_sequences", "seed") if it in sent} == body
    assert told_of == warned


def test_extra_goes_through_as_it_is() -> None:
    cached = {"cache_control": {"type": "ephemeral"}, "thinking": {"type": "disabled"}}
    body, warned = wired(asked(reasoning_effort="high", extra=cached))
    assert (body["cache_control"], body["thinking"]) == (cached["cache_control"], {"type": "disabled"})
    assert "output_config" not in body
    assert warned == []


@pytest.mark.parametrize("name", ["model", "messages", "stream"])
def test_extra_cannot_change_what_is_metered(name: str) -> None:
    with pytest.raises(ProviderError, match=name):
        wired(asked(extra={name: "x"}))


LOOK = Tool("look", "Look around.", {"properties": {"at": {"type": "integer"}}})


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (None, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("look", {"type": "tool", "name": "look"}),
    ],
)
def test_tools_are_passed_on(choice: str | None, said: Any) -> None:
    body, _ = wired(asked(tools=(LOOK, Tool("wait")), tool_choice=choice))
    assert body["tools"] == [
        {
            "name": "look",
            "description": "Look around.",
            "input_schema": {"type": "object", "properties": {"at": {"type": "integer"}}},
        },
        {"name": "wait", "input_schema": {"type": "object"}},
    ]
    assert body.get("tool_choice") == said


def test_a_model_that_must_call_a_tool_does_not_think_before() -> None:
    body, warned = wired(asked(tools=(LOOK,), tool_choice="required", reasoning_effort="high"))
    assert "thinking" not in body
    assert warned == ["reasoning_effort"]
    assert "tool_choice" not in wired(asked(tool_choice="required"))[0]


def test_a_schema_is_closed_as_the_wire_demands() -> None:
    moon = {"type": "object", "properties": {"name": {"type": "string"}}}
    schema = {"type": "object", "properties": {"moons": {"type": "array", "items": moon}}}
    body, warned = wired(asked(schema=schema, reasoning_effort="low"))
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"moons": {"type": "array", "items": {**moon, "additionalProperties": False}}},
            "additionalProperties": False,
        },
    }
    assert warned == []
    assert "additionalProperties" not in schema
    assert wired(asked("claude-3-haiku-20240307", schema=schema))[1] == ["schema"]


def thought(text: str, signature: str) -> tuple[Part, Part]:
    return Part("reasoning", text), Part("reasoning", "", {"signature": signature, "wire": "anthropic_messages"})


REDACTED = Part("reasoning", "", {"redacted": "EmwK", "wire": "anthropic_messages"})
CALL = Part("tool_call", data={"index": 0, "id": "t1", "name": "look", "arguments": '{"at": 1}'})
TURNS = (
    Message.system("Be brief."),
    Message.user("What is there?"),
    Message(
        "assistant",
        (
            *thought("Look.", "sig-1"),
            REDACTED,
            Part("text", "Let me see."),
            Part("warning", "not for the model"),
            CALL,
            *thought("", "sig-2"),
            Part("tool_call", data={"index": 1, "id": "t2", "name": "wait", "arguments": ""}),
        ),
    ),
    Message("tool", (Part("tool_result", "A cat.", {"id": "t1"}),)),
    Message("tool", (Part("tool_result", "Too late.", {"id": "t2", "is_error": True}),)),
    Message("user", (Part("text", "And here?"), Part("image", data={"url": "data:image/png;base64,AA=="}))),
    Message("assistant", (), finish_reason="error", error={"message": "failed"}),
    Message("user", (Part("image", data={"url": "https://example.com/moon.png"}),)),
    Message.system("Answer in Latin."),
)


def test_thoughts_go_back_verbatim_and_in_order_and_results_in_one_turn() -> None:
    body, _ = wired(asked(messages=TURNS))
    assert body["system"] == "Be brief.\n\nAnswer in Latin."
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What is there?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look.", "signature": "sig-1"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
                {"type": "thinking", "thinking": "", "signature": "sig-2"},
                {"type": "tool_use", "id": "t2", "name": "wait", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "A cat."},
                {"type": "tool_result", "tool_use_id": "t2", "content": "Too late.", "is_error": True},
                {"type": "text", "text": "And here?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/moon.png"}},
            ],
        },
    ]


def test_a_thought_and_its_signature_may_be_one_part() -> None:
    whole = Part("reasoning", "Hm.", {"signature": "sig", "wire": "anthropic_messages"})
    body, _ = wired(asked(messages=(Message("assistant", (whole, Part("text", "Yes."))),)))
    assert body["messages"][0]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "sig"}


def test_a_thought_without_a_signature_is_left_out_of_the_next() -> None:
    parts = (Part("reasoning", "Hm."), Part("text", "Well."), *thought("So.", "sig"), Part("text", "Yes."))
    body, _ = wired(asked(messages=(Message("assistant", parts),)))
    assert [block.get("thinking") or block["text"] for block in body["messages"][0]["content"]] == [
        "Well.",
        "So.",
        "Yes.",
    ]


def test_what_other_wires_thought_does_not_go_back() -> None:
    foreign = Part("reasoning", "", {"encrypted": "gAAA", "wire": "openai_responses"})
    answer = Message("assistant", (Part("reasoning", "Hm."), foreign, Part("text", " "), Part("text", "Yes.")))
    body, _ = wired(asked(messages=(Message.user("Hi"), answer, Message.user("Sure?"))))
    assert body["messages"][1] == {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]}


@pytest.mark.parametrize("said", [(), (Part("text", "Well,"),)])
def test_a_thought_that_led_to_nothing_does_not_go_back(said: tuple[Part, ...]) -> None:
    """An answer that was stopped, or cut off, while the model thought: no turn may end there."""
    redacted = Part("reasoning", "", {"redacted": "EmwK", "wire": "anthropic_messages"})
    answer = Message("assistant", (*said, *thought("Hm.", "sig"), redacted), finish_reason="length")
    body, _ = wired(asked(messages=(Message.user("Hi"), answer, Message.user("Go on."))))
    turns = [turn["content"] for turn in body["messages"] if turn["role"] == "assistant"]
    assert turns == [[{"type": "text", "text": part.text}] for part in said]


def test_a_turn_that_was_begun_without_thinking_is_not_refused_for_it() -> None:
    turns = (Message.user("Hi"), Message("assistant", (CALL,)), Message("tool", (Part("tool_result", "A cat."),)))
    body, warned = wired(asked("claude-sonnet-4-5", messages=turns, reasoning_effort="high"))
    assert "thinking" not in body
    assert warned == ["reasoning_effort"]
    signed = Message("assistant", (*thought("Hm", "s"), CALL))
    assert (
        "thinking"
        in wired(asked("claude-sonnet-4-5", messages=(turns[0], signed, turns[2]), reasoning_effort="low"))[0]
    )


def test_what_is_to_be_cached_is_said_of_each_block() -> None:
    kept = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    call = {"id": "c", "name": "look", "arguments": "{}"}
    messages = (
        Message(
            "user", (Part("text", "A long book", kept), Part("image", data={"url": "https://a.example/b", **kept}))
        ),
        Message("assistant", (Part("text", "Hm", kept), Part("tool_call", data={**call, **kept}))),
        Message("tool", (Part("tool_result", "Nothing", {"id": "c", **kept}), Part("tool_result", "", {"id": "d"}))),
    )
    blocks = [block for turn in wired(asked(messages=messages))[0]["messages"] for block in turn["content"]]
    assert [block.get("cache_control") for block in blocks] == [kept["cache_control"]] * 5 + [None]


def test_arguments_that_are_no_object_are_kept_in_words() -> None:
    broken = Part("tool_call", data={"id": "t1", "name": "look", "arguments": '{"at": '})
    body, _ = wired(asked(messages=(Message("assistant", (broken,)),)))
    assert body["messages"][0]["content"][0]["input"] == {"arguments": '{"at": '}


@pytest.mark.parametrize("part", [Part("file", "x"), Part("image", data={"url": "data:image/png,rawbytes"})])
def test_a_part_that_the_wire_has_no_word_for_is_refused(part: Part) -> None:
    with pytest.raises(ProviderError) as caught:
        wired(asked(messages=(Message("user", (part,)),)))
    assert caught.value.code == "provider_invalid"


def test_the_first_dialect_that_fits_counts() -> None:
    plain = AnthropicQuirks((Dialect(("house-*",), max_tokens=7), Dialect(("*",), max_tokens=8)))
    assert (plain.of("House-1").max_tokens, plain.of("other").max_tokens) == (7, 8)
    assert AnthropicQuirks().of("x") == Dialect()
