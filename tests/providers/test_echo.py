"""Echo keeps to its script."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmws.errors import ProviderError
from llmws.messages import Message, StreamEvent, Usage, assemble
from llmws.providers.base import CompletionRequest
from llmws.providers.echo import Echo

from .conftest import ask


async def play(text: str = "one two three", **parameters: Any) -> list[StreamEvent]:
    return [event async for event in Echo().stream(ask(text, model="echo", **parameters))]


@pytest.mark.parametrize("text", ["Is there an echo?", "  two\n\nlines \n", "你好，世界", ""])
async def test_it_says_what_it_was_told(text: str) -> None:
    assert assemble(await play(text)).text == text


async def test_it_answers_the_last_word_of_the_user() -> None:
    talk = (Message.system("s"), Message.user("first"), Message("assistant"), Message.user("last"))
    events = [event async for event in Echo().stream(CompletionRequest("echo", talk))]
    assert assemble(events).text == "last"


@pytest.mark.parametrize(("limit", "text", "reason"), [(2, "one two", "length"), (3, "one two three", "stop")])
async def test_it_stops_where_it_must(limit: int, text: str, reason: str) -> None:
    message = assemble(await play(max_tokens=limit))
    assert (message.text, message.finish_reason) == (text, reason)
    assert message.usage == Usage(3, limit)


async def test_it_repeats_itself_on_demand() -> None:
    assert assemble(await play(extra={"tokens": ["a", "b"], "count": 5})).text == "ababa"


@pytest.mark.parametrize(("after", "text"), [(1, "one"), (3, "one two three")])
async def test_it_fails_when_told(after: int, text: str) -> None:
    message = assemble(await play(extra={"fail_after": after, "fail_code": "provider_timeout"}))
    assert (message.text, message.finish_reason) == (text, "error")
    assert message.error is not None
    assert message.error["code"] == "provider_timeout"


async def test_it_paces_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("llmws.providers.echo.asyncio.sleep", sleep)
    await play(extra={"delay_s": 0.5})
    await play(extra={"tokens_per_s": 2})
    assert len(slept) == 6
    assert [round(seconds - index % 3 * 0.5, 1) for index, seconds in enumerate(slept)] == [0.5] * 6


async def test_it_never_holds_the_event_loop() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await play(extra={"count": 100, "tokens": ["x"]})
    ticking.cancel()
    assert ticks >= 100


@pytest.mark.parametrize(
    "extra",
    [
        {"speed": 1},
        {"count": -1},
        {"count": "many"},
        {"count": 1.5},
        {"delay_s": True},
        {"tokens": "ab"},
        {"tokens": [1]},
    ],
)
async def test_a_script_that_cannot_be_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match=next(iter(extra))) as caught:
        await play(extra=extra)
    assert caught.value.code == "provider_invalid"


async def test_it_has_one_model() -> None:
    assert [model.id for model in await Echo().models()] == ["echo"]
    with pytest.raises(ProviderError) as caught:
        [event async for event in Echo().stream(ask(model="parrot"))]
    assert caught.value.code == "provider_not_found"
