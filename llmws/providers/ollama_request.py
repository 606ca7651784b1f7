"""Makes the body of a request on Ollama's own wire (https://docs.ollama.com/api/chat); pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..messages import Message, Parameters, Part, StreamEvent
from .base import CompletionRequest, changed, dropped, invalid
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


def translate(
    request: CompletionRequest, about: About, window: int | None = None
) -> tuple[dict[str, Any], list[StreamEvent]]:
    """The JSON to post to ``/api/chat``, and what must be told: what was not passed on, or changed, or does not fit.

    Args:
        about: what the server says of the model.
        window: the ``num_ctx`` to ask for.

    Example:
        >>> translate(CompletionRequest("m", (Message.user("Hi"),)), About())[0]
        {'model': 'm', 'messages': [{'role': 'user', 'content': 'Hi'}], 'stream': True}
    """
    extra = request.parameters.extra
    if reserved := _RESERVED & set(extra):
        raise invalid(f"The parameter {min(reserved)!r} cannot be set by hand.", "Leave it out.")
    told: list[StreamEvent] = []
    if sentence := overflow(request, about):
        told.append(StreamEvent("warning", text=sentence, data={"code": "truncated"}))
    sees = about.can("vision") is not False
    if not sees and any(part.type == "image" for message in request.messages for part in message.parts):
        data = {"code": "dropped", "parameter": "images"}
        told.append(StreamEvent("warning", text="The images were not passed on: this model does not see.", data=data))
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(_messages(request.messages, sees)),
        "stream": True,
        **_tools(request, told),
        **_think(request.parameters.reasoning_effort, about, told),
    }
    if request.schema is not None:
        body["format"] = dict(request.schema)
    if options := _options(request.parameters, window):
        body["options"] = options
    return body | {name: value for name, value in extra.items() if name in _FIELDS - {"options"}}, told


def asks_for_window(parameters: Parameters) -> bool:
    """Whether a person chose ``num_ctx`` by hand."""
    by_hand = parameters.extra.get("options")
    return "num_ctx" in parameters.extra or (isinstance(by_hand, Mapping) and "num_ctx" in by_hand)


def _tools(request: CompletionRequest, told: list[StreamEvent]) -> dict[str, Any]:
    if not request.tools or request.tool_choice == "none":
        return {}
    if request.tool_choice not in (None, "auto"):
        told.append(changed("tool_choice", "The model itself chooses whether to call a tool: it cannot be told to"))
    functions = (
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": {"type": "object", "properties": {}, **tool.parameters},
        }
        for tool in request.tools
    )
    return {"tools": [{"type": "function", "function": function} for function in functions]}


def _think(effort: str | None, about: About, told: list[StreamEvent]) -> dict[str, Any]:
    """What ``think`` is to say; a value that the model does not know would silently count as none."""
    wanted = False if effort == "none" else effort
    known = about.think
    reasons = about.can("thinking") is not False and known != (False,)
    if effort is None or (wanted is False and not reasons):
        return {}
    if not reasons:
        told.append(dropped("reasoning_effort", "this model does not reason"))
        return {}
    if known is None or any(value is wanted or (value == wanted and value is not True) for value in known):
        return {"think": wanted}
    levels = [level for level in _LEVELS if level in known]
    if levels:
        place = _LEVELS.index(str(wanted)) if wanted else 0
        nearest = min(levels, key=lambda level: abs(_LEVELS.index(level) - place))
        how = f"The reasoning effort is {nearest!r}: the model has no {effort!r}"
        always = f"This model always reasons; it was asked for the effort {nearest!r}"
        told.append(changed("reasoning_effort", how if wanted else always))
        return {"think": nearest}
    if wanted and True in known:
        told.append(changed("reasoning_effort", "The reasoning was switched on: it knows no degrees here"))
        return {"think": True}
    told.append(dropped("reasoning_effort", "this model always reasons"))
    return {}


def _options(parameters: Parameters, window: int | None) -> dict[str, Any]:
    told = {theirs: getattr(parameters, ours) for ours, theirs in _OPTIONS.items()}
    told |= {"stop": list(parameters.stop) or None, "num_ctx": window}
    options = {name: value for name, value in told.items() if value is not None}
    by_hand = parameters.extra.get("options")
    options |= {name: value for name, value in parameters.extra.items() if name not in _FIELDS}
    return options | (dict(by_hand) if isinstance(by_hand, Mapping) else {})


def _messages(messages: tuple[Message, ...], sees: bool) -> Iterator[dict[str, Any]]:
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
                yield _spoken(message, sees)


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


def _spoken(message: Message, sees: bool) -> dict[str, Any]:
    wired: dict[str, Any] = {"role": message.role, "content": message.text}
    for part in message.parts:
        if part.type == "image" and not sees:
            continue  # an old server would pass it over without a word, a new one refuse the whole conversation
        if part.type == "image":
            wired.setdefault("images", []).append(_image(str(part.data.get("url", ""))))
        elif part.type != "text":
            raise invalid(f"A part of the type {part.type!r} cannot be sent to Ollama.", "Send text or images.")
    return wired


def _image(url: str) -> str:
    """The base64 of a ``data:`` address: Ollama fetches nothing."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise invalid("Ollama does not fetch images from an address.", "Attach the image itself.")
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
