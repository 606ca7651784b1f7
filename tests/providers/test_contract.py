"""What every provider keeps to, whatever wire it speaks: the same performance, played by each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import StreamEvent, assemble
from llmws.providers.base import CompletionRequest, Provider
from llmws.providers.echo import Echo
from llmws.providers.ollama import Ollama
from llmws.providers.openai_chat import OpenAIChat
from llmws.providers.openai_responses import OpenAIResponses

from .conftest import DONE, LIMIT_S, Upstream, ask, chunk, happened, line


@dataclass(frozen=True)
class Performance:
    """What the model shall do."""

    tokens: tuple[str, ...] = ("To", " be", ", 或 not")
    reasoning: str = ""
    call: tuple[str, str] | None = None
    fail_after: int | None = None
    endless: bool = False


class EchoStage:
    """Echo is told by its parameters what to do."""

    provider: Provider = Echo()

    def play(self, performance: Performance) -> CompletionRequest:
        extra: dict[str, Any] = {"tokens": list(performance.tokens), "reasoning": performance.reasoning}
        if performance.fail_after is not None:
            extra["fail_after"] = performance.fail_after
        if performance.call is not None:
            name, arguments = performance.call
            extra["tool_calls"] = ({"name": name, "arguments": arguments},)
        if performance.endless:
            extra |= {"count": 10**9, "delay_s": 0.001}
        return ask("one two", model="echo", extra=extra)


class OpenAIChatStage:
    """A scripted server plays, in the shape of the wire."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.provider: Provider = OpenAIChat("Vendor", upstream.url, "sk-a-real-secret")

    def play(self, performance: Performance) -> CompletionRequest:
        if performance.fail_after == 0:
            self._upstream.answers('{"error": {"message": "Engine overloaded"}}', status=503)
            return ask()
        parts = [chunk({"role": "assistant", "content": ""})]
        parts += [chunk({"reasoning_content": performance.reasoning})] if performance.reasoning else []
        parts += [chunk({"content": token}) for token in performance.tokens[: performance.fail_after]]
        usage = chunk(None, usage={"prompt_tokens": 2, "completion_tokens": 3})
        if performance.fail_after is not None:
            parts += [usage, 'data: {"error": {"message": "Engine overloaded", "code": 503}}\n\n']
        elif not performance.endless:
            if performance.call is not None:
                name, arguments = performance.call
                head, tail = arguments[:3], arguments[3:]
                call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": head}}
                parts.append(chunk({"tool_calls": [call]}))
                parts.append(chunk({"tool_calls": [{"index": 0, "function": {"arguments": tail}}]}))
            parts += [chunk({}, "tool_calls" if performance.call else "stop"), usage, DONE]
        self._upstream.answers(*parts, then="hold" if performance.endless else "end")
        return ask()


class OpenAIResponsesStage:
    """The same on the Responses wire."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.provider: Provider = OpenAIResponses("Vendor", upstream.url, "sk-a-real-secret")

    def play(self, performance: Performance) -> CompletionRequest:
        if performance.fail_after == 0:
            self._upstream.answers('{"error": {"message": "Engine overloaded"}}', status=503)
            return ask()
        response = {
            "id": "resp_1",
            "object": "response",
            "model": "m",
            "usage": {"input_tokens": 2, "output_tokens": 3},
        }
        parts = [happened("response.created", response={"id": "resp_1", "object": "response", "status": "in_progress"})]
        if performance.reasoning:
            parts.append(happened("response.reasoning_summary_text.delta", output_index=0, delta=performance.reasoning))
        parts += [
            happened("response.output_text.delta", output_index=1, delta=token)
            for token in performance.tokens[: performance.fail_after]
        ]
        if performance.fail_after is not None:
            error = {"code": "server_error", "message": "Engine overloaded"}
            parts.append(happened("response.failed", response={**response, "status": "failed", "error": error}))
        elif not performance.endless:
            if performance.call is not None:
                name, arguments = performance.call
                item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": ""}
                parts.append(happened("response.output_item.added", output_index=2, item=item))
                parts += [
                    happened("response.function_call_arguments.delta", output_index=2, delta=delta)
                    for delta in (arguments[:3], arguments[3:])
                ]
            parts.append(happened("response.completed", response={**response, "status": "completed"}))
        self._upstream.answers(*parts, then="hold" if performance.endless else "end")
        return ask()


class OllamaStage:
    """The same on Ollama's own wire."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        upstream.answers_at("/api/show", {"capabilities": ["completion", "thinking", "tools"]})
        upstream.answers_at("/api/ps", {"models": []})
        self.provider: Provider = Ollama("Vendor", upstream.url, "sk-a-real-secret")

    def play(self, performance: Performance) -> CompletionRequest:
        if performance.fail_after == 0:
            self._upstream.answers('{"error": "server busy, please try again"}', status=503)
            return ask()
        parts = [line({"content": "", "thinking": performance.reasoning})] if performance.reasoning else []
        parts += [line({"content": token}) for token in performance.tokens[: performance.fail_after]]
        if performance.fail_after is not None:
            parts.append('{"error": "Engine overloaded"}\n')
        elif not performance.endless:
            if performance.call is not None:
                name, arguments = performance.call
                function = {"name": name, "arguments": json.loads(arguments)}
                parts.append(line({"content": "", "tool_calls": [{"function": function}]}))
            parts.append(line(done=True, done_reason="stop", prompt_eval_count=2, eval_count=3))
        self._upstream.answers(*parts, then="hold" if performance.endless else "end")
        return ask()


Stage = EchoStage | OpenAIChatStage | OpenAIResponsesStage | OllamaStage

STAGES: dict[str, Callable[[Upstream], Stage]] = {
    "echo": lambda _: EchoStage(),
    "openai_chat": OpenAIChatStage,
    "openai_responses": OpenAIResponsesStage,
    "ollama": OllamaStage,
}


@pytest.fixture(params=STAGES)
async def stage(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[Stage]:
    stage = STAGES[request.param](upstream)
    yield stage
    await stage.provider.aclose()


async def perform(stage: Stage, performance: Performance) -> list[StreamEvent]:
    events = [event async for event in stage.provider.stream(stage.play(performance))]
    kinds = [event.type for event in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert kinds.count("start") == kinds.count("end") == 1
    assert events == [StreamEvent.from_dict(event.to_dict()) for event in events]
    return events


async def test_it_says_text_and_counts_it(stage: Stage) -> None:
    message = assemble(await perform(stage, Performance()))
    assert message.text == "To be, 或 not"
    assert message.finish_reason == "stop"
    assert message.model
    assert message.usage is not None
    assert (message.usage.input_tokens, message.usage.output_tokens) == (2, 3)
    assert message.usage.source == "provider"


async def test_it_streams_rather_than_collects(stage: Stage) -> None:
    texts = [event.text for event in await perform(stage, Performance()) if event.type == "text"]
    assert texts == ["To", " be", ", 或 not"]


async def test_it_tells_reasoning_from_text(stage: Stage) -> None:
    events = await perform(stage, Performance(reasoning="Hm, let me see."))
    message = assemble(events)
    assert (message.reasoning, message.text) == ("Hm, let me see.", "To be, 或 not")
    assert [part.type for part in message.parts] == ["reasoning", "text"]


async def test_it_calls_tools(stage: Stage) -> None:
    message = assemble(await perform(stage, Performance(call=("look", '{"at": "me"}'))))
    assert message.finish_reason == "tool_calls"
    call = message.parts[-1].data
    assert (call["name"], call["arguments"]) == ("look", '{"at": "me"}')
    assert call["id"]


async def test_what_fails_before_it_begins_is_raised(stage: Stage) -> None:
    with pytest.raises(ProviderError) as caught:
        await perform(stage, Performance(fail_after=0))
    assert caught.value.code == "provider_overloaded"
    assert caught.value.retryable


async def test_what_fails_in_the_middle_keeps_what_was_said(stage: Stage) -> None:
    events = await perform(stage, Performance(fail_after=2))
    kinds = [event.type for event in events]
    assert kinds[-2:] == ["error", "end"]
    assert isinstance(stage, OllamaStage) or kinds[-3] == "usage"  # Ollama counts in its last line alone
    message = assemble(events)
    assert message.text == "To be"
    assert message.finish_reason == "error"
    assert message.error is not None
    assert message.error["code"] == "provider_overloaded"
    assert message.error["message"]
    assert message.error["remedy"] is not None


async def test_closing_the_stream_ends_it_at_once(stage: Stage) -> None:
    request = stage.play(Performance(endless=True))
    async with asyncio.timeout(LIMIT_S), aclosing(stage.provider.stream(request)) as stream:
        async for event in stream:
            if event.type == "text":
                break
    assert [event async for event in stream] == []


async def test_cancelling_the_task_that_reads_ends_it(stage: Stage) -> None:
    heard = asyncio.Event()

    async def listen() -> None:
        async with aclosing(stage.provider.stream(stage.play(Performance(endless=True)))) as stream:
            async for event in stream:
                if event.type == "text":
                    heard.set()

    task = asyncio.create_task(listen())
    async with asyncio.timeout(LIMIT_S):
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_two_streams_do_not_disturb_each_other(stage: Stage) -> None:
    request = stage.play(Performance(reasoning="Hm."))

    async def one() -> str:
        return assemble([event async for event in stage.provider.stream(request)]).text

    assert await asyncio.gather(one(), one()) == ["To be, 或 not"] * 2
