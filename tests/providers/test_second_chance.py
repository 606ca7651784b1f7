"""A parameter that a provider names and refuses is left out the second time; messages as vendors write them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import StreamEvent, assemble
from llmws.providers.failures import Failures
from llmws.providers.openai_chat import OpenAIChat
from llmws.providers.second_chance import SecondChance

from .conftest import DONE, Upstream, ask, chunk

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [],
    "max_tokens": 9,
    "temperature": 0.5,
    "top_p": 0.9,
    "enable_thinking": True,
    "reasoning_effort": "none",
    "stream_options": {"include_usage": True},
    "tools": [],
    "output_config": {"effort": "high", "format": {}},
    "response_format": {},
    "store": False,
}


def refusal(message: str, param: str | None = None, status: int = 400) -> ProviderError:
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": param}})
    return Failures("Vendor", "https://llm.example/v1", None).refused(status, {}, body, "m")


def mended(error: ProviderError) -> tuple[Any, list[StreamEvent]]:
    warnings: list[StreamEvent] = []
    return SecondChance(BODY, warnings).mend(error), warnings


@pytest.mark.parametrize(
    ("message", "param", "name"),
    [
        # OpenAI
        ("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", "temperature"),
        (
            "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) is supported.",
            "temperature",
            "temperature",
        ),
        ("Unsupported value: 'none' is not supported with the 'o3' model.", "reasoning_effort", "reasoning_effort"),
        ("Unrecognized request argument supplied: enable_thinking", None, "enable_thinking"),
        ("Unknown parameter: 'top_p'.", "top_p", "top_p"),
        # SiliconFlow, Groq, Anthropic, pydantic's, Mistral's and a server in Go
        ("Value error, current model does not support parameter `enable_thinking`.", None, "enable_thinking"),
        ("property 'reasoning_effort' is unsupported", None, "reasoning_effort"),
        ("`temperature` is deprecated for this model.", None, "temperature"),
        ("top_p: Extra inputs are not permitted", None, "top_p"),
        ("Extra fields not allowed: stream_options is not supported", None, "stream_options"),
        ('json: unknown field "enable_thinking"', None, "enable_thinking"),
    ],
)
def test_a_parameter_that_is_named_is_left_out(message: str, param: str | None, name: str) -> None:
    body, warnings = mended(refusal(message, param))
    assert body == {key: value for key, value in BODY.items() if key != name}
    assert [warning.data for warning in warnings] == [{"code": "dropped", "parameter": name}]


def test_the_limit_of_an_answer_is_renamed_and_never_left_out() -> None:
    said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    body, warnings = mended(refusal(said, "max_tokens"))
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body
    assert warnings == []


def test_what_is_inside_a_parameter_is_left_out_alone() -> None:
    body, _ = mended(refusal("output_config.effort: Extra inputs are not permitted"))
    assert body["output_config"] == {"format": {}}


@pytest.mark.parametrize(
    "error",
    [
        refusal("Unsupported parameter: 'tools' is not supported with this model.", "tools"),
        refusal("Unknown parameter: 'store'.", "store"),
        refusal("Unsupported parameter: 'response_format' is not supported with this model.", "response_format"),
        refusal("output_config.format: Extra inputs are not permitted"),
        refusal("Unsupported parameter: 'logprobs' is not supported with this model.", "logprobs"),
        refusal("Invalid value for 'temperature': must be at most 2.", "temperature"),
        refusal("This model's maximum context length is 4096 tokens"),
        refusal("`temperature` is deprecated for this model.", status=500),
        refusal("`temperature` is deprecated for this model.", status=401),
    ],
    ids=lambda error: str(error)[:60],
)
def test_other_refusals_stay_refusals(error: ProviderError) -> None:
    assert mended(error) == (None, [])


def test_a_provider_that_refuses_without_end_is_not_asked_without_end() -> None:
    chance = SecondChance(BODY | {f"wish_{n}": n for n in range(9)}, [])
    bodies = [chance.mend(refusal(f"wish_{n}: Extra inputs are not permitted")) for n in range(9)]
    assert [body is not None for body in bodies] == [True] * 4 + [False] * 5


async def test_whoever_asked_is_told_before_the_first_word(upstream: Upstream) -> None:
    said = "Unsupported parameter: 'seed' is not supported with this model."
    upstream.refuses(json.dumps({"error": {"message": said, "param": "seed", "code": "unsupported_parameter"}}))
    upstream.answers(chunk({"content": "Yes"}), chunk({}, "stop"), DONE)
    provider = OpenAIChat("Vendor", upstream.url)
    events = [event async for event in provider.stream(ask(seed=1, temperature=0.5))]
    await provider.aclose()
    assert [event.type for event in events] == ["start", "warning", "text", "end"]
    assert events[1].text == "seed was not passed on: the provider does not take it."
    assert ["seed" in received.body for received in upstream.received] == [True, False]
    assert upstream.received[1].body["temperature"] == 0.5


async def test_a_model_that_only_streams_is_asked_to(upstream: Upstream) -> None:
    said = "This model only support stream mode, please enable the stream parameter to access the model."
    upstream.refuses(json.dumps({"error": {"message": said, "code": "invalid_parameter_error", "param": None}}))
    upstream.answers(chunk({"content": "Yes"}), chunk({}, "stop"), DONE)
    provider = OpenAIChat("Vendor", upstream.url)
    answer = assemble([event async for event in provider.stream(replace(ask(), at_once=True))])
    await provider.aclose()
    assert (answer.text, answer.finish_reason) == ("Yes", "stop")
    assert [received.body["stream"] for received in upstream.received] == [False, True]
