"""Bytes that a vendor sends, fed to a provider in whatever pieces a test wants, and what they are read as."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from llmws.errors import ProviderError
from llmws.messages import StreamEvent, Usage, assemble
from llmws.providers.anthropic_messages import AnthropicMessages
from llmws.providers.base import Provider
from llmws.providers.ollama import Ollama
from llmws.providers.openai_chat import OpenAIChat, Quirks
from llmws.providers.openai_responses import OpenAIResponses

from .conftest import ask

STREAMS = Path(__file__).parent / "streams"
KEY = "sk-a-real-secret"

# An id that was made here, because the server gave none.
_MINTED = re.compile(r"call_[0-9a-f]{24}")


@dataclass(frozen=True)
class Told:
    """What a stream must be read as; calls are id, name and arguments, without the id where the server gave none."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str = "stop"
    calls: tuple[tuple[str, str, str], ...] = ()
    usage: Usage | None = None
    error: str | None = None
    citations: tuple[str, ...] = ()
    marks: tuple[dict[str, Any], ...] = ()
    warnings: int = 0
    model: str = "m"
    raised: bool = field(default=False, compare=False)


Open = Callable[..., Provider]

OPEN: dict[str, Open] = {
    "openai_chat": lambda url, **more: OpenAIChat(
        "Vendor", url, KEY, quirks=Quirks(opens_in_reasoning=("*deepseek-r1*",), replay_reasoning="details"), **more
    ),
    "openai_responses": lambda url, **more: OpenAIResponses("Vendor", url, KEY, **more),
    "anthropic_messages": lambda url, **more: AnthropicMessages("Vendor", url, KEY, **more),
    "ollama": lambda url, **more: Ollama("Vendor", url, KEY, **more),
}
# Where an answer is asked for; whatever else a wire asks, the server does not know.
ASKED = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
    "ollama": "/api/chat",
}


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in the pieces that a test wants, which no socket guarantees."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def provider_of(wire: str, pieces: Sequence[bytes], content_type: str = "text/event-stream") -> Provider:
    """A provider of `wire` whose server answers in `pieces`."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != ASKED[wire]:
            return httpx.Response(404, json={"error": "not found"})
        return httpx.Response(200, headers={"Content-Type": content_type}, stream=Pieces(pieces))

    return OPEN[wire]("http://127.0.0.1/v1", client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))


async def read(provider: Provider, model: str = "m") -> tuple[Told, list[StreamEvent]]:
    """The fold of a stream, and the stream."""
    events: list[StreamEvent] = []
    try:
        async for event in provider.stream(ask(model=model)):
            events.append(_without_minted(event))
    except ProviderError as error:
        assert events == []
        return Told(error=error.code, raised=True), []
    message = assemble(events)
    parts = message.parts
    told = Told(
        message.text,
        message.reasoning,
        str(message.finish_reason),
        tuple((it.data["id"], it.data["name"], it.data["arguments"]) for it in parts if it.type == "tool_call"),
        message.usage,
        message.error["code"] if message.error else None,
        tuple(it.data["url"] for it in parts if it.type == "citation"),
        tuple(dict(it.data) for it in parts if it.type == "reasoning" and it.data),
        sum(it.type == "warning" for it in parts),
        str(message.model),
    )
    return told, events


def _without_minted(event: StreamEvent) -> StreamEvent:
    if event.type != "tool_call" or not _MINTED.fullmatch(str(event.data.get("id", ""))):
        return event
    return replace(event, data={**event.data, "id": ""})
