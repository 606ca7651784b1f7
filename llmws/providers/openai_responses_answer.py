"""Folds the events of the OpenAI Responses wire into `StreamEvent`s; pure, one object an answer.

What happened to an item is told twice, as it grows and when it is done; whoever streams only one of them is understood,
too, and so is a whole response that was not streamed. An event is untrusted: whatever is not of the expected kind is
passed over. https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ..errors import ProviderError
from ..messages import FinishReason, StreamEvent, Usage
from .base import error_event
from .failures import OF_THE_LINE, Failures
from .openai_responses_request import WIRE
from .reasoning import ReasoningSplitter
from .untrusted import dict_of, dicts_of, number_of, text_of

_INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_FINAL = ("completed", "incomplete", "failed", "cancelled")


@dataclass(slots=True)
class _Item:
    """What was told of an output item so far."""

    index: int = -1  # of a tool call
    said: bool = False
    arguments: str = ""
    reasoning: str = ""  # the kind of the deltas that were told: "summary" or "text"
    marked: bool = False
    cited: set[str] = field(default_factory=set)


class Answer:
    """One answer; see `Fold` of `wire`.

    Args:
        model: whom the request asked.
        failures: names what the server complains of.
        warnings: what to tell at the start.
        limit: the tokens that the answer may have; llama.cpp says `completed` when they are used up.
    """

    def __init__(
        self, model: str, failures: Failures, warnings: list[StreamEvent], *, limit: int | None = None
    ) -> None:
        self.spoke = False
        self.done = False
        self.request_id = ""
        self.warnings = warnings
        self._model = model
        self._failures = failures
        self._limit = limit
        self._started = False
        self._splitter = ReasoningSplitter()
        self._items: dict[Any, _Item] = {}
        self._called = 0
        self._usage: Usage | None = None
        self._finish: FinishReason = "stop"
        self._remark = ""
        self._gave_up: ProviderError | None = None

    def feed(self, chunk: Any) -> Iterator[StreamEvent]:
        """The events of one event; raises `ProviderError` where it tells a failure of the stream."""
        told = dict_of(chunk)
        kind = text_of(told, "type")
        if kind == "error" or told.get("error"):
            raise self._failures.told(told, self._model)
        response = told if told.get("object") == "response" else dict_of(told.get("response"))
        if not self._started and (response or kind.startswith("response.")):
            self._started = True
            yield StreamEvent("start", model=self._model, data=self._origin(response))
            yield from self.warnings
        for event in self._read(kind, told):
            self.spoke |= bool(event.text) or event.type == "tool_call"
            yield event
        if response and (status := self._final(kind, response)):
            if not self.spoke:
                for place, item in enumerate(dicts_of(response.get("output"))):
                    yield from self._done(self._item({"output_index": place}), item)
            self._conclude(status, response)

    def finish(self, failure: ProviderError | None = None) -> Iterator[StreamEvent]:
        """The events that end the answer; `failure` is what ended it before its time."""
        if failure is not None and self.done and failure.code in OF_THE_LINE:
            failure = None
        if failure is None and not self.done:
            failure = self._failures.broke_off() if self._started else None
        failure = failure or self._gave_up
        if not self._started:
            raise failure or self._failures.unreadable()
        yield from self._splitter.flush()
        if self._remark:
            yield StreamEvent("warning", text=self._remark)
        if self._usage is not None:
            yield StreamEvent("usage", usage=self._usage)
        if failure is not None:
            yield error_event(failure)
            yield StreamEvent("end", finish_reason="error")
            return
        finish = self._finish
        yield StreamEvent("end", finish_reason="tool_calls" if self._called and finish == "stop" else finish)

    def _read(self, kind: str, told: Mapping[str, Any]) -> Iterator[StreamEvent]:
        item = self._item(told)
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                item.said = True
                yield from self._text(text_of(told, "delta"))
            case "response.output_text.annotation.added":
                yield from self._cite(item, dict_of(told.get("annotation")))
            case "response.reasoning_summary_text.delta":
                yield from self._reason(item, "summary", text_of(told, "delta"))
            case "response.reasoning_text.delta":
                yield from self._reason(item, "text", text_of(told, "delta"))
            case "response.reasoning_summary_part.added":
                if item.reasoning:
                    yield StreamEvent("reasoning", text="\n\n")
            case "response.output_item.added":
                if text_of(added := dict_of(told.get("item")), "type") == "function_call":
                    yield from self._call(item, added)
            case "response.function_call_arguments.delta":
                yield from self._argue(item, text_of(told, "delta"))
            case "response.function_call_arguments.done":
                yield from self._argue_whole(item, text_of(told, "arguments"))
            case "response.output_item.done":
                yield from self._done(item, dict_of(told.get("item")))

    def _done(self, item: _Item, told: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """What of a whole item was not told as it grew."""
        match text_of(told, "type"):
            case "reasoning":
                for kind, name in (("summary", "summary"), ("text", "content")):
                    texts = [text_of(part, "text") for part in dicts_of(told.get(name))]
                    if not item.reasoning and any(texts):
                        yield from self._reason(item, kind, "\n\n".join(texts))
                if (encrypted := text_of(told, "encrypted_content")) and not item.marked:
                    item.marked = True
                    data = {"id": text_of(told, "id"), "encrypted": encrypted, "wire": WIRE}
                    yield StreamEvent("reasoning", data=data)
            case "function_call":
                yield from self._call(item, told)
                yield from self._argue_whole(item, text_of(told, "arguments"))
            case "message":
                for part in dicts_of(told.get("content")):
                    if not item.said:
                        yield from self._text(text_of(part, "text") or text_of(part, "refusal"))
                    for note in dicts_of(part.get("annotations")):
                        yield from self._cite(item, note)
                item.said = True

    def _text(self, text: str) -> Iterator[StreamEvent]:
        if text:
            yield from self._splitter.feed(text)

    def _cite(self, item: _Item, note: Mapping[str, Any]) -> Iterator[StreamEvent]:
        url = text_of(note, "url")
        if text_of(note, "type") == "url_citation" and url and url not in item.cited:
            item.cited.add(url)
            yield StreamEvent("citation", data={"url": url, "title": text_of(note, "title")})

    def _reason(self, item: _Item, kind: str, text: str) -> Iterator[StreamEvent]:
        """Some servers tell the reasoning and its summary: the one that comes first is heard."""
        if text and item.reasoning in ("", kind):
            item.reasoning = kind
            yield from self._splitter.release()
            yield StreamEvent("reasoning", text=text)

    def _call(self, item: _Item, told: Mapping[str, Any]) -> Iterator[StreamEvent]:
        if item.index >= 0:
            return
        yield from self._splitter.release()
        item.index = self._called
        self._called += 1
        known = text_of(told, "call_id") or f"call_{uuid4().hex[:24]}"
        data = {"index": item.index, "id": known, "name": text_of(told, "name"), "arguments": ""}
        yield StreamEvent("tool_call", data=data)

    def _argue(self, item: _Item, delta: str) -> Iterator[StreamEvent]:
        if delta and item.index >= 0:
            item.arguments += delta
            yield StreamEvent("tool_call", data={"index": item.index, "arguments": delta})

    def _argue_whole(self, item: _Item, arguments: str) -> Iterator[StreamEvent]:
        """The rest of the arguments, where not all of them came as deltas."""
        if arguments.startswith(item.arguments):
            yield from self._argue(item, arguments[len(item.arguments) :])

    def _item(self, told: Mapping[str, Any]) -> _Item:
        """Servers number their items or name them; the official one does both, and the number stays the same."""
        index = told.get("output_index")
        key = index if isinstance(index, int) else text_of(told, "item_id") or text_of(dict_of(told.get("item")), "id")
        return self._items.setdefault(key, _Item())

    def _final(self, kind: str, response: Mapping[str, Any]) -> str:
        """How the response ended; empty while it has not. A body that was not streamed says it in its status alone."""
        said = kind.removeprefix("response.") if kind.startswith("response.") else text_of(response, "status")
        return said if said in _FINAL else ""

    def _conclude(self, status: str, response: Mapping[str, Any]) -> None:
        self.done = True
        self._usage = usage_of(dict_of(response.get("usage")))
        if status in ("failed", "cancelled"):
            told = response.get("error") or {"message": status}
            self._gave_up = self._failures.told({"error": told}, self._model)
        elif status == "completed":
            if self._limit is not None and self._usage is not None and self._usage.output_tokens >= self._limit:
                self._finish = "length"
        elif status == "incomplete":
            reason = text_of(dict_of(response.get("incomplete_details")), "reason")
            self._finish = _INCOMPLETE.get(reason, "stop")
            if reason not in _INCOMPLETE:
                said = self._failures.redact(reason) or "it did not say"
                self._remark = f"The model stopped for an unknown reason: {said}."

    def _origin(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """What helps to find an answer again at the vendor's, and which model a router or an alias chose."""
        request_id = text_of(response, "id") or self.request_id
        origin = {"request_id": request_id, "served_model": text_of(response, "model")}
        return {name: told for name, told in origin.items() if told not in ("", self._model)}


def usage_of(told: Mapping[str, Any]) -> Usage | None:
    """The `usage` of a response; None where there is none.

    Example:
        >>> usage_of({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 8}}).cache_read_tokens
        8
    """
    read, written = dict_of(told.get("input_tokens_details")), dict_of(told.get("output_tokens_details"))
    usage = Usage(
        number_of(told, "input_tokens"),
        number_of(told, "output_tokens"),
        number_of(written, "reasoning_tokens"),
        number_of(read, "cached_tokens"),
        number_of(read, "cache_write_tokens"),
    )
    return usage if usage.input_tokens or usage.output_tokens else None
