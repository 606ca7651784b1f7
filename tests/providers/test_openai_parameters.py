"""What each compatible vendor's models are asked, in words that they take, and what is told of a wish they do not."""

from __future__ import annotations

from typing import Any

import pytest

from llmws.messages import Message, Parameters, Part, Tool
from llmws.providers import openai_answer
from llmws.providers.base import CompletionRequest
from llmws.providers.catalog import load
from llmws.providers.failures import Failures
from llmws.providers.openai_answer import Answer
from llmws.providers.openai_quirks import Quirks
from llmws.providers.openai_request import translate

VENDORS = load()
LOOK = Tool("look")
SCHEMA = {"type": "object", "properties": {"moons": {"type": "integer"}}}
CLOSED = {**SCHEMA, "required": ["moons"], "additionalProperties": False}


def wired(vendor: str, model: str, **wishes: Any) -> tuple[dict[str, Any], list[str]]:
    """What is said beside model, messages and stream, and the parameters that something is told of."""
    rest = {name: wishes.pop(name) for name in ("tools", "tool_choice", "schema") if name in wishes}
    request = CompletionRequest(model, (Message.user("Hi"),), Parameters(**wishes), **rest)
    body, warnings = translate(request, VENDORS[vendor].quirks)
    assert all(warning.type == "warning" and warning.text.endswith(".") for warning in warnings)
    said = {
        name: value for name, value in body.items() if name not in ("model", "messages", "stream", "stream_options")
    }
    return said, [warning.data["parameter"] for warning in warnings]


ENABLED, DISABLED = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("vendor", "model", "effort", "said", "warned"),
    [
        ("deepseek", "deepseek-v4-pro", "high", {**ENABLED, "reasoning_effort": "high"}, False),
        ("deepseek", "deepseek-v4-pro", "none", DISABLED, False),
        ("siliconflow", "Pro/zai-org/GLM-4.7", "low", {"enable_thinking": True, "thinking_budget": 2_048}, False),
        ("siliconflow-com", "Qwen/Qwen3-8B", "none", {"enable_thinking": False}, False),
        ("dashscope", "qwen-plus", "medium", {"enable_thinking": True, "thinking_budget": 8_192}, False),
        ("dashscope", "qwen-plus", "none", {"enable_thinking": False}, False),
        ("dashscope-intl", "qwen3-next-80b-a3b-thinking", "none", {"thinking_budget": 2_048}, True),
        ("zhipu", "glm-4.7", "high", ENABLED, True),
        ("zhipu", "glm-4.7", "none", DISABLED, False),
        ("zai", "glm-5.2", "low", {**ENABLED, "reasoning_effort": "low"}, False),
        ("zai", "glm-5.3", "medium", {"reasoning_effort": "high"}, True),
        ("zai", "glm-5.3", "none", {"reasoning_effort": "low"}, True),
        ("qianfan", "ernie-5.0", "none", {"enable_thinking": False}, False),
        ("moonshot", "kimi-k2.6", "none", DISABLED, False),
        ("moonshot", "kimi-k2.7-code", "none", {}, True),
        ("moonshot-ai", "kimi-k3", "high", {"reasoning_effort": "high"}, False),
        ("moonshot-ai", "kimi-k3", "none", {"reasoning_effort": "low"}, True),
        ("moonshot", "moonshot-v1-8k", "high", {}, True),
        ("openrouter", "anthropic/claude-opus-5", "high", {"reasoning": {"effort": "high"}}, False),
        ("openrouter", "anthropic/claude-opus-5", "none", {"reasoning": {"effort": "none"}}, False),
        ("gemini", "models/gemini-2.5-flash", "none", {"reasoning_effort": "none"}, False),
        ("gemini", "models/gemini-3-pro", "none", {"reasoning_effort": "low"}, True),
        ("openai-chat", "gpt-5-mini", "none", {"reasoning_effort": "low"}, True),
        ("openai-chat", "gpt-5.2", "none", {"reasoning_effort": "none"}, False),
        ("vllm", "Qwen/Qwen3-8B", "none", {"chat_template_kwargs": {"enable_thinking": False}}, False),
        ("embedded", "smollm2-135m", "high", {}, True),
    ],
)
def test_each_vendor_is_told_to_reason_in_its_own_way(
    vendor: str, model: str, effort: Any, said: dict[str, Any], warned: bool
) -> None:
    assert wired(vendor, model, reasoning_effort=effort) == (said, ["reasoning_effort"] if warned else [])
    assert wired(vendor, model) == ({}, [])


@pytest.mark.parametrize(
    ("vendor", "model", "wishes", "said", "warned"),
    [
        (
            "openai-chat",
            "o4-mini",
            {"temperature": 0.5, "max_tokens": 9},
            {"max_completion_tokens": 9},
            ["temperature"],
        ),
        ("openai-chat", "gpt-4o", {"temperature": 0.5, "stop": ("END",)}, {"temperature": 0.5, "stop": ["END"]}, []),
        ("openai-chat", "gpt-5-chat-latest", {"temperature": 0.5}, {"temperature": 0.5}, []),
        ("moonshot", "kimi-k2.5", {"temperature": 0.5, "top_p": 0.9}, {}, ["temperature", "top_p"]),
        ("moonshot", "moonshot-v1-8k", {"temperature": 1.5}, {"temperature": 1.0}, ["temperature"]),
        ("zhipu", "glm-5", {"temperature": 1.2, "seed": 7}, {"temperature": 1.0}, ["seed", "temperature"]),
        ("zhipu", "glm-5", {"max_tokens": 5}, {"max_tokens": 5}, []),
        ("deepseek", "deepseek-chat", {"temperature": 1.9, "seed": 7}, {"temperature": 1.9, "seed": 7}, []),
    ],
)
def test_what_a_model_refuses_is_dropped_or_lowered_and_told(
    vendor: str, model: str, wishes: dict[str, Any], said: dict[str, Any], warned: list[str]
) -> None:
    assert wired(vendor, model, **wishes) == (said, warned)


NAMED = {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize(
    ("vendor", "choice", "said", "warned"),
    [
        ("openai-chat", "look", NAMED, False),
        ("dashscope", "look", NAMED, False),
        ("dashscope", "required", "auto", True),
        ("zhipu", "auto", "auto", False),
        ("zhipu", "required", "auto", True),
        ("zhipu", "look", "auto", True),
        ("zhipu", None, None, False),
        ("moonshot", "none", "none", False),
        ("moonshot", "required", "auto", True),
    ],
)
def test_a_choice_of_tools_that_is_not_known_is_left_to_the_model(
    vendor: str, choice: str | None, said: Any, warned: bool
) -> None:
    body, told = wired(vendor, "m", tools=(LOOK,), tool_choice=choice)
    assert (body.get("tool_choice"), told) == (said, ["tool_choice"] if warned else [])
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]


def test_glm_streams_the_arguments_of_a_call_only_when_asked() -> None:
    assert wired("zai", "glm-5", tools=(LOOK,))[0]["tool_stream"] is True
    assert "tool_stream" not in wired("zai", "glm-5")[0]
    assert "tool_stream" not in wired("moonshot", "kimi-k3", tools=(LOOK,))[0]


def test_a_model_that_shall_call_no_tool_hears_of_none() -> None:
    assert wired("zhipu", "glm-5", tools=(LOOK,), tool_choice="none") == ({}, [])
    assert wired("openai-chat", "gpt-4o", tool_choice="required") == ({}, [])


@pytest.mark.parametrize(("schema", "strict"), [(SCHEMA, False), (CLOSED, True)])
def test_a_schema_is_strict_only_where_it_can_be(schema: dict[str, Any], strict: bool) -> None:
    body, told = wired("openai-chat", "gpt-4o", schema=schema)
    named = {"name": "answer", "schema": schema, "strict": strict}
    assert (body, told) == ({"response_format": {"type": "json_schema", "json_schema": named}}, [])


@pytest.mark.parametrize("system", [True, False])
@pytest.mark.parametrize(("known", "said"), [("object", {"response_format": {"type": "json_object"}}), ("no", {})])
def test_a_schema_that_is_not_known_is_said_in_words(known: Any, said: dict[str, Any], system: bool) -> None:
    prompts = (Message.system("Be brief."),) if system else ()
    request = CompletionRequest("m", (*prompts, Message.user("Hi")), schema=SCHEMA)
    body, told = translate(request, Quirks(json_schema=known))
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert '"moons"' in body["messages"][0]["content"]
    # DashScope refuses `json_object` where no message holds the word.
    assert "JSON" in body["messages"][0]["content"]
    assert body["messages"][0]["content"].startswith("Be brief.") == system
    assert body.get("response_format") == said.get("response_format")
    assert [warning.data for warning in told] == [{"code": "changed", "parameter": "schema"}]


def test_who_counts_unasked_is_not_asked_to() -> None:
    request = CompletionRequest("glm-5", (Message.user("Hi"),))
    assert "stream_options" not in translate(request, VENDORS["zhipu"].quirks)[0]
    assert translate(request, VENDORS["moonshot"].quirks)[0]["stream_options"] == {"include_usage": True}


DETAILS = [{"type": "reasoning.text", "text": "Hm.", "signature": "sig", "index": 0}]
EXTRA = {"google": {"thought_signature": "sig"}}
TURN = Message(
    "assistant",
    (
        Part("reasoning", "Hm."),
        Part("tool_call", data={"id": "c1", "name": "look", "arguments": "{}", "extra_content": EXTRA}),
        Part("reasoning", "", {"details": DETAILS, "wire": "openai_chat"}),
        Part("reasoning", "", {"signature": "sig", "wire": "anthropic_messages"}),
    ),
)


@pytest.mark.parametrize(
    ("vendor", "reasoning", "details", "extra"),
    [
        ("openai-chat", None, None, None),
        ("vllm", None, None, None),
        ("deepseek", "Hm.", None, None),
        ("moonshot", "Hm.", None, None),
        ("zai", "Hm.", None, None),
        ("openrouter", None, DETAILS, None),
        ("gemini", None, None, EXTRA),
    ],
)
def test_what_was_reasoned_goes_back_as_each_vendor_demands(
    vendor: str, reasoning: str | None, details: Any, extra: Any
) -> None:
    body, _ = translate(CompletionRequest("m", (Message.user("Hi"), TURN)), VENDORS[vendor].quirks)
    turn = body["messages"][1]
    assert turn.get("reasoning_content") == reasoning
    assert turn.get("reasoning_details") == details
    assert turn["tool_calls"][0].get("extra_content") == extra


def test_what_a_router_wants_back_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_answer, "_MOST_KEPT", 1_000)
    answer = Answer("m", Failures("Vendor", "http://vendor", None), [], keeps_details=True)
    delta = {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "Hm. " * 10}]}
    for _ in range(100):
        assert [event.type for event in answer.feed({"choices": [{"index": 0, "delta": delta}]})] in ([], ["start"])
    assert answer._details is None
    assert [event.type for event in answer.finish()] == ["end"]
