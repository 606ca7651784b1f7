"""Answers on the Anthropic messages wire, as a server tells them. Pure.

A message is a row of blocks, of which each is opened, filled and closed:
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ...errors import from_dict
from ...messages import Message, Part, StreamEvent, Usage
from ..refusals import anthropic_error
from .thoughts import joined, wrap

_WIRE = "anthropic_messages"
_ENDS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class Answer:
    """An answer as Anthropic's messages tell it, see `wire.Answer`."""

    silence = b'event: ping\ndata: {"type":"ping"}\n\n'

    def __init__(self, id: str, model: str) -> None:
        self._head = {"id": f"msg_{id}", "type": "message", "role": "assistant", "model": model}
        self._usage = Usage()
        self._opened = 0
        # The kind of the block that is open, if one is; calls stay open side by side, as their deltas may take turns.
        self._kind = ""
        self._calls: dict[Any, int] = {}
        self._failed = False

    def frames(self, event: StreamEvent) -> Iterator[bytes]:
        match event.type:
            case "start":
                about: dict[str, Any] = {**self._head, "content": [], "stop_reason": None, "stop_sequence": None}
                yield _frame("message_start", message={**about, "usage": usage(Usage())})
            case "text" if event.text:
                yield from self._open("text", {"type": "text", "text": ""})
                yield self._delta(type="text_delta", text=event.text)
            case "reasoning":
                yield from self._think(event)
            case "tool_call":
                yield from self._call(event.data)
            case "citation" if self._kind == "text":
                yield self._delta(type="citations_delta", citation=_citation(event.data))
            case "usage" if event.usage is not None:
                self._usage = event.usage
            case "error":
                self._failed = True
                problem = from_dict({**event.data, "message": event.text}, status=502)
                yield _frame("error", error=anthropic_error(problem))
            case "end" if not self._failed:
                yield from self._close()
                delta = {"stop_reason": _ENDS.get(event.finish_reason or "", "end_turn"), "stop_sequence": None}
                yield _frame("message_delta", delta=delta, usage=usage(self._usage))
                yield _frame("message_stop")

    def whole(self, message: Message) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        for part in joined(message.parts):
            if part.type == "citation" and content and content[-1]["type"] == "text":
                content[-1].setdefault("citations", []).append(_citation(part.data))
            else:
                content += _block(part)
        end = _ENDS.get(message.finish_reason or "", "end_turn")
        told = {**self._head, "content": content, "stop_reason": end, "stop_sequence": None}
        return {**told, "usage": usage(message.usage or Usage())}

    def _think(self, event: StreamEvent) -> Iterator[bytes]:
        if event.text:
            yield from self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta(type="thinking_delta", thinking=event.text)
        if event.data.get("wire") == _WIRE and "redacted" in event.data:
            yield from self._close()
            yield from self._open("redacted", {"type": "redacted_thinking", "data": event.data["redacted"]})
            yield from self._close()
        elif event.data:
            yield from self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta(type="signature_delta", signature=_signature(event.data))
            yield from self._close()

    def _call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        key = call.get("index", call.get("id"))
        if key not in self._calls:
            if self._kind != "tool_use":
                yield from self._close()
            self._kind = "tool_use"
            self._calls[key] = self._opened
            block = {"type": "tool_use", "id": call.get("id", ""), "name": call.get("name", ""), "input": {}}
            yield _frame("content_block_start", index=self._opened, content_block=block)
            self._opened += 1
        if arguments := call.get("arguments"):
            delta = {"type": "input_json_delta", "partial_json": arguments}
            yield _frame("content_block_delta", index=self._calls[key], delta=delta)

    def _open(self, kind: str, block: dict[str, Any]) -> Iterator[bytes]:
        if self._kind == kind:
            return
        yield from self._close()
        yield _frame("content_block_start", index=self._opened, content_block=block)
        self._kind = kind
        self._opened += 1

    def _close(self) -> Iterator[bytes]:
        ends = list(self._calls.values()) if self._kind == "tool_use" else [self._opened - 1] if self._kind else []
        self._kind, self._calls = "", {}
        for index in ends:
            yield _frame("content_block_stop", index=index)

    def _delta(self, **delta: Any) -> bytes:
        return _frame("content_block_delta", index=self._opened - 1, delta=delta)


def usage(used: Usage) -> dict[str, Any]:
    """What was used, in Anthropic's words, in which the input is what no cache had to do with."""
    return {
        "input_tokens": max(0, used.input_tokens - used.cache_read_tokens - used.cache_write_tokens),
        "output_tokens": used.output_tokens,
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
    }


def _block(part: Part) -> list[dict[str, Any]]:
    """The blocks that tell a part: none for what the wire has no word for."""
    match part.type:
        case "text" if part.text:
            return [{"type": "text", "text": part.text}]
        case "reasoning" if part.data.get("wire") == _WIRE and "redacted" in part.data:
            thought = [{"type": "thinking", "thinking": part.text, "signature": ""}] if part.text else []
            return [*thought, {"type": "redacted_thinking", "data": part.data["redacted"]}]
        case "reasoning":
            return [{"type": "thinking", "thinking": part.text, "signature": _signature(part.data)}]
        case "tool_call":
            about = {"id": part.data.get("id", ""), "name": part.data.get("name", "")}
            return [{"type": "tool_use", **about, "input": _input(part.data.get("arguments") or "{}")}]
    return []


def _signature(mark: Mapping[str, Any]) -> str:
    return str(mark["signature"]) if mark.get("wire") == _WIRE and "signature" in mark else wrap(mark)


def _input(arguments: Any) -> dict[str, Any]:
    """The arguments of a call as the object that the wire wants; what is none is kept in words."""
    try:
        told = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        told = None
    return told if isinstance(told, dict) else {"arguments": arguments}


def _citation(citation: Mapping[str, Any]) -> dict[str, Any]:
    told = {"url": citation.get("url", ""), "title": citation.get("title", "")}
    return {"type": "web_search_result_location", **told, "cited_text": "", "encrypted_index": ""}


def _frame(type: str, **data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (type.encode(), msgspec.json.encode({"type": type, **data}))
