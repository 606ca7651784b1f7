"""What every provider keeps to, whatever wire it speaks: the same performance, played by each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, Part, StreamEvent, assemble
from llmws.providers.base import CompletionRequest
from llmws.providers.catalog import Vendor

from .conftest import LIMIT_S, Upstream, ask
from .stages import KEY, SERVERS, STAGES, Performance, ServerStage, Stage


@pytest.fixture(params=STAGES)
async def stage(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[Stage]:
    stage = STAGES[request.param](upstream)
    yield stage
    await stage.provider.aclose()


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[ServerStage]:
    stage = SERVERS[request.param](upstream)
    yield stage
    await stage.provider.aclose()


def test_every_wire_has_a_stage() -> None:
    assert set(STAGES) == set(get_args(get_type_hints(Vendor)["wire"]))


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
    assert [part.type for part in message.parts if part.text] == ["reasoning", "text"]


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
    assert (kinds[-3] == "usage") == getattr(stage, "counts_failures", True)
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


# Of those that speak to a server


async def test_what_the_server_says_without_meaning_is_passed_over(server: ServerStage) -> None:
    performance = Performance(reasoning="Hm.", call=("look", '{"at": "me"}'))
    quiet = await perform(server, performance)
    noisy = await perform(server, replace(performance, noise=True))
    assert [without_ids(event) for event in noisy] == [without_ids(event) for event in quiet]


def without_ids(event: StreamEvent) -> StreamEvent:
    """Ollama's calls have none, so that ours differ each time."""
    return replace(event, data={name: value for name, value in event.data.items() if name != "id"})


async def test_an_error_in_http_200_is_an_error(server: ServerStage) -> None:
    with pytest.raises(ProviderError) as caught:
        await perform(server, Performance(complain=True))
    assert caught.value.code == "provider_overloaded"


async def test_a_refusal_does_not_repeat_the_key(server: ServerStage) -> None:
    server.upstream.answers(json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}), status=401)
    with pytest.raises(ProviderError) as caught:
        [event async for event in server.provider.stream(ask())]
    assert caught.value.code == "provider_auth"
    assert KEY not in str(caught.value.to_dict())


async def test_images_are_sent_along(server: ServerStage) -> None:
    server.play(Performance())
    image = "data:image/png;base64,iVBORw0KGgo="
    asked = Message("user", (Part("text", "What is this?"), Part("image", data={"url": image})))
    [event async for event in server.provider.stream(CompletionRequest("m", (asked,)))]
    assert server.images(server.upstream.received[-1].body) == [image]


async def test_what_was_reasoned_goes_back_with_the_call_that_it_led_to(server: ServerStage) -> None:
    performance = Performance(reasoning="Hm, let me see.", call=("look", '{"at": "me"}'))
    answer = assemble(await perform(server, performance))
    call = next(part for part in answer.parts if part.type == "tool_call")
    result = Message("tool", (Part("tool_result", "A cat.", {"id": call.data["id"]}),))
    # Kept and read back, as a conversation is.
    history = Message.from_dict(json.loads(json.dumps(answer.to_dict())))
    request = CompletionRequest("m", (Message.user("Hi"), history, result))
    [event async for event in server.provider.stream(request)]
    body = server.upstream.received[-1].body
    assert server.given_back(body) == server.thought(performance.reasoning)
    assert "A cat." in json.dumps(body)


async def test_hanging_up_is_seen_by_the_server(server: ServerStage) -> None:
    request = server.play(Performance(endless=True))
    async with asyncio.timeout(LIMIT_S):
        async with aclosing(server.provider.stream(request)) as stream:
            async for event in stream:
                if event.type == "text":
                    break
        await server.upstream.hung_up.wait()


async def test_an_answer_that_breaks_off_says_so(server: ServerStage) -> None:
    request = server.play(Performance(endless=True))
    server.upstream.answers(*server.parts(Performance(endless=True)), then="cut")
    events = [event async for event in server.provider.stream(request)]
    assert [event.type for event in events][-2:] == ["error", "end"]
    assert (events[-2].data["code"], events[-2].data["retryable"]) == ("provider_network", True)
    assert events[-1].finish_reason == "error"
