"""Makes the body of a request on the OpenAI chat completions wire; pure. What servers do differently is `Quirks`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ProviderError
from ..messages import Message, Parameters, Part, Tool
from .base import CompletionRequest

# What `extra` must not say: it would name another model than the one that is metered, or change the wire.
_RESERVED = frozenset({"model", "messages", "stream", "stream_options"})


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a server of this wire does differently.

    Args:
        include_usage: it understands ``stream_options``.
        max_tokens: its name for the limit of an answer.
        reasoning_effort: how it is told to think: by the field of that name, by ``thinking`` beside it (DeepSeek), by
            ``chat_template_kwargs`` beside it (open weights), or not at all.
        replay_reasoning: which of the assistant's turns go back with their reasoning: none, or those with tool calls.
        opens_in_reasoning: patterns of model ids whose stream begins inside the reasoning (see `reasoning`).
        answers_at_once: it answers without streaming, too, whatever the model.
    """

    include_usage: bool = True
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    reasoning_effort: Literal["field", "thinking", "chat_template_kwargs", "unsupported"] = "field"
    replay_reasoning: Literal["never", "tool_calls"] = "never"
    opens_in_reasoning: tuple[str, ...] = ()
    answers_at_once: bool = True


def request_body(request: CompletionRequest, quirks: Quirks) -> dict[str, Any]:
    """The JSON to post.

    Example:
        >>> request_body(CompletionRequest("m", (Message.user("Hi"),)), Quirks(include_usage=False))
        {'model': 'm', 'messages': [{'role': 'user', 'content': 'Hi'}], 'stream': True}
    """
    if reserved := _RESERVED & set(request.parameters.extra):
        raise _invalid(f"The parameter {min(reserved)!r} cannot be set by hand.", "Leave it out.")
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [wired for message in request.messages for wired in _wire(message, quirks)],
        "stream": not at_once(request, quirks),
    }
    if body["stream"] and quirks.include_usage:
        body["stream_options"] = {"include_usage": True}
    return body | _tools(request) | _parameters(request.parameters, quirks) | dict(request.parameters.extra)


def at_once(request: CompletionRequest, quirks: Quirks) -> bool:
    """Whether the whole answer is asked for in one piece: it costs a fiftieth of the time to read."""
    return request.at_once and quirks.answers_at_once


def unheard(request: CompletionRequest, quirks: Quirks) -> Iterator[str]:
    """What was asked for and cannot be passed on, a sentence each."""
    if request.parameters.reasoning_effort is not None and quirks.reasoning_effort == "unsupported":
        yield "The reasoning effort was not passed on: this provider does not know it."


def _tools(request: CompletionRequest) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if request.tools:
        told["tools"] = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    match request.tool_choice:
        case None:
            pass
        case "auto" | "none" | "required":
            told["tool_choice"] = request.tool_choice
        case name:
            told["tool_choice"] = {"type": "function", "function": {"name": name}}
    if request.schema is not None:
        told["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(request.schema), "strict": True},
        }
    return told


def _function(tool: Tool) -> dict[str, Any]:
    told = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {name: value for name, value in told.items() if value}


def _parameters(parameters: Parameters, quirks: Quirks) -> dict[str, Any]:
    told = {name: getattr(parameters, name) for name in ("temperature", "top_p", "seed")}
    told[quirks.max_tokens] = parameters.max_tokens
    told["stop"] = list(parameters.stop) or None
    effort = parameters.reasoning_effort
    if effort is not None:
        told |= _effort(effort, quirks.reasoning_effort)
    return {name: value for name, value in told.items() if value is not None}


def _effort(effort: str, manner: str) -> dict[str, Any]:
    thinks = effort != "none"
    match manner:
        case "field":
            return {"reasoning_effort": effort}
        case "thinking":
            return {
                "thinking": {"type": "enabled" if thinks else "disabled"},
                "reasoning_effort": effort if thinks else None,
            }
        case "chat_template_kwargs":
            return {"chat_template_kwargs": {"enable_thinking": thinks}, "reasoning_effort": effort if thinks else None}
    return {}


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
    calls = [_call(part) for part in message.parts if part.type == "tool_call"]
    if not message.text and not calls:
        return  # an answer that failed before its first word; some servers refuse an empty turn
    wired: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if calls:
        wired["tool_calls"] = calls
        if quirks.replay_reasoning == "tool_calls":
            # DeepSeek refuses a turn with tool calls whose reasoning is missing or empty, also one that another model
            # wrote without any: https://github.com/BerriAI/litellm/issues/27439
            wired["reasoning_content"] = message.reasoning or " "
    yield wired


def _call(part: Part) -> dict[str, Any]:
    function = {"name": part.data.get("name", ""), "arguments": part.data.get("arguments") or "{}"}
    return {"id": part.data.get("id", ""), "type": "function", "function": function}


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
    raise _invalid(
        f"A part of the type {type!r} cannot be sent to this provider.", "Send text, or images with an address."
    )


def _invalid(message: str, remedy: str) -> ProviderError:
    return ProviderError(message, remedy=remedy, code="provider_invalid")
