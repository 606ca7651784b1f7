"""The OpenAI chat completions wire, as a server speaks it: a request becomes our nouns, a stream becomes its chunks.

Pure. The other side of the same wire, as a client speaks it, is `providers/openai_request.py` and `openai_answer.py`.
See https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ..errors import InvalidRequest
from ..messages import Message, Parameters, Part, StreamEvent, Usage
from .bodies import Name, storable

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
# Why an answer ended, where the wire has no word of its own: it was complete as far as it went.
_ENDS = {"length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatCompletion(BaseModel):
    """What is asked; what has no field here goes to the provider as it is."""

    model_config = ConfigDict(extra="allow")

    model: Name
    messages: Annotated[list[dict[str, Any]], BeforeValidator(storable), Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1)] = 1
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    seed: int | None = None
    stop: str | list[str] | None = None
    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None

    def parameters(self) -> Parameters:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        # Who uses it is nobody's business but ours.
        extra = {name: value for name, value in (self.model_extra or {}).items() if name not in ("user", "metadata")}
        return Parameters(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            seed=self.seed,
            stop=tuple(stop),
            reasoning_effort=self.reasoning_effort,
            extra=storable(extra),
        )

    def conversation(self) -> list[Message]:
        """The messages as ours.

        Raises:
            InvalidRequest: one of them is none; the message says which.
        """
        return [_message(index, told) for index, told in enumerate(self.messages)]


def _message(index: int, told: Mapping[str, Any]) -> Message:
    role = _ROLES.get(str(told.get("role")))
    if role is None:
        raise _invalid(index, f"its role is {told.get('role')!r}")
    parts = list(_content(index, told.get("content")))
    if role == "tool":
        parts = [Part("tool_result", part.text, {"id": str(told.get("tool_call_id", ""))}) for part in parts]
    if role == "assistant":
        if reasoning := told.get("reasoning_content"):
            parts.insert(0, Part("reasoning", str(reasoning)))
        parts += [_tool_call(index, call) for call in told.get("tool_calls") or ()]
    return Message(role, tuple(parts))  # type: ignore[arg-type]


def _content(index: int, content: Any) -> Iterator[Part]:
    if content is None:
        return
    if isinstance(content, str):
        yield Part("text", content)
        return
    if not isinstance(content, list):
        raise _invalid(index, "its content is neither text nor a list of parts")
    for part in content:
        match part:
            case {"type": "text", "text": str(text)}:
                yield Part("text", text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                yield Part("image", data={"url": url})
            case _:
                raise _invalid(index, "a part of its content is neither text nor image_url")


def _tool_call(index: int, call: Any) -> Part:
    match call:
        case {"id": str(id), "function": {"name": str(name), "arguments": str(arguments)}}:
            return Part("tool_call", data={"id": id, "name": name, "arguments": arguments})
    raise _invalid(index, "a tool call of it lacks id, name or arguments")


def _invalid(index: int, what: str) -> InvalidRequest:
    return InvalidRequest(f"Message {index} cannot be read: {what}.", remedy="See the chat completions API of OpenAI.")


class Answer:
    """An answer on the wire, as chunks or as a whole.

    Args:
        id: of the request.
        created: epoch seconds.
        include_usage: a last chunk tells the usage.
    """

    def __init__(self, id: str, model: str, created: int, include_usage: bool = False) -> None:
        self._head = {"id": f"chatcmpl-{id}", "created": created, "model": model}
        self._include_usage = include_usage
        self._usage: Usage | None = None

    def chunks(self, event: StreamEvent) -> Iterator[dict[str, Any]]:
        """The chunks that tell `event`: none for what the wire has no word for."""
        match event.type:
            case "start":
                yield self._chunk({"role": "assistant", "content": ""})
            case "reasoning":
                yield self._chunk({"reasoning_content": event.text})
            case "text":
                yield self._chunk({"content": event.text})
            case "tool_call":
                yield self._chunk({"tool_calls": [_delta(event.data)]})
            case "usage":
                self._usage = event.usage
            case "end":
                yield self._chunk({}, _ENDS.get(event.finish_reason or "", "stop"))
                if self._include_usage and self._usage is not None:
                    yield {**self._chunk({}), "choices": [], "usage": _usage(self._usage)}

    def whole(self, message: Message) -> dict[str, Any]:
        """The answer that was not streamed."""
        said: dict[str, Any] = {"role": "assistant", "content": message.text or None}
        if message.reasoning:
            said["reasoning_content"] = message.reasoning
        if calls := [part.data for part in message.parts if part.type == "tool_call"]:
            said["tool_calls"] = [
                {"id": call.get("id", ""), "type": "function", "function": _function(call)} for call in calls
            ]
        end = _ENDS.get(message.finish_reason or "", "stop")
        told = {**self._head, "object": "chat.completion"}
        return {
            **told,
            "choices": [{"index": 0, "message": said, "finish_reason": end, "logprobs": None}],
            "usage": _usage(message.usage or Usage()),
        }

    def _chunk(self, delta: dict[str, Any], end: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": end, "logprobs": None}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


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
    return told


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
