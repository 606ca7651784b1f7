"""Folds the events of the Anthropic messages wire into `StreamEvent`s; pure, one object an answer.

An event is untrusted, and new kinds of events, blocks and deltas come without notice: what is not known is passed over.
See https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ProviderError
from ..messages import FinishReason, StreamEvent, Usage
from .anthropic_request import WIRE
from .base import error_event
from .failures import OF_THE_LINE, Failures, is_complaint
from .untrusted import dict_of, dicts_of, number_of

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_NOTES = {
    "pause_turn": "The model paused a long turn; ask it to go on.",
    "model_context_window_exceeded": "The answer filled all that the model can read.",
}


class Answer:
    """One answer: `feed` it the events, then `finish` it; see `Fold`.

    Args:
        model: whom the request asked.
        failures: names what the server complains of.
        warnings: what to tell at the start.
    """

    def __init__(self, model: str, failures: Failures, warnings: list[StreamEvent]) -> None:
        self.spoke = False
        self.done = False
        self.request_id = ""
        self.warnings = warnings
        self._model = model
        self._failures = failures
        self._started = False
        self._calls: dict[int, int] = {}
        self._signatures: dict[int, str] = {}
        self._counts: dict[str, Any] = {}
        self._counted = False
        self._finish: FinishReason | None = None

    def feed(self, chunk: Any) -> Iterator[StreamEvent]:
        """The events of one chunk; raises `ProviderError` where the chunk tells a failure."""
        chunk = dict_of(chunk)
        if is_complaint(chunk):
            raise self._failures.told(chunk, self._model)
        index = chunk.get("index")
        index = index if isinstance(index, int) else 0
        match chunk.get("type"):
            case "message_start":
                yield from self._start(dict_of(chunk.get("message")))
            case "message":  # a server that does not stream
                yield from self._whole(chunk)
            case "content_block_start" if self._started:
                yield from self._begin(index, dict_of(chunk.get("content_block")))
            case "content_block_delta" if self._started:
                yield from self._grow(index, dict_of(chunk.get("delta")))
            case "content_block_stop" if signature := self._signatures.pop(index, ""):
                yield StreamEvent("reasoning", data={"signature": signature, "wire": WIRE})
            case "message_delta" if self._started:
                self._count(chunk.get("usage"), final=True)
                yield from self._stop(dict_of(chunk.get("delta")))
            case "message_stop" if self._started:
                self.done = True

    def finish(self, failure: ProviderError | None = None) -> Iterator[StreamEvent]:
        """The events that end the answer; `failure` is what ended it before its time."""
        if failure is not None and self._finish is not None and failure.code in OF_THE_LINE:
            failure = None
        if not self._started:
            raise failure or self._failures.unreadable()
        # What the beginning counts is not yet an answer's use.
        if self._counted:
            yield StreamEvent("usage", usage=usage_of(self._counts))
        if failure is not None:
            yield error_event(failure)
            yield StreamEvent("end", finish_reason="error")
            return
        yield StreamEvent("end", finish_reason=self._finish or "stop")

    def _start(self, message: Mapping[str, Any]) -> Iterator[StreamEvent]:
        if self._started:
            return
        self._started = True
        self._count(message.get("usage"))
        origin = {"request_id": self.request_id or message.get("id"), "served_model": message.get("model")}
        told = {name: said for name, said in origin.items() if isinstance(said, str) and said not in ("", self._model)}
        yield StreamEvent("start", model=self._model, data=told)
        yield from self.warnings

    def _whole(self, message: Mapping[str, Any]) -> Iterator[StreamEvent]:
        yield from self._start(message)
        for index, block in enumerate(dicts_of(message.get("content"))):
            yield from self._begin(index, block)
            if signature := self._signatures.pop(index, ""):
                yield StreamEvent("reasoning", data={"signature": signature, "wire": WIRE})
        self._count(message.get("usage"), final=True)
        yield from self._stop(message)
        self.done = True

    def _begin(self, index: int, block: Mapping[str, Any]) -> Iterator[StreamEvent]:
        match block.get("type"):
            case "text":
                yield from self._say("text", block.get("text"))
                for citation in dicts_of(block.get("citations")):
                    yield _citation(citation)
            case "thinking":
                yield from self._say("reasoning", block.get("thinking"))
                self._sign(index, block.get("signature"))
            case "redacted_thinking" if isinstance(block.get("data"), str):
                yield StreamEvent("reasoning", data={"redacted": block["data"], "wire": WIRE})
            case "tool_use":
                self._calls[index] = len(self._calls)
                told = {name: str(block.get(name) or "") for name in ("id", "name")}
                arguments = json.dumps(block["input"]) if block.get("input") else ""
                self.spoke = True
                yield StreamEvent("tool_call", data={"index": self._calls[index], **told, "arguments": arguments})

    def _grow(self, index: int, delta: Mapping[str, Any]) -> Iterator[StreamEvent]:
        match delta.get("type"):
            case "text_delta":
                yield from self._say("text", delta.get("text"))
            case "thinking_delta":
                yield from self._say("reasoning", delta.get("thinking"))
            case "signature_delta":
                self._sign(index, delta.get("signature"))
            case "citations_delta":
                yield _citation(dict_of(delta.get("citation")))
            case "input_json_delta" if index in self._calls and isinstance(part := delta.get("partial_json"), str):
                # Not in `_calls`: a tool that runs at the vendor's.
                if part:
                    yield StreamEvent("tool_call", data={"index": self._calls[index], "arguments": part})

    def _say(self, kind: Any, text: Any) -> Iterator[StreamEvent]:
        if isinstance(text, str) and text:
            self.spoke = True
            yield StreamEvent(kind, text=text)

    def _sign(self, index: int, signature: Any) -> None:
        if isinstance(signature, str) and signature:
            self._signatures[index] = signature

    def _stop(self, delta: Mapping[str, Any]) -> Iterator[StreamEvent]:
        reason = delta.get("stop_reason")
        if not isinstance(reason, str) or not reason:
            return
        self._finish = _FINISH.get(reason, "stop")
        said = self._failures.redact(str(dict_of(delta.get("stop_details")).get("explanation") or ""))
        note = said if reason == "refusal" else _NOTES.get(reason, "")
        if reason not in _FINISH:
            note = f"The model stopped for an unknown reason: {self._failures.redact(reason)}."
        if note:
            yield StreamEvent("warning", text=note)

    def _count(self, told: Any, *, final: bool = False) -> None:
        """Note the usage so far: counts are cumulative, and what an event leaves out stays as it was."""
        counts = {name: count for name, count in dict_of(told).items() if count is not None}
        self._counts |= counts
        self._counted = self._counted or (final and "output_tokens" in counts)


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The `usage` of a message, whose input leaves out what a cache held.

    Example:
        >>> usage_of({"input_tokens": 3, "cache_read_input_tokens": 90, "output_tokens": 5}).input_tokens
        93
    """
    read, written = number_of(told, "cache_read_input_tokens"), number_of(told, "cache_creation_input_tokens")
    kept = dict_of(told.get("cache_creation"))
    for_an_hour = number_of(kept, "ephemeral_1h_input_tokens")
    written = max(written, for_an_hour + number_of(kept, "ephemeral_5m_input_tokens"))
    return Usage(
        number_of(told, "input_tokens") + read + written,
        number_of(told, "output_tokens"),
        number_of(dict_of(told.get("output_tokens_details")), "thinking_tokens"),
        read,
        written,
        for_an_hour,
    )


def _citation(told: Mapping[str, Any]) -> StreamEvent:
    """A source: a page, a search result, or a place in a document that was sent along."""
    found = {
        "url": told.get("url") or told.get("source"),
        "title": told.get("title") or told.get("document_title"),
        "cited_text": told.get("cited_text"),
    }
    return StreamEvent("citation", data={name: str(value) for name, value in found.items() if value})
