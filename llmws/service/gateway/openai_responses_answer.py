"""Answers on the OpenAI responses wire, as a server tells them. Pure.

A response is a row of items; each is announced, filled and closed by events that are numbered from 0:
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ...errors import from_dict
from ...messages import Message, Part, StreamEvent, Usage
from ..refusals import openai_error
from .thoughts import wrap

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# What a response says again of its request.
_ECHOED = ("instructions", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice", "metadata")


class Answer:
    """An answer as OpenAI's responses tell it, see `wire.Answer`.

    Args:
        created: epoch seconds.
        asked: the body of the request, of which a response says some again.
    """

    silence = b": still here\n\n"

    def __init__(self, id: str, model: str, created: int, asked: Mapping[str, Any]) -> None:
        self._id = id
        self._head = {
            "id": f"resp_{id}",
            "object": "response",
            "created_at": created,
            "model": model,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            "reasoning": asked.get("reasoning") or {"effort": None, "summary": None},
            "text": asked.get("text") or {"format": {"type": "text"}},
            **{name: asked.get(name) for name in _ECHOED},
            "tools": asked.get("tools") or [],
            "tool_choice": asked.get("tool_choice") or "auto",
            "metadata": asked.get("metadata") or {},
        }
        self._number = 0
        self._items: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._calls: dict[Any, int] = {}
        self._usage: Usage | None = None
        self._failure: dict[str, Any] | None = None

    def frames(self, event: StreamEvent) -> Iterator[bytes]:
        match event.type:
            case "start":
                yield self._event("response.created", response=self._response("in_progress"))
                yield self._event("response.in_progress", response=self._response("in_progress"))
            case "text" if event.text:
                yield from self._say(event.text)
            case "reasoning":
                yield from self._think(event)
            case "tool_call":
                yield from self._call(event.data)
            case "citation" if self._open is not None and self._open["type"] == "message":
                yield self._annotate(event.data)
            case "usage":
                self._usage = event.usage
            case "error":
                told = openai_error(from_dict({**event.data, "message": event.text}, status=502))
                self._failure = {"code": told["code"], "message": told["message"]}
            case "end":
                yield from self._close_all()
                yield self._end(event)

    def whole(self, message: Message) -> dict[str, Any]:
        for part in message.parts:
            # The items are those of the stream; who did not ask for one is not told of their becoming.
            for _ in self.frames(_said(part)):
                pass
        for _ in self._close_all():
            pass
        self._usage = message.usage
        return self._ended(message.finish_reason or "stop")

    def _say(self, text: str) -> Iterator[bytes]:
        if self._open is None or self._open["type"] != "message":
            yield from self._close()
            yield self._add({"type": "message", "status": "in_progress", "role": "assistant", "content": []}, "msg")
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield self._in_item("response.content_part.added", content_index=0, part=part)
            assert self._open is not None
            self._open["content"].append(part)
            self._open["_texts"] = []
        self._open["_texts"].append(text)
        yield self._in_item("response.output_text.delta", content_index=0, delta=text, logprobs=[])

    def _think(self, event: StreamEvent) -> Iterator[bytes]:
        if self._open is None or self._open["type"] != "reasoning":
            yield from self._close()
            yield self._add({"type": "reasoning", "summary": []}, "rs")
        assert self._open is not None
        if event.text:
            if "_texts" not in self._open:
                self._open["_texts"] = []
                part = {"type": "summary_text", "text": ""}
                yield self._in_item("response.reasoning_summary_part.added", summary_index=0, part=part)
            self._open["_texts"].append(event.text)
            yield self._in_item("response.reasoning_summary_text.delta", summary_index=0, delta=event.text)
        if event.data:
            # This wire's own as well: the item has been announced, under another id than it has at its provider.
            self._open["encrypted_content"] = wrap(event.data)
            yield from self._close()

    def _call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        key = call.get("index", call.get("id"))
        if key not in self._calls:
            yield from self._close()
            about = {"call_id": call.get("id", ""), "name": call.get("name", ""), "arguments": ""}
            yield self._add({"type": "function_call", "status": "in_progress", **about}, "fc")
            self._calls[key] = len(self._items) - 1
            # Deltas of several calls may take turns: each stays open to the end.
            self._open = None
        index = self._calls[key]
        if arguments := call.get("arguments"):
            item = self._items[index]
            item["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments)
            where = {"item_id": item["id"], "output_index": index}
            yield self._event("response.function_call_arguments.delta", **where, delta=arguments)

    def _annotate(self, citation: Mapping[str, Any]) -> bytes:
        assert self._open is not None
        notes = self._open["content"][0]["annotations"]
        about = {"url": citation.get("url", ""), "title": citation.get("title", "")}
        notes.append({"type": "url_citation", "start_index": 0, "end_index": 0, **about})
        where = {"content_index": 0, "annotation_index": len(notes) - 1}
        return self._in_item("response.output_text.annotation.added", **where, annotation=notes[-1])

    def _add(self, item: dict[str, Any], prefix: str) -> bytes:
        self._open = {"id": f"{prefix}_{self._id}_{len(self._items)}", **item}
        self._items.append(self._open)
        # As it is now: it will have grown by the time that it is written.
        return self._event("response.output_item.added", output_index=len(self._items) - 1, item=dict(self._open))

    def _close(self) -> Iterator[bytes]:
        """Close what is open, calls apart."""
        item, text = self._open, ""
        if item is None:
            return
        text = "".join(item.pop("_texts", ()))
        if item["type"] == "message":
            part = item["content"][0]
            part["text"] = text
            yield self._in_item("response.output_text.done", content_index=0, text=text, logprobs=[])
            yield self._in_item("response.content_part.done", content_index=0, part=part)
            item["status"] = "completed"
        elif text:
            part = {"type": "summary_text", "text": text}
            item["summary"].append(part)
            yield self._in_item("response.reasoning_summary_text.done", summary_index=0, text=text)
            yield self._in_item("response.reasoning_summary_part.done", summary_index=0, part=part)
        self._open = None
        yield self._event("response.output_item.done", output_index=len(self._items) - 1, item=item)

    def _close_all(self) -> Iterator[bytes]:
        yield from self._close()
        for index in self._calls.values():
            item = self._items[index]
            item["status"] = "completed"
            where = {"item_id": item["id"], "output_index": index, "name": item["name"]}
            yield self._event("response.function_call_arguments.done", **where, arguments=item["arguments"])
            yield self._event("response.output_item.done", output_index=index, item=item)
        self._calls = {}

    def _end(self, event: StreamEvent) -> bytes:
        response = self._ended("error" if self._failure is not None else event.finish_reason or "stop")
        return self._event(f"response.{response['status']}", response=response)

    def _ended(self, finish_reason: str) -> dict[str, Any]:
        if self._failure is not None:
            return self._response("failed", error=self._failure)
        if reason := _INCOMPLETE.get(finish_reason):
            return self._response("incomplete", incomplete_details={"reason": reason})
        return self._response("completed")

    def _response(self, status: str, **more: Any) -> dict[str, Any]:
        used = None if self._usage is None else usage(self._usage)
        about = {"status": status, "error": None, "incomplete_details": None, "output": self._items, "usage": used}
        return {**self._head, **about, **more}

    def _in_item(self, type: str, **data: Any) -> bytes:
        assert self._open is not None
        return self._event(type, item_id=self._open["id"], output_index=len(self._items) - 1, **data)

    def _event(self, type: str, **data: Any) -> bytes:
        told = msgspec.json.encode({"type": type, "sequence_number": self._number, **data})
        self._number += 1
        return b"event: %s\ndata: %s\n\n" % (type.encode(), told)


def usage(used: Usage) -> dict[str, Any]:
    """What was used, in the words of this wire."""
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {"cached_tokens": used.cache_read_tokens},
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def _said(part: Part) -> StreamEvent:
    return StreamEvent(part.type, text=part.text, data=part.data)  # type: ignore[arg-type]
