"""Makes the body of a request on the OpenAI chat completions wire; pure. What servers do differently is `Quirks`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..messages import Message, Part, StreamEvent
from .base import CompletionRequest, invalid, unsendable
from .openai_parameters import at_once, instruction, parameters
from .openai_quirks import Quirks

WIRE = "openai_chat"

# What `extra` must not say: it would name another model than the one that is metered (OpenRouter takes several, in
# `models`), or change the wire.
_RESERVED = frozenset({"model", "models", "messages", "stream", "stream_options"})


def translate(request: CompletionRequest, quirks: Quirks) -> tuple[dict[str, Any], list[StreamEvent]]:
    """The JSON to post, and what must be told: that a wish was not passed on, or how it was changed.

    Example:
        >>> translate(CompletionRequest("m", (Message.user("Hi"),)), Quirks(include_usage=False))[0]
        {'model': 'm', 'messages': [{'role': 'user', 'content': 'Hi'}], 'stream': True}
    """
    if reserved := _RESERVED & set(request.parameters.extra):
        raise invalid(f"The parameter {min(reserved)!r} cannot be set by hand.", "Leave it out.")
    told: list[StreamEvent] = []
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [wired for message in request.messages for wired in _wire(message, quirks)],
        "stream": not at_once(request, quirks),
    }
    if words := instruction(request, quirks):
        body["messages"] = _instructed(body["messages"], words)
    if body["stream"] and quirks.include_usage:
        body["stream_options"] = {"include_usage": True}
    return body | parameters(request, quirks, told) | dict(request.parameters.extra), told


def _instructed(messages: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    """`messages` with `words` in their first system prompt: many templates know only one."""
    first = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first["content"], str):
        return [{"role": "system", "content": f"{first['content']}\n\n{words}"}, *messages[1:]]
    return [{"role": "system", "content": words}, *messages]


def _wire(message: Message, quirks: Quirks) -> Iterator[dict[str, Any]]:
    """The wire's messages for one of ours: none for an assistant who said nothing, one for each tool's result."""
    match message.role:
        case "tool":
            for part in message.parts:
                yield {"role": "tool", "tool_call_id": part.data.get("id", ""), "content": part.text}
        case "assistant":
            yield from _wire_assistant(message, quirks)
        case _:
            yield {"role": message.role, "content": _content(message)}


def _wire_assistant(message: Message, quirks: Quirks) -> Iterator[dict[str, Any]]:
    calls = [_call(part, quirks) for part in message.parts if part.type == "tool_call"]
    if not message.text and not calls:
        return  # an answer that failed before its first word; some servers refuse an empty turn
    wired: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if calls:
        wired["tool_calls"] = calls
        if quirks.replay_reasoning == "tool_calls":
            # DeepSeek refuses a turn with tool calls whose reasoning is missing or empty, also one that another model
            # wrote without any: https://github.com/BerriAI/litellm/issues/27439. So do Moonshot's reasoning models.
            wired["reasoning_content"] = message.reasoning or " "
    if quirks.replay_reasoning == "details" and (details := _details(message)):
        wired["reasoning_details"] = details
    yield wired


def _details(message: Message) -> list[Any]:
    """What a router wants back as it came: https://openrouter.ai/docs/use-cases/reasoning-tokens."""
    marks = [part.data for part in message.parts if part.type == "reasoning" and part.data.get("wire") == WIRE]
    return [detail for mark in marks for detail in mark.get("details", ())]


def _call(part: Part, quirks: Quirks) -> dict[str, Any]:
    function = {"name": part.data.get("name", ""), "arguments": part.data.get("arguments") or "{}"}
    call = {"id": part.data.get("id", ""), "type": "function", "function": function}
    if quirks.replay_reasoning == "extra_content" and "extra_content" in part.data:
        # The signature of the thought that led to a call, without which Gemini 3 refuses the next turn:
        # https://ai.google.dev/gemini-api/docs/thought-signatures
        call["extra_content"] = part.data["extra_content"]
    return call


def _content(message: Message) -> str | list[dict[str, Any]]:
    """Plain text where there is nothing else: many servers take no list."""
    if all(part.type == "text" for part in message.parts):
        return message.text
    return [_content_part(part.type, part.text, part.data) for part in message.parts]


def _content_part(type: str, text: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if type == "text":
        return {"type": "text", "text": text}
    if type == "image" and data.get("url"):
        return {"type": "image_url", "image_url": {"url": data["url"]}}
    raise unsendable(type)
