"""What a model can do, found out by asking it, and what was seen of it."""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pytest

from llmws.errors import LimitReached, ProviderError
from llmws.messages import Message, Part, Usage, assemble
from llmws.providers.base import CompletionRequest, Embeddings, Provider
from llmws.providers.openai_chat import OpenAIChat
from llmws.providers.probe import MOST_TOKENS, Ask, Embed, Verdict, probe
from llmws.serving.child import Child, ServerConfig
from llmws.serving.embedded import find_embedded_model
from llmws.settings import Settings

from .conftest import DONE, LIMIT_S, Upstream, chunk

NAMES = ["tools", "vision", "json_schema", "reasoning"]


async def verdicts(ask: Ask, embed: Embed | None = None, chance: float = 0.0) -> dict[str, Verdict]:
    async with asyncio.timeout(LIMIT_S):
        return {each.name: each async for each in probe("m", ask, embed, chance=lambda: chance)}


def said(text: str = "", reasoning: str = "", **more: Any) -> Message:
    parts = [Part("reasoning", reasoning)] if reasoning else []
    return Message("assistant", (*parts, Part("text", text)), **{"finish_reason": "stop", **more})


def called(name: str, arguments: str) -> Message:
    return Message("assistant", (Part("tool_call", data={"name": name, "arguments": arguments}),))


def asked_for(request: CompletionRequest) -> str:
    """Which question it is."""
    if request.tools:
        return "tools"
    if request.schema is not None:
        return "json_schema"
    return "reasoning" if request.parameters.reasoning_effort else "vision"


def answering(**answers: Message | ProviderError) -> Ask:
    async def ask(request: CompletionRequest) -> Message:
        answer = answers.get(asked_for(request), said("I do not know."))
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    return ask


async def test_a_model_that_can_do_all() -> None:
    found = await verdicts(
        answering(
            tools=called("note_number", '{"number": 7}'),
            vision=said("Red, green"),
            json_schema=said('{"polite": true, "words": 1}'),
            reasoning=said("9", reasoning="All but 9 run away, so…"),
        )
    )
    assert {name: each.value for name, each in found.items()} == dict.fromkeys(NAMES, True)
    assert {each.source for each in found.values()} == {"probe"}
    assert found["tools"].evidence == 'It called note_number({"number": 7}).'
    assert found["vision"].evidence == "It saw that a picture is red on the left and green on the right."
    assert found["json_schema"].evidence == 'Its answer follows the schema: “{"polite": true, "words": 1}”.'
    assert found["reasoning"].evidence == "It thought first: “All but 9 run away, so…”."


async def test_a_model_that_can_do_nothing_but_talk() -> None:
    found = await verdicts(answering())
    assert {name: each.value for name, each in found.items()} == dict.fromkeys(NAMES, False)
    assert found["tools"].evidence == "It answered in words and called nothing."
    assert found["vision"].evidence == "Of a picture that is red and green it said “I do not know.”."


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("tools", called("note_number", '{"number": 8}')),
        ("tools", called("other", '{"number": 7}')),
        ("tools", called("note_number", "[7")),
        ("vision", said("green, red")),
        ("vision", said("red")),
        ("vision", said("It may be red, green, blue, yellow, black or white.")),
        ("json_schema", said('{"polite": true}')),
        ("json_schema", said('```json\n{"polite": true, "words": 1}\n```')),
        ("json_schema", said('["Hello!", 1]')),
        ("reasoning", said("Let me think. 17 - 8 = 9")),
    ],
)
async def test_what_only_looks_like_it_does_not_count(name: str, answer: Message) -> None:
    assert (await verdicts(answering(**{name: answer})))[name].value is False


async def test_thoughts_that_are_not_shown_are_counted() -> None:
    found = await verdicts(answering(reasoning=said("9", usage=Usage(10, 40, reasoning_tokens=32))))
    assert found["reasoning"] == Verdict("reasoning", True, "It thought for 32 tokens, without showing them.")


async def test_who_was_still_thinking_is_not_judged() -> None:
    thinking = said(reasoning="Hm. " * 100, finish_reason="length")
    found = await verdicts(answering(tools=thinking, json_schema=thinking, reasoning=thinking))
    assert (found["tools"].value, found["json_schema"].value, found["reasoning"].value) == (None, None, True)


@pytest.mark.parametrize("how", ["raised", "told"])
async def test_a_refusal_is_an_answer(how: str) -> None:
    refused = ProviderError("m does not take images.", code="provider_invalid")
    answer = refused if how == "raised" else said(error={"message": refused.message, "code": refused.code})
    found = await verdicts(answering(vision=answer))
    assert found["vision"] == Verdict("vision", False, "m does not take images.")


async def test_a_server_that_breaks_over_a_picture_has_refused_it() -> None:
    error = ProviderError("image input is not supported - hint: mmproj", code="provider_overloaded", retryable=True)
    assert (await verdicts(answering(vision=error)))["vision"].value is False


@pytest.mark.parametrize("code", ["auth", "balance", "rate", "overloaded", "network", "timeout", "not_found"])
async def test_what_says_nothing_of_the_model_ends_it(code: str) -> None:
    with pytest.raises(ProviderError):
        await verdicts(answering(tools=ProviderError("No.", code=f"provider_{code}")))


@pytest.mark.parametrize("how", ["raised", "told"])
async def test_a_limit_of_the_workspace_is_no_verdict(how: str) -> None:
    async def ask(request: CompletionRequest) -> Message:
        if how == "raised":
            raise LimitReached("Enough for today.")
        return said(error={"message": "Enough for today.", "code": "limit_reached"})

    with pytest.raises(LimitReached, match="Enough for today"):
        await verdicts(ask)


async def test_a_model_of_embeddings_answers_nothing_else() -> None:
    async def embed(inputs: Sequence[str]) -> Embeddings:
        return Embeddings(((0.0,) * 384,) * len(inputs), Usage(1, 0))

    gone = ProviderError("This is not a chat model.", code="provider_not_found")
    found = await verdicts(answering(**dict.fromkeys(NAMES, gone)), embed)
    assert found.pop("embeddings") == Verdict("embeddings", True, "It made a vector of 384 numbers.")
    assert [each.value for each in found.values()] == [False] * 4


async def test_a_chat_model_makes_no_vectors() -> None:
    async def embed(inputs: Sequence[str]) -> Embeddings:
        raise ProviderError("m does not support embeddings.", code="provider_invalid")

    found = await verdicts(answering(), embed)
    assert found["embeddings"] == Verdict("embeddings", False, "m does not support embeddings.")


async def test_every_question_is_bounded_and_the_evidence_short() -> None:
    requests: list[CompletionRequest] = []

    async def ask(request: CompletionRequest) -> Message:
        requests.append(request)
        return said("x" * 10_000, reasoning="y" * 10_000)

    found = await verdicts(ask)
    assert [asked_for(request) for request in requests] == NAMES
    assert {request.parameters.max_tokens for request in requests} == {MOST_TOKENS}
    assert all(len(each.evidence) < 200 for each in found.values())


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.7, 0.999])
async def test_the_picture_shows_what_is_asked_for(chance: float) -> None:
    """Decoded by the rules of PNG, not by the code that wrote it."""
    colours = {"red": (220, 20, 20), "green": (20, 160, 20), "blue": (20, 20, 220), "yellow": (250, 230, 20)}
    names = {rgb: name for name, rgb in {**colours, "black": (0, 0, 0), "white": (255, 255, 255)}.items()}
    shown: list[str] = []

    async def ask(request: CompletionRequest) -> Message:
        for url in [part.data["url"] for part in request.messages[0].parts if part.type == "image"]:
            data = base64.b64decode(url.removeprefix("data:image/png;base64,"))
            assert data[:8] == b"\x89PNG\r\n\x1a\n"
            width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
            length = struct.unpack(">I", data[33:37])[0]
            rows = zlib.decompress(data[41 : 41 + length])
            assert (depth, kind, len(rows)) == (8, 2, height * (1 + 3 * width))
            shown.extend(names[tuple(pixel)] for pixel in (rows[1:4], rows[3 * width - 2 : 3 * width + 1]))
        return said("Nothing.")

    evidence = (await verdicts(ask, chance=chance))["vision"].evidence
    assert len(set(shown)) == 2
    assert evidence == f"Of a picture that is {shown[0]} and {shown[1]} it said “Nothing.”."


# Over a real connection


def through(provider: Provider) -> Ask:
    async def ask(request: CompletionRequest) -> Message:
        return assemble([event async for event in provider.stream(request)])

    return ask


async def test_what_goes_over_the_wire(upstream: Upstream) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "note_number", "arguments": '{"number": 7}'}}
    upstream.answers(chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE)
    provider = OpenAIChat("Vendor", upstream.url)
    found = await verdicts(through(provider))
    await provider.aclose()
    assert found["tools"].value is True
    tools, vision, schema, _ = (received.body for received in upstream.received)
    assert tools["tool_choice"] == {"type": "function", "function": {"name": "note_number"}}
    assert vision["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert schema["response_format"]["json_schema"]["schema"]["additionalProperties"] is False


async def test_an_answer_that_breaks_off_says_nothing_of_the_model(upstream: Upstream) -> None:
    upstream.answers(chunk({"content": "Half"}), then="cut")
    provider = OpenAIChat("Vendor", upstream.url)
    with pytest.raises(ProviderError) as caught:
        await verdicts(through(provider))
    await provider.aclose()
    assert caught.value.code == "provider_network"


async def test_the_model_that_comes_along() -> None:
    """With its real server: a grammar holds it to a schema and to a call, it sees nothing and thinks nothing."""
    child = await Child.start(ServerConfig(str(find_embedded_model(Settings()).path), "m", context=2_048))
    provider = OpenAIChat("llama.cpp", f"{child.url}/v1", child.config.api_key)
    try:
        async with asyncio.timeout(60):
            found = {each.name: each async for each in probe("m", through(provider))}
    finally:
        await provider.aclose()
        await child.stop()
    assert found["json_schema"].value is True
    assert found["reasoning"].value is False
    assert found["vision"].value is False
    assert "image input is not supported" in found["vision"].evidence
    assert "tools" in found  # of 135 million parameters few can call one
