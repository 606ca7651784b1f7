"""The OpenAI chat completions wire, as a server speaks it. Pure.

The other side of the same wire, as a client speaks it, is `providers/openai_request.py` and `openai_answer.py`.
See https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ...errors import InvalidRequest, from_dict
from ...messages import Message, Parameters, Part, StreamEvent, Tool, Usage
from ...providers.base import CompletionRequest
from ..refusals import openai_error
from .bodies import Name, Positive, read, refuse
from .wire import Asked, effort, rest

WIRE = "openai_chat"
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
# Why an answer ended, where the wire has no word of its own: it was complete as far as it went.
_ENDS = {"length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}
_DONE = b"data: [DONE]\n\n"
# What only OpenAI's own models understand, and servers that copy them.
_OWN = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "modalities",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "verbosity",
        "web_search_options",
    }
)
_encode = msgspec.json.encode


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _SchemaFormat(Struct):
    name: str = ""
    schema: dict[str, Any] | None = None


class _Format(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _SchemaFormat | None = None


class _Function(Struct):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct):
    type: Literal["function"]
    function: _Function


class _Named(Struct):
    name: Name


class _Choice(Struct):
    type: Literal["function"]
    function: _Named


class Body(Struct):
    """What is asked; a field that is not here goes to the model server as it is."""

    model: Name
    messages: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    response_format: _Format | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    functions: Any = None
    function_call: Any = None
    audio: Any = None


def ask(told: dict[str, Any], request_id: str, now: int) -> Asked:
    """What the body `told` asks for; `now` is in epoch seconds.

    Raises:
        InvalidRequest: it cannot be; the message says which field, and why.
    """
    body = read(told, Body)
    _refuse(body)
    own, extra = rest(told, Body, _OWN)
    exact = {name: told[name] for name in ("tools", "tool_choice", "reasoning_effort") if told.get(name) is not None}
    schema = None
    if body.response_format is not None and body.response_format.type != "text":
        schema = _schema(body.response_format)
        (own if schema is None else exact)["response_format"] = told["response_format"]
    parameters = Parameters(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        seed=body.seed,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        reasoning_effort=effort("reasoning_effort", body.reasoning_effort),
        extra=extra,
    )
    request = CompletionRequest(
        body.model,
        tuple(_message(index, message) for index, message in enumerate(body.messages)),
        parameters,
        tools=tuple(
            Tool(tool.function.name, tool.function.description or "", tool.function.parameters or {})
            for tool in body.tools or ()
        ),
        tool_choice=body.tool_choice.function.name if isinstance(body.tool_choice, _Choice) else body.tool_choice,
        schema=schema,
    )
    include_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    answer = partial(Answer, request_id, created=now, include_usage=include_usage)
    return Asked(body.model, request, bool(body.stream), answer, own, exact)


def _refuse(body: Body) -> None:
    """What nobody behind this gateway can do is said, not left out."""
    if body.n not in (None, 1):
        raise refuse("n", "One answer at a time: `n` can only be 1.", "Ask several times.")
    if body.logprobs or body.top_logprobs:
        raise refuse("logprobs", "Log probabilities cannot be had here.", "Leave out `logprobs` and `top_logprobs`.")
    if body.functions or body.function_call:
        raise refuse("functions", "`functions` are no more.", "Use `tools` and `tool_choice`.")
    if body.audio:
        raise refuse("audio", "Answers are text here, not sound.", "Leave out `audio`.")


def _schema(wanted: _Format) -> dict[str, Any] | None:
    """The schema that the answer is to follow; None where it is only to be JSON."""
    if wanted.type == "json_object":
        return None
    if wanted.json_schema is None or wanted.json_schema.schema is None:
        raise refuse("response_format", "`response_format` lacks its schema.", "It is json_schema.schema.")
    return wanted.json_schema.schema


def _message(index: int, told: Mapping[str, Any]) -> Message:
    role = _ROLES.get(str(told.get("role")))
    if role is None:
        raise _invalid(index, f"its role is {told.get('role')!r}")
    content = told.get("content")
    parts = [Part("text", content)] if isinstance(content, str) else list(_content(index, content))
    if role == "tool":
        if not isinstance(call := told.get("tool_call_id"), str):
            raise _invalid(index, "its tool_call_id is missing")
        return Message("tool", (Part("tool_result", "".join(part.text for part in parts), {"id": call}),))
    if role == "assistant":
        if isinstance(details := told.get("reasoning_details"), list):
            parts.insert(0, Part("reasoning", data={"details": details, "wire": WIRE}))
        if isinstance(reasoning := told.get("reasoning_content") or told.get("reasoning"), str):
            parts.insert(0, Part("reasoning", reasoning))
        calls = told.get("tool_calls") or ()
        if not isinstance(calls, list | tuple):
            raise _invalid(index, "its tool_calls are no list")
        parts += [_tool_call(index, call) for call in calls]
    return Message(role, tuple(parts))  # type: ignore[arg-type]


def _content(index: int, content: Any) -> Iterator[Part]:
    if content is None:
        return
    if not isinstance(content, list):
        raise _invalid(index, "its content is neither text nor a list of parts")
    for part in content:
        match part:
            case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                yield Part("text", text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                yield Part("image", data={"url": url})
            case _:
                raise _invalid(index, "a part of its content is neither text nor image_url")


def _tool_call(index: int, call: Any) -> Part:
    match call:
        case {"id": str(id), "function": {"name": str(name), "arguments": str(arguments)}}:
            signed = {"extra_content": call["extra_content"]} if "extra_content" in call else {}
            return Part("tool_call", data={"id": id, "name": name, "arguments": arguments, **signed})
    raise _invalid(index, "a tool call of it lacks id, name or arguments")


def _invalid(index: int, what: str) -> InvalidRequest:
    return refuse(
        f"messages[{index}]", f"Message {index} cannot be read: {what}.", "See the chat completions API of OpenAI."
    )


class Answer:
    """An answer as OpenAI's chat completions tell it, see `wire.Answer`.

    Args:
        id: of the request.
        created: epoch seconds.
        include_usage: a last chunk tells the usage.
    """

    silence = b": still here\n\n"

    def __init__(self, id: str, model: str, created: int, include_usage: bool = False) -> None:
        self._head = {"id": f"chatcmpl-{id}", "created": created, "model": model}
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._failed = False
        # What surrounds a delta is the same each time.
        head = _encode({"object": "chat.completion.chunk", **self._head})[:-1]
        self._before = b"data: " + head + b',"choices":[{"index":0,"delta":'
        self._after = b',"logprobs":null}],"usage":null}\n\n' if include_usage else b',"logprobs":null}]}\n\n'

    def frames(self, event: StreamEvent) -> Iterator[bytes]:
        match event.type:
            case "text":
                yield self._chunk({"content": event.text})
            case "reasoning" if event.data.get("wire") == WIRE and "details" in event.data:
                yield self._chunk({"reasoning_details": event.data["details"]})
            case "reasoning" if event.text:
                yield self._chunk({"reasoning_content": event.text})
            case "tool_call":
                yield self._chunk({"tool_calls": [_delta(event.data)]})
            case "citation":
                yield self._chunk({"annotations": [_annotation(event.data)]})
            case "start":
                yield self._chunk({"role": "assistant", "content": ""})
            case "usage":
                self._usage = event.usage
            case "error":
                self._failed = True
                problem = from_dict({**event.data, "message": event.text}, status=502)
                yield b"data: %s\n\n" % _encode({"error": openai_error(problem)})
            case "end":
                if not self._failed:
                    yield from self._end(event)
                yield _DONE

    def whole(self, message: Message) -> dict[str, Any]:
        said: dict[str, Any] = {"role": "assistant", "content": message.text or None, "refusal": None}
        if reasoning := message.reasoning:
            said["reasoning_content"] = reasoning
        marks = [part.data for part in message.parts if part.type == "reasoning" and part.data.get("wire") == WIRE]
        if details := [detail for mark in marks for detail in mark.get("details", ())]:
            said["reasoning_details"] = details
        if calls := [part.data for part in message.parts if part.type == "tool_call"]:
            said["tool_calls"] = [
                {"id": call.get("id", ""), "type": "function", "function": _function(call), **_signed(call)}
                for call in calls
            ]
        if notes := [_annotation(part.data) for part in message.parts if part.type == "citation"]:
            said["annotations"] = notes
        end = _ENDS.get(message.finish_reason or "", "stop")
        return {
            "object": "chat.completion",
            **self._head,
            "choices": [{"index": 0, "message": said, "finish_reason": end, "logprobs": None}],
            "usage": usage(message.usage or Usage()),
        }

    def _chunk(self, delta: dict[str, Any], end: str | None = None) -> bytes:
        return b'%s%s,"finish_reason":%s%s' % (self._before, _encode(delta), _encode(end), self._after)

    def _end(self, event: StreamEvent) -> Iterator[bytes]:
        yield self._chunk({}, _ENDS.get(event.finish_reason or "", "stop"))
        if self._include_usage and self._usage is not None:
            told = {"object": "chat.completion.chunk", **self._head, "choices": [], "usage": usage(self._usage)}
            yield b"data: %s\n\n" % _encode(told)


def _function(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call.get("arguments") or ""
    return {
        "name": call.get("name", ""),
        "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
    }


def _delta(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call's delta: id and name come once, as clients add up what they get."""
    function = {name: call[name] for name in ("name", "arguments") if call.get(name)}
    told: dict[str, Any] = {"index": call.get("index", 0), "function": function}
    if call.get("id"):
        told |= {"id": call["id"], "type": "function"}
    return told | _signed(call)


def _signed(call: Mapping[str, Any]) -> dict[str, Any]:
    """The signature of the thought that led to a call, which Google's models want back beside it."""
    return {"extra_content": call["extra_content"]} if "extra_content" in call else {}


def _annotation(citation: Mapping[str, Any]) -> dict[str, Any]:
    # Where in the text it belongs is not known here; clients want the numbers all the same.
    where = {"start_index": 0, "end_index": 0}
    return {
        "type": "url_citation",
        "url_citation": {"url": citation.get("url", ""), "title": citation.get("title", ""), **where},
    }


def usage(used: Usage) -> dict[str, Any]:
    """What was used, in OpenAI's words."""
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }
