"""Makes the body of a request on the Anthropic messages wire; pure. What models do differently is a `Dialect`.

The wire holds the system prompt apart, wants a limit for every answer, takes the results of tools as a user's turn, and
gets back what a model thought verbatim, signed and in order, or not at all: see
https://platform.claude.com/docs/en/api/messages and https://platform.claude.com/docs/en/build-with-claude/thinking.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

from ..messages import Message, Parameters, Part, StreamEvent, Tool
from .base import CompletionRequest, changed, dropped, invalid, unsendable
from .json_schema import closed

WIRE = "anthropic_messages"

# What `extra` must not say: it would name another model than the one that is metered, or change the wire.
_RESERVED = frozenset({"model", "messages", "stream"})
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 24_576}
_LEAST_BUDGET = 1_024


@dataclass(frozen=True, slots=True)
class Dialect:
    """What some models of this wire do; the defaults are those of an unknown one.

    Args:
        models: patterns of their ids.
        thinking: they decide how much they think and are told an effort, or they are given a budget of tokens, or they
            do not think.
        always_thinks: that cannot be switched off.
        sampling: they take ``temperature`` and ``top_p``.
        json_schema: they can be held to a schema.
        max_tokens: the limit of an answer where none is asked for; at most what the model can write.
    """

    models: tuple[str, ...] = ("*",)
    thinking: Literal["adaptive", "budget", "never"] = "budget"
    always_thinks: bool = False
    sampling: bool = True
    json_schema: bool = True
    max_tokens: int = 8_192


@dataclass(frozen=True, slots=True)
class AnthropicQuirks:
    """What a server of this wire does differently: the dialects of its models, of which the first that fits counts."""

    dialects: tuple[Dialect, ...] = ()

    def of(self, model: str) -> Dialect:
        name = model.lower()
        return next((it for it in self.dialects if any(fnmatch(name, pattern) for pattern in it.models)), Dialect())


def translate(request: CompletionRequest, dialect: Dialect) -> tuple[dict[str, Any], list[StreamEvent]]:
    """The JSON to post, and what must be told: that a wish was not passed on, or how it was changed.

    Example:
        >>> translate(CompletionRequest("m", (Message.user("Hi"),)), Dialect(max_tokens=64))[0]["max_tokens"]
        64
    """
    if reserved := _RESERVED & set(request.parameters.extra):
        raise invalid(f"The parameter {min(reserved)!r} cannot be set by hand.", "Leave it out.")
    told: list[StreamEvent] = []
    limit = dialect.max_tokens if request.parameters.max_tokens is None else request.parameters.max_tokens
    body: dict[str, Any] = {"model": request.model, "max_tokens": limit, "stream": True}
    if system := "\n\n".join(message.text for message in request.messages if message.role == "system"):
        body["system"] = system
    body["messages"] = _turns(request.messages)
    body |= _tools(request)
    thinking = _thinking(request, dialect, limit, told)
    if request.schema is not None and dialect.json_schema:
        thinking.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": closed(request.schema)}
    elif request.schema is not None:
        told.append(dropped("schema", "this model cannot be held to one"))
    body |= thinking | _sampling(request.parameters, dialect, bool(thinking.get("thinking")), told)
    return body | dict(request.parameters.extra), told


# Parameters


def _thinking(request: CompletionRequest, dialect: Dialect, limit: int, told: list[StreamEvent]) -> dict[str, Any]:
    effort = request.parameters.reasoning_effort
    if "thinking" in request.parameters.extra or (effort is None and not dialect.always_thinks):
        return {}
    if dialect.thinking == "never":
        if effort != "none":
            told.append(dropped("reasoning_effort", "this model does not think"))
        return {}
    if effort == "none" and not dialect.always_thinks:
        return {"thinking": {"type": "disabled"}} if dialect.thinking == "adaptive" else {}
    if request.tools and request.tool_choice not in (None, "auto", "none"):
        # https://platform.claude.com/docs/en/build-with-claude/extended-thinking#extended-thinking-with-tool-use
        if effort is not None:
            told.append(dropped("reasoning_effort", "a model that must call a tool does not think before"))
        return {}
    if dialect.thinking == "budget":
        return _budget(request, effort or "low", limit, told)
    if effort == "none":
        told.append(changed("reasoning_effort", "This model always thinks; it was asked to think little"))
        effort = "low"
    # Newer models leave out what they thought unless they are asked for it.
    thinking: dict[str, Any] = {"thinking": {"type": "adaptive", "display": "summarized"}}
    return thinking | ({"output_config": {"effort": effort}} if effort else {})


def _budget(request: CompletionRequest, effort: str, limit: int, told: list[StreamEvent]) -> dict[str, Any]:
    budget = min(_BUDGETS[effort], limit - _LEAST_BUDGET)
    if budget < _LEAST_BUDGET:
        told.append(dropped("reasoning_effort", f"max_tokens leaves no room for the {_LEAST_BUDGET:,} tokens it needs"))
        return {}
    if _goes_on_unsigned(request.messages):
        # Refused: with a budget, a turn that calls tools must begin with the thought that led to it.
        told.append(dropped("reasoning_effort", "the turn that goes on here was begun without it"))
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _goes_on_unsigned(messages: Sequence[Message]) -> bool:
    """Whether a model that has called tools is to go on, and began that without a thought that can be given back."""
    if not messages or messages[-1].role != "tool":
        return False
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    return last is not None and not any(_is_ours(part) for part in last.parts)


def _sampling(parameters: Parameters, dialect: Dialect, thinks: bool, told: list[StreamEvent]) -> dict[str, Any]:
    asked = {"temperature": parameters.temperature, "top_p": parameters.top_p}
    wanted = {name: value for name, value in asked.items() if value is not None}
    if wanted and (thinks or not dialect.sampling):
        why = "a model that thinks does not take it" if thinks else "this model does not take it"
        told.extend(dropped(name, why) for name in wanted)
        wanted = {}
    if len(wanted) == 2:
        # Refused together since Claude 4.1: https://platform.claude.com/docs/en/about-claude/models/migration-guide
        told.append(dropped("top_p", "this provider takes it or the temperature, not both"))
        del wanted["top_p"]
    if wanted.get("temperature", 0) > 1:
        told.append(changed("temperature", "The temperature was lowered to 1, the highest of this provider"))
        wanted["temperature"] = 1
    if parameters.seed is not None:
        told.append(dropped("seed", "this provider does not know it"))
    stop = [text for text in parameters.stop if text.strip()]
    if len(stop) < len(parameters.stop):
        told.append(dropped("stop", "this provider does not stop at blank space"))
    return wanted | ({"stop_sequences": stop} if stop else {})


def _tools(request: CompletionRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    told: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    match request.tool_choice:
        case None:
            pass
        case "auto" | "none":
            told["tool_choice"] = {"type": request.tool_choice}
        case "required":
            told["tool_choice"] = {"type": "any"}
        case name:
            told["tool_choice"] = {"type": "tool", "name": name}
    return told


def _tool(tool: Tool) -> dict[str, Any]:
    about = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **about, "input_schema": {"type": "object", **tool.parameters}}


# Turns


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Turns of user and assistant, neighbours of one role joined: all results of tools belong into one turn."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = list(_said(message) if role == "assistant" else _asked(message))
        # A turn that ends with a thought is refused: https://github.com/tailcallhq/forgecode/issues/2107
        while blocks and blocks[-1]["type"] in ("thinking", "redacted_thinking"):
            blocks.pop()
        if not blocks:
            continue  # an answer that failed before its first word
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _asked(message: Message) -> Iterator[dict[str, Any]]:
    for part in message.parts:
        if message.role == "tool":
            failed = {"is_error": True} if part.data.get("is_error") else {}
            result = {"type": "tool_result", "tool_use_id": part.data.get("id", ""), "content": part.text, **failed}
            yield _cached(part, result)
        elif part.type == "text":
            if part.text.strip():  # a blank block is refused
                yield _cached(part, {"type": "text", "text": part.text})
        elif part.type == "image" and part.data.get("url"):
            yield _cached(part, {"type": "image", "source": _source(str(part.data["url"]))})
        else:
            raise unsendable(part.type)


def _cached(part: Part, block: dict[str, Any]) -> dict[str, Any]:
    """`block`, and that the prompt is to be cached up to here, where whoever asks on this wire said so."""
    cached = part.data.get("cache_control")
    return {**block, "cache_control": cached} if cached else block


def _source(url: str) -> dict[str, str]:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    kind, _, data = url.removeprefix("data:").partition(",")
    if not kind.endswith(";base64"):
        raise invalid("An image is not in base64.", "Write it as data:image/png;base64,…")
    return {"type": "base64", "media_type": kind.split(";")[0], "data": data}


def _said(message: Message) -> Iterator[dict[str, Any]]:
    thought = ""
    for part in message.parts:
        match part.type:
            case "reasoning":
                thought += part.text
                if _is_ours(part):
                    yield _thought(thought, part.data)
                    thought = ""
            case "text":
                thought = ""  # unsigned: another wire's, or broken off
                if part.text.strip():
                    yield _cached(part, {"type": "text", "text": part.text})
            case "tool_call":
                thought = ""
                arguments = _input(part.data.get("arguments") or "{}")
                call = {"type": "tool_use", "id": part.data.get("id", ""), "name": part.data.get("name", "")}
                yield _cached(part, {**call, "input": arguments})


def _is_ours(part: Part) -> bool:
    return part.type == "reasoning" and part.data.get("wire") == WIRE


def _thought(text: str, mark: Mapping[str, Any]) -> dict[str, Any]:
    if "redacted" in mark:
        return {"type": "redacted_thinking", "data": mark["redacted"]}
    return {"type": "thinking", "thinking": text, "signature": mark.get("signature", "")}


def _input(arguments: str) -> dict[str, Any]:
    """The arguments of a call as the object that the wire wants; what is none is kept in words."""
    try:
        told = json.loads(arguments)
    except (ValueError, RecursionError):
        told = None
    return told if isinstance(told, dict) else {"arguments": arguments}
