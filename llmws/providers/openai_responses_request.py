"""Makes the body of a request on the OpenAI Responses wire; pure. What servers do differently is `ResponsesQuirks`.

Nothing is kept at the server (``store: false``), so what a model reasoned comes encrypted and goes back with the tool
call that it led to. https://platform.openai.com/docs/guides/reasoning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from ..errors import ProviderError
from ..messages import Message, Part
from .base import CompletionRequest
from .json_schema import is_strict

WIRE = "openai_responses"

# What `extra` must not say: it would name another model than the one that is metered, or change the wire.
_RESERVED = frozenset({"model", "input", "stream", "stream_options", "store", "background", "previous_response_id"})
# The answers of these ended before their time, perhaps between a thought and what it led to.
_BROKEN = ("error", "cancelled", "interrupted")


@dataclass(frozen=True, slots=True)
class ResponsesQuirks:
    """What a server of this wire does differently.

    Args:
        reasons: patterns of the ids of models that reason. Only these take ``reasoning`` and give it encrypted; unless
            they are told not to reason, they refuse ``temperature`` and ``top_p``. Empty where nobody can say: then
            what is asked for is passed on.
        always_reasons: patterns of those among them that cannot be told not to.
        least_output: the smallest ``max_output_tokens`` that it accepts.
    """

    reasons: tuple[str, ...] = ()
    always_reasons: tuple[str, ...] = ()
    least_output: int = 0


def request_body(request: CompletionRequest, quirks: ResponsesQuirks) -> dict[str, Any]:
    """The JSON to post.

    Example:
        >>> request_body(CompletionRequest("m", (Message.user("Hi"),)), ResponsesQuirks())["input"]
        [{'role': 'user', 'content': 'Hi'}]
    """
    if reserved := _RESERVED & set(request.parameters.extra):
        raise _invalid(f"The parameter {min(reserved)!r} cannot be set by hand.", "Leave it out.")
    body: dict[str, Any] = {
        "model": request.model,
        "input": [item for message in request.messages for item in _items(message)],
        "stream": True,
        "store": False,
    }
    return body | _tools(request) | _parameters(request, quirks) | dict(request.parameters.extra)


def unheard(request: CompletionRequest, quirks: ResponsesQuirks) -> Iterator[str]:
    """What was asked for and cannot be passed on as it is, a sentence each."""
    parameters, plan = request.parameters, _plan(request, quirks)
    if parameters.stop:
        yield "The stop sequences were not passed on: this wire has none."
    if parameters.seed is not None:
        yield "The seed was not passed on: this wire has none."
    if not plan.samples and (parameters.temperature is not None or parameters.top_p is not None):
        yield "Temperature and top_p were not passed on: a model that reasons refuses them."
    if parameters.reasoning_effort not in (None, "none", plan.effort):
        yield "The reasoning effort was not passed on: the model does not reason."
    if parameters.reasoning_effort == "none" and plan.effort not in (None, "none"):
        yield f"The model cannot be told not to reason: its effort is {plan.effort!r}."
    if parameters.max_tokens is not None and parameters.max_tokens < quirks.least_output:
        yield f"The answer may have {quirks.least_output} tokens: this provider accepts no smaller limit."


@dataclass(frozen=True, slots=True)
class _Plan:
    """Whether the model reasons (None: nobody knows), how much it is asked to, and whether it may be sampled."""

    reasons: bool | None
    effort: str | None
    samples: bool


def _plan(request: CompletionRequest, quirks: ResponsesQuirks) -> _Plan:
    effort = request.parameters.reasoning_effort
    if not quirks.reasons:
        return _Plan(None, effort, True)
    if not _matches(request.model, quirks.reasons):
        return _Plan(False, None, True)
    if effort == "none" and _matches(request.model, quirks.always_reasons):
        return _Plan(True, "low", False)
    return _Plan(True, effort, effort == "none")


def _matches(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(model.lower(), pattern) for pattern in patterns)


def _parameters(request: CompletionRequest, quirks: ResponsesQuirks) -> dict[str, Any]:
    parameters, plan = request.parameters, _plan(request, quirks)
    told: dict[str, Any] = {}
    if plan.samples:
        told |= {"temperature": parameters.temperature, "top_p": parameters.top_p}
    if parameters.max_tokens is not None:
        told["max_output_tokens"] = max(parameters.max_tokens, quirks.least_output)
    if plan.reasons:
        told["include"] = ["reasoning.encrypted_content"]
    if plan.effort == "none":
        told["reasoning"] = {"effort": "none"}
    elif plan.reasons or plan.effort is not None:
        told["reasoning"] = {"effort": plan.effort, "summary": "auto"} if plan.effort else {"summary": "auto"}
    return {name: value for name, value in told.items() if value is not None}


def _tools(request: CompletionRequest) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if request.tools:
        # Strict where nothing is said, which would refuse a schema with an optional argument.
        told["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": {"type": "object", "properties": {}, **tool.parameters},
                "strict": False,
            }
            for tool in request.tools
        ]
    match request.tool_choice:
        case None:
            pass
        case "auto" | "none" | "required":
            told["tool_choice"] = request.tool_choice
        case name:
            told["tool_choice"] = {"type": "function", "name": name}
    if request.schema is not None:
        schema = dict(request.schema)
        told["text"] = {
            "format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": is_strict(schema)}
        }
    return told


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """The wire's items for one of our messages: none for an assistant who said nothing, one for each tool's result."""
    match message.role:
        case "tool":
            for part in message.parts:
                yield {"type": "function_call_output", "call_id": part.data.get("id", ""), "output": part.text}
        case "assistant":
            yield from _assistant(message)
        case _:
            yield {"role": message.role, "content": _content(message)}


def _assistant(message: Message) -> list[dict[str, Any]]:
    """What was said, called and reasoned, in its order.

    A reasoning item whose following item is missing is refused (400), so it waits for that; of several in a row only
    the last has it.
    """
    items: list[dict[str, Any]] = []
    thought: dict[str, Any] | None = None
    for part in message.parts:
        if part.type == "reasoning":
            thought = _thought(part) or thought
        elif item := _said(part):
            if thought is not None and message.finish_reason not in _BROKEN:
                items.append(thought)
            thought = None
            if items and "content" in item and "content" in items[-1]:
                items[-1]["content"] += item["content"]  # a citation stood between
            else:
                items.append(item)
    return items


def _thought(part: Part) -> dict[str, Any] | None:
    """The item of a mark that this wire made; the summary that was shown is not wanted back."""
    if part.data.get("wire") != WIRE or not part.data.get("encrypted"):
        return None
    return {
        "type": "reasoning",
        "id": part.data.get("id", ""),
        "summary": [],
        "encrypted_content": part.data["encrypted"],
    }


def _said(part: Part) -> dict[str, Any] | None:
    if part.type == "tool_call":
        return {
            "type": "function_call",
            "call_id": part.data.get("id", ""),
            "name": part.data.get("name", ""),
            "arguments": part.data.get("arguments") or "{}",
        }
    if part.type == "text" and part.text:
        return {"type": "message", "role": "assistant", "content": part.text}
    return None


def _content(message: Message) -> str | list[dict[str, Any]]:
    if all(part.type == "text" for part in message.parts):
        return message.text
    return [_content_part(part.type, part.text, part.data) for part in message.parts]


def _content_part(type: str, text: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if type == "text":
        return {"type": "input_text", "text": text}
    if type == "image" and data.get("url"):
        return {"type": "input_image", "image_url": data["url"], "detail": "auto"}
    raise _invalid(
        f"A part of the type {type!r} cannot be sent to this provider.", "Send text, or images with an address."
    )


def _invalid(message: str, remedy: str) -> ProviderError:
    return ProviderError(message, remedy=remedy, code="provider_invalid")
