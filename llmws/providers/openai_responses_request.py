"""Makes the body of a request on the OpenAI Responses wire; pure. What servers do differently is `ResponsesQuirks`.

Nothing is kept at the server (``store: false``), so what a model reasoned comes encrypted and goes back with the tool
call that it led to. https://platform.openai.com/docs/guides/reasoning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..messages import Message, Parameters, Part, StreamEvent
from .base import CompletionRequest, changed, dropped, invalid, unsendable
from .json_schema import is_strict
from .openai_quirks import matches

WIRE = "openai_responses"

# What `extra` must not say: it would name another model than the one that is metered, change the wire, or bring in what
# the vendor keeps of somebody else's: a key may be shared.
_KEPT = frozenset({"store", "background", "previous_response_id", "conversation", "prompt"})
_RESERVED = frozenset({"model", "input", "stream", "stream_options"}) | _KEPT
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


def translate(request: CompletionRequest, quirks: ResponsesQuirks) -> tuple[dict[str, Any], list[StreamEvent]]:
    """The JSON to post, and what must be told: that a wish was not passed on, or how it was changed.

    Example:
        >>> translate(CompletionRequest("m", (Message.user("Hi"),)), ResponsesQuirks())[0]["input"]
        [{'role': 'user', 'content': 'Hi'}]
    """
    if reserved := _RESERVED & set(request.parameters.extra):
        raise invalid(f"The parameter {min(reserved)!r} cannot be set by hand.", "Leave it out.")
    told: list[StreamEvent] = []
    plan = _plan(request, quirks, told)
    body: dict[str, Any] = {
        "model": request.model,
        "input": [item for message in request.messages for item in _items(message)],
        "stream": True,
        "store": False,
        **_tools(request),
        **_sampling(request.parameters, plan, quirks, told),
        **_reasoning(plan),
    }
    return body | dict(request.parameters.extra), told


@dataclass(frozen=True, slots=True)
class _Plan:
    """Whether the model reasons (None: nobody knows), how much it is asked to, and whether it may be sampled."""

    reasons: bool | None
    effort: str | None
    samples: bool


def _plan(request: CompletionRequest, quirks: ResponsesQuirks, told: list[StreamEvent]) -> _Plan:
    effort = request.parameters.reasoning_effort
    if not quirks.reasons:
        return _Plan(None, effort, True)
    if not matches(request.model, quirks.reasons):
        if effort not in (None, "none"):
            told.append(dropped("reasoning_effort", "this model does not reason"))
        return _Plan(False, None, True)
    if effort == "none" and matches(request.model, quirks.always_reasons):
        told.append(changed("reasoning_effort", "This model always reasons; it was asked for the effort 'low'"))
        return _Plan(True, "low", False)
    return _Plan(True, effort, effort == "none")


def _sampling(parameters: Parameters, plan: _Plan, quirks: ResponsesQuirks, told: list[StreamEvent]) -> dict[str, Any]:
    wishes = {name: getattr(parameters, name) for name in ("temperature", "top_p", "seed")}
    wishes["stop"] = parameters.stop or None
    wishes = {name: value for name, value in wishes.items() if value is not None}
    refused = {"stop": "this wire has no stop sequences", "seed": "this wire has no seed"}
    if not plan.samples:
        refused |= dict.fromkeys(("temperature", "top_p"), "a model that reasons does not take it")
    for name in [name for name in wishes if name in refused]:
        told.append(dropped(name, refused[name]))
        del wishes[name]
    if (limit := parameters.max_tokens) is not None:
        wishes["max_output_tokens"] = max(limit, quirks.least_output)
        if limit < quirks.least_output:
            told.append(changed("max_tokens", f"The answer may have {quirks.least_output} tokens, the smallest limit"))
    return wishes


def _reasoning(plan: _Plan) -> dict[str, Any]:
    if plan.effort == "none":
        return {"reasoning": {"effort": "none"}}
    if not plan.reasons and plan.effort is None:
        return {}
    wanted = {"effort": plan.effort, "summary": "auto"} if plan.effort else {"summary": "auto"}
    # Who is not known to reason might refuse to show it in this form.
    return {"reasoning": wanted} | ({"include": ["reasoning.encrypted_content"]} if plan.reasons else {})


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
    raise unsendable(type)
