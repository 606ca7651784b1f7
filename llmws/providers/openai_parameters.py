"""Says how a model of the OpenAI chat completions wire shall answer, in the words of its server; pure.

A wish that the server has no word for is dropped, or given as the nearest it knows, and in both cases told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..messages import Parameters, StreamEvent, Tool
from .base import CompletionRequest, changed, dropped
from .json_schema import is_strict
from .openai_quirks import Dialect, Quirks

_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 24_576}
_ORDER = ("minimal", "low", "medium", "high", "max")


def parameters(request: CompletionRequest, quirks: Quirks, told: list[StreamEvent]) -> dict[str, Any]:
    """The fields of the body beside the messages; warnings are appended to `told`."""
    dialect = quirks.of(request.model)
    return {
        **_tools(request, quirks, told),
        **_format(request, quirks, told),
        **_sampling(request.parameters, quirks, dialect, told),
        **_reasoning(request.parameters.reasoning_effort, quirks, dialect, told),
    }


def at_once(request: CompletionRequest, quirks: Quirks) -> bool:
    """Whether the whole answer is asked for in one piece: it costs a fiftieth of the time to read."""
    return request.at_once and quirks.answers_at_once


def instruction(request: CompletionRequest, quirks: Quirks) -> str:
    """What a model that cannot be held to a schema is told in words instead; a server that knows ``json_object`` wants
    to read the word JSON somewhere.
    """
    if request.schema is None or quirks.json_schema == "schema":
        return ""
    return f"Answer with JSON alone, which follows this schema: {json.dumps(request.schema, ensure_ascii=False)}"


def _sampling(wanted: Parameters, quirks: Quirks, dialect: Dialect, told: list[StreamEvent]) -> dict[str, Any]:
    wishes = {name: getattr(wanted, name) for name in ("temperature", "top_p", "seed")}
    wishes["stop"] = list(wanted.stop) or None
    wishes = {name: value for name, value in wishes.items() if value is not None}
    for name in [name for name in wishes if name in (*quirks.refuses, *dialect.refuses)]:
        told.append(dropped(name, "this model does not take it"))
        del wishes[name]
    if wishes.get("temperature", 0.0) > quirks.highest_temperature:
        wishes["temperature"] = quirks.highest_temperature
        told.append(
            changed("temperature", f"The temperature was lowered to {quirks.highest_temperature:g}, the highest")
        )
    if wanted.max_tokens is not None:
        wishes[quirks.max_tokens] = wanted.max_tokens
    return wishes


def _reasoning(effort: str | None, quirks: Quirks, dialect: Dialect, told: list[StreamEvent]) -> dict[str, Any]:
    manner = dialect.reasoning_effort or quirks.reasoning_effort
    if effort is None:
        return {}
    if manner == "unsupported":
        told.append(dropped("reasoning_effort", "this provider does not know it"))
        return {}
    if effort == "none" and dialect.always_reasons:
        effort = dialect.efforts[0]
        told.append(changed("reasoning_effort", f"This model always reasons; it was asked for the effort {effort!r}"))
    elif effort != "none" and manner == "switch":
        told.append(changed("reasoning_effort", "The reasoning was switched on: it knows no degrees here"))
    elif effort != "none" and effort not in dialect.efforts:
        nearest = _nearest(effort, dialect.efforts)
        told.append(changed("reasoning_effort", f"The reasoning effort is {nearest!r}: the model has no {effort!r}"))
        effort = nearest
    return _effort(effort, manner, always=dialect.always_reasons)


def _nearest(effort: str, known: tuple[str, ...]) -> str:
    """The next of the `known` efforts that is more, or the most there is."""
    more = _ORDER[_ORDER.index(effort) :]
    return next((word for word in more if word in known), known[-1])


def _effort(effort: str, manner: str, *, always: bool) -> dict[str, Any]:
    thinks = effort != "none"
    word = {"reasoning_effort": effort} if thinks else {}
    switch = {} if always else {"thinking": {"type": "enabled" if thinks else "disabled"}}
    match manner:
        case "thinking":
            return {**switch, **word}
        case "switch":
            return switch
        case "enable_thinking":
            budget = {"thinking_budget": _BUDGETS.get(effort, _BUDGETS["high"])} if thinks else {}
            return ({} if always else {"enable_thinking": thinks}) | budget
        case "chat_template_kwargs":
            return {"chat_template_kwargs": {"enable_thinking": thinks}, **word}
        case "reasoning":
            return {"reasoning": {"effort": effort}}
    return {"reasoning_effort": effort}


def _tools(request: CompletionRequest, quirks: Quirks, told: list[StreamEvent]) -> dict[str, Any]:
    if not request.tools:
        return {}
    choice = request.tool_choice
    kind = choice if choice in (None, "auto", "none", "required") else "name"
    if kind == "none" and kind not in quirks.tool_choices:
        return {}  # a model that has no tools calls none
    if kind is not None and kind not in quirks.tool_choices:
        told.append(changed("tool_choice", "The model itself chooses whether to call a tool: it cannot be told to"))
        choice, kind = "auto", "auto"
    body: dict[str, Any] = {"tools": [{"type": "function", "function": _function(tool)} for tool in request.tools]}
    if quirks.tool_stream and not at_once(request, quirks):
        body["tool_stream"] = True
    if kind == "name":
        body["tool_choice"] = {"type": "function", "function": {"name": choice}}
    elif kind is not None:
        body["tool_choice"] = choice
    return body


def _function(tool: Tool) -> dict[str, Any]:
    about = {"description": tool.description} if tool.description else {}
    # Some servers refuse a schema without a type or properties.
    return {"name": tool.name, **about, "parameters": {"type": "object", "properties": {}, **tool.parameters}}


def _format(request: CompletionRequest, quirks: Quirks, told: list[StreamEvent]) -> dict[str, Mapping[str, Any]]:
    if request.schema is None:
        return {}
    if quirks.json_schema == "schema":
        named = {"name": "answer", "schema": dict(request.schema), "strict": is_strict(request.schema)}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    told.append(changed("schema", "The schema was passed on in words: this provider holds no model to one"))
    return {"response_format": {"type": "json_object"}} if quirks.json_schema == "object" else {}
