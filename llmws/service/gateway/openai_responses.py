"""Requests on the OpenAI responses wire, as a server reads them. Pure; answers are told by `openai_responses_answer`.

Nothing is kept between calls: whoever goes on sends all of it again, as with ``store: false`` at OpenAI.
See https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from ...errors import InvalidRequest
from ...messages import Message, Parameters, Part, Tool
from ...providers.base import CompletionRequest
from .bodies import Name, Positive, read, refuse
from .openai_responses_answer import Answer
from .thoughts import unwrap
from .wire import Asked, effort, rest

WIRE = "openai_responses"
# What only OpenAI's own models understand, and servers that copy them.
_OWN = frozenset(
    {
        "context_management",
        "max_tool_calls",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "truncation",
    }
)
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_SEE = "See the responses API of OpenAI."


class _Reasoning(Struct):
    effort: str | None = None
    summary: str | None = None


class _Format(Struct):
    type: Literal["text", "json_object", "json_schema"]
    schema: dict[str, Any] | None = None


class _Text(Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Named(Struct):
    type: Literal["function"]
    name: Name


class Body(Struct):
    """What is asked; a field that is not here goes to the model server as it is."""

    model: Name
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: Positive | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Named | None = None
    include: list[str] | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None
    prompt: Any = None
    top_logprobs: int | None = None
    stream_options: Any = None


def ask(told: dict[str, Any], request_id: str, now: int) -> Asked:
    """What the body `told` asks for; `now` is in epoch seconds.

    Raises:
        InvalidRequest: it cannot be; the message says which field, and why.
    """
    body = read(told, Body)
    _refuse(body)
    own, extra = rest(told, Body, _OWN)
    exact = {name: told[name] for name in ("tools", "tool_choice", "text", "reasoning") if told.get(name) is not None}
    parameters = Parameters(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_output_tokens,
        reasoning_effort=effort("reasoning.effort", body.reasoning.effort if body.reasoning else None),
        extra=extra,
    )
    schema = None
    if body.text is not None and body.text.format is not None and body.text.format.type != "text":
        schema = body.text.format.schema
        if schema is None and body.text.format.type == "json_schema":
            raise refuse("text.format", "`text.format` lacks its schema.", _SEE)
        if schema is None:
            own["text"] = exact.pop("text")
    request = CompletionRequest(
        body.model,
        tuple(_conversation(body)),
        parameters,
        tools=tuple(_tool(index, tool) for index, tool in enumerate(body.tools or ())),
        tool_choice=body.tool_choice.name if isinstance(body.tool_choice, _Named) else body.tool_choice,
        schema=schema,
    )
    return Asked(
        body.model, request, bool(body.stream), partial(Answer, request_id, created=now, asked=told), own, exact
    )


def _refuse(body: Body) -> None:
    """What nobody behind this gateway can do is said, not left out."""
    again = "Send the whole conversation in `input`."
    if body.previous_response_id is not None:
        raise refuse("previous_response_id", "No answer is kept here that another could follow.", again)
    if body.conversation is not None:
        raise refuse("conversation", "No conversation is kept here.", again)
    if body.store:
        raise refuse("store", "No answer is kept here.", "Leave out `store`, or make it false.")
    if body.background:
        raise refuse("background", "An answer ends here with the request for it.", "Leave out `background`.")
    if body.prompt is not None:
        raise refuse("prompt", "There are no prompt templates here.", "Use `instructions` and `input`.")
    if body.top_logprobs:
        raise refuse("top_logprobs", "Log probabilities cannot be had here.", "Leave out `top_logprobs`.")


def _conversation(body: Body) -> Iterator[Message]:
    """The items as our messages: what the model said, called and thought in a row is one message."""
    if body.instructions:
        yield Message.system(body.instructions)
    if isinstance(body.input, str):
        yield Message.user(body.input)
        return
    if not body.input:
        raise refuse("input", "`input` is empty.", _SEE)
    said: list[Part] = []
    for index, item in enumerate(body.input):
        role, parts = _item(index, item)
        if role == "assistant":
            said += parts
            continue
        if said:
            yield Message("assistant", tuple(said))
            said = []
        yield Message(role, tuple(parts))  # type: ignore[arg-type]
    if said:
        yield Message("assistant", tuple(said))


def _item(index: int, item: Mapping[str, Any]) -> tuple[str, list[Part]]:
    match item:
        case {"type": "function_call", "call_id": str(id), "name": str(name), "arguments": str(arguments)}:
            return "assistant", [Part("tool_call", data={"id": id, "name": name, "arguments": arguments})]
        case {"type": "function_call_output", "call_id": str(id)}:
            return "tool", [Part("tool_result", _text(index, item.get("output")), {"id": id})]
        case {"type": "reasoning"}:
            return "assistant", [Part("reasoning", _summary(item), _mark(item))]
        case {"role": str(role), "content": content} if item.get("type", "message") == "message" and role in _ROLES:
            return _ROLES[role], list(_content(index, content))
        case {"type": "item_reference"}:
            raise _invalid(index, "it refers to an item, and none is kept here")
    raise _invalid(index, f"it is {item.get('type', item.get('role'))!r}, or lacks something")


def _content(index: int, content: Any) -> Iterator[Part]:
    if isinstance(content, str):
        yield Part("text", content)
        return
    if not isinstance(content, list):
        raise _invalid(index, "its content is neither text nor a list of parts")
    for part in content:
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
                yield Part("text", text)
            case {"type": "refusal", "refusal": str(text)}:
                yield Part("text", text)
            case {"type": "input_image", "image_url": str(url)}:
                yield Part("image", data={"url": url})
            case _:
                raise _invalid(index, "a part of its content is neither text nor an image with an address")


def _text(index: int, output: Any) -> str:
    if isinstance(output, str):
        return output
    parts = list(_content(index, output))
    if any(part.type != "text" for part in parts):
        raise _invalid(index, "a tool's result is not text")
    return "".join(part.text for part in parts)


def _summary(item: Mapping[str, Any]) -> str:
    def texts(parts: Any) -> Iterable[str]:
        known = parts if isinstance(parts, list) else []
        return (part["text"] for part in known if isinstance(part, dict) and isinstance(part.get("text"), str))

    return "\n\n".join(texts(item.get("content"))) or "\n\n".join(texts(item.get("summary")))


def _mark(item: Mapping[str, Any]) -> dict[str, Any]:
    told = item.get("encrypted_content")
    if not isinstance(told, str) or not told:
        return {}
    if (wrapped := unwrap(told)) is not None:
        return wrapped
    return {"id": str(item.get("id") or ""), "encrypted": told, "wire": WIRE}


def _tool(index: int, tool: dict[str, Any]) -> Tool:
    match tool:
        case {"type": "function", "name": str(name)} if name:
            schema = tool.get("parameters")
            return Tool(name, str(tool.get("description") or ""), schema if isinstance(schema, dict) else {})
        case {"type": "function"}:
            raise refuse(f"tools[{index}]", f"Tool {index} lacks its name.", _SEE)
    kind = tool.get("type")
    raise refuse(f"tools[{index}]", f"The tool {kind!r} would run at OpenAI, which this gateway cannot do.")


def _invalid(index: int, what: str) -> InvalidRequest:
    return refuse(f"input[{index}]", f"Item {index} of the input cannot be read: {what}.", _SEE)
