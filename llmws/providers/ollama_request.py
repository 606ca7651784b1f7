"""Makes the body of a request on Ollama's own wire (https://docs.ollama.com/api/chat); pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ProviderError
from ..messages import Message, Parameters, Part
from .base import CompletionRequest
from .ollama_context import overflow
from .ollama_models import About

# What `extra` must not say: it would name another model than the one that is metered, or change the wire.
_RESERVED = frozenset({"model", "messages", "stream"})
# The other fields of a request; whatever else `extra` says is an option of the model.
_FIELDS = frozenset(
    {"format", "keep_alive", "logprobs", "options", "shift", "think", "tools", "top_logprobs", "truncate"}
)
_OPTIONS = {"temperature": "temperature", "top_p": "top_p", "seed": "seed", "max_tokens": "num_predict"}
_LEVELS = ("low", "medium", "high", "max")

_ANY_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


def request_body(request: CompletionRequest, about: About, window: int | None = None) -> dict[str, Any]:
    """The JSON to post to ``/api/chat``.

    Args:
        about: what the server says of the model.
        window: the ``num_ctx`` to ask for.

    Example:
        >>> request_body(CompletionRequest("m", (Message.user("Hi"),)), About())
        {'model': 'm', 'messages': [{'role': 'user', 'content': 'Hi'}], 'stream': True}
    """
    extra = request.parameters.extra
    if reserved := _RESERVED & set(extra):
        raise _invalid(f"The parameter {min(reserved)!r} cannot be set by hand.", "Leave it out.")
    body: dict[str, Any] = {"model": request.model, "messages": list(_messages(request.messages)), "stream": True}
    if request.tools and request.tool_choice != "none":
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": {**_ANY_ARGUMENTS, **tool.parameters},
                },
            }
            for tool in request.tools
        ]
    if request.schema is not None:
        body["format"] = dict(request.schema)
    if (think := _think(request.parameters.reasoning_effort, about)) is not None:
        body["think"] = think
    if options := _options(request.parameters, window):
        body["options"] = options
    return body | {name: value for name, value in extra.items() if name in _FIELDS - {"options"}}


def unheard(request: CompletionRequest, about: About) -> Iterator[str]:
    """What was asked for and cannot be, a sentence each."""
    if sentence := overflow(request, about):
        yield sentence
    if request.tools and request.tool_choice not in (None, "auto", "none"):
        yield "The choice of a tool was not passed on: with Ollama the model chooses."
    effort = request.parameters.reasoning_effort
    think = _think(effort, about)
    if effort is None or think == effort or (effort == "none" and think is False):
        return
    if think is None:
        if effort != "none":
            yield "The reasoning effort was not passed on: the model does not reason."
        elif about.think and about.think != (False,):
            yield "The model reasons all the same: it cannot be told not to."
    elif effort == "none":
        yield f"The model cannot be told not to reason: its effort is {think!r}."
    elif think is True:
        yield "The model reasons as much as it does: it knows no degrees of effort."
    else:
        yield f"The reasoning effort is {think!r}: the model knows no {effort!r}."


def asks_for_window(parameters: Parameters) -> bool:
    """Whether a person chose ``num_ctx`` by hand."""
    by_hand = parameters.extra.get("options")
    return "num_ctx" in parameters.extra or (isinstance(by_hand, Mapping) and "num_ctx" in by_hand)


def _think(effort: str | None, about: About) -> bool | str | None:
    """What ``think`` is to say, None to say nothing; a value that the model does not know would silently be none."""
    if effort is None or about.can("thinking") is False:
        return None
    wanted = False if effort == "none" else effort
    if about.think is None or any(value == wanted and type(value) is type(wanted) for value in about.think):
        return wanted
    levels = [level for level in _LEVELS if level in about.think]
    if levels:
        place = 0 if effort == "none" else _LEVELS.index(effort)
        return min(levels, key=lambda level: abs(_LEVELS.index(level) - place))
    return True if wanted and True in about.think else None


def _options(parameters: Parameters, window: int | None) -> dict[str, Any]:
    told = {theirs: getattr(parameters, ours) for ours, theirs in _OPTIONS.items()}
    told |= {"stop": list(parameters.stop) or None, "num_ctx": window}
    options = {name: value for name, value in told.items() if value is not None}
    by_hand = parameters.extra.get("options")
    options |= {name: value for name, value in parameters.extra.items() if name not in _FIELDS}
    return options | (dict(by_hand) if isinstance(by_hand, Mapping) else {})


def _messages(messages: tuple[Message, ...]) -> Iterator[dict[str, Any]]:
    """The wire's messages: none for an assistant who said nothing, one for each tool's result."""
    names: dict[str, str] = {}
    for message in messages:
        match message.role:
            case "tool":
                for part in message.parts:
                    known = str(part.data.get("id", ""))
                    named = {"tool_name": names[known]} if known in names else {}
                    yield {"role": "tool", "content": part.text, **named, "tool_call_id": known}
            case "assistant":
                names |= {part.data.get("id", ""): part.data.get("name", "") for part in _calls(message)}
                yield from _assistant(message)
            case _:
                yield _spoken(message)


def _assistant(message: Message) -> Iterator[dict[str, Any]]:
    calls = [
        {
            "id": part.data.get("id", ""),
            "function": {"name": part.data.get("name", ""), "arguments": _arguments(part)},
        }
        for part in _calls(message)
    ]
    if not message.text and not calls:
        return  # an answer that failed before its first word
    wired: dict[str, Any] = {"role": "assistant", "content": message.text}
    if calls:
        # The templates of models that reason between their calls want to see it again.
        wired |= {"thinking": message.reasoning} if message.reasoning else {}
        wired["tool_calls"] = calls
    yield wired


def _spoken(message: Message) -> dict[str, Any]:
    wired: dict[str, Any] = {"role": message.role, "content": message.text}
    for part in message.parts:
        if part.type == "image":
            wired.setdefault("images", []).append(_image(str(part.data.get("url", ""))))
        elif part.type != "text":
            raise _invalid(f"A part of the type {part.type!r} cannot be sent to Ollama.", "Send text or images.")
    return wired


def _image(url: str) -> str:
    """The base64 of a ``data:`` address: Ollama fetches nothing."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise _invalid("Ollama does not fetch images from an address.", "Attach the image itself.")
    return data


def _calls(message: Message) -> list[Part]:
    return [part for part in message.parts if part.type == "tool_call"]


def _arguments(part: Part) -> dict[str, Any]:
    """Always an object here; what another model wrote may be no JSON."""
    try:
        arguments = json.loads(part.data.get("arguments") or "{}")
    except (ValueError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) else {}


def _invalid(message: str, remedy: str) -> ProviderError:
    return ProviderError(message, remedy=remedy, code="provider_invalid")
