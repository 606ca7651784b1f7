"""Folds the lines of Ollama's own wire into `StreamEvent`s; pure, one object an answer.

A line is untrusted: whatever is not of the expected kind is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from ..errors import ProviderError
from ..messages import FinishReason, StreamEvent, Usage
from .base import error_event
from .failures import OF_THE_LINE, Failures
from .reasoning import ReasoningSplitter
from .untrusted import dict_of, dicts_of, number_of, text_of

_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "load": "stop", "unload": "stop", "": "stop"}
# In nanoseconds, told with the usage in seconds.
_DURATIONS = {
    "load_duration": "load_s",
    "prompt_eval_duration": "prompt_s",
    "eval_duration": "output_s",
    "total_duration": "total_s",
}


class Answer:
    """One answer; see `Fold` of `wire`.

    Args:
        model: whom the request asked.
        failures: names what the server complains of.
        warnings: what to tell at the start.
        reasons: it was told to reason, so that it is worth a word if it does not.
    """

    def __init__(self, model: str, failures: Failures, warnings: list[StreamEvent], *, reasons: bool = False) -> None:
        self.spoke = False
        self.done = False
        self.request_id = ""
        self.warnings = warnings
        self._model = model
        self._failures = failures
        self._reasons = reasons
        self._reasoned = False
        self._started = False
        # Models of which the server does not know that they reason do it aloud.
        self._splitter = ReasoningSplitter()
        self._called = 0
        self._last: Mapping[str, Any] = {}

    def feed(self, chunk: Any) -> Iterator[StreamEvent]:
        """The events of one line; raises `ProviderError` where the line tells a failure."""
        line = dict_of(chunk)
        if line.get("error"):
            raise self._failures.told(line, self._model, number_of(line, "status") or None)
        if "message" not in line and "done" not in line:
            return
        if not self._started:
            self._started = True
            yield StreamEvent("start", model=self._model, data=self._origin(line))
            yield from self.warnings
        for event in self._say(dict_of(line.get("message"))):
            self.spoke = True
            self._reasoned |= event.type == "reasoning"
            yield event
        if line.get("done") is True:
            self.done, self._last = True, line

    def finish(self, failure: ProviderError | None = None) -> Iterator[StreamEvent]:
        """The events that end the answer; `failure` is what ended it before its time."""
        if failure is not None and self.done and failure.code in OF_THE_LINE:
            failure = None
        if failure is None and not self.done and self._started:
            failure = self._failures.broke_off()
        if not self._started:
            raise failure or self._failures.unreadable()
        for event in self._splitter.flush():
            self._reasoned |= event.type == "reasoning"
            yield event
        reason = text_of(self._last, "done_reason")
        if failure is None:
            yield from self._remarks(reason)
        if usage := self._usage():
            yield usage
        if failure is not None:
            yield error_event(failure)
            yield StreamEvent("end", finish_reason="error")
            return
        finish = _FINISH.get(reason, "stop")
        yield StreamEvent("end", finish_reason="tool_calls" if self._called and finish == "stop" else finish)

    def _say(self, message: Mapping[str, Any]) -> Iterator[StreamEvent]:
        if thinking := text_of(message, "thinking"):
            yield from self._splitter.release()
            yield StreamEvent("reasoning", text=thinking)
        if content := text_of(message, "content"):
            yield from self._splitter.feed(content)
        for call in dicts_of(message.get("tool_calls")):
            yield from self._splitter.release()
            yield self._call(call)

    def _call(self, call: Mapping[str, Any]) -> StreamEvent:
        """A call comes whole; only new servers give it an id, and all of one answer may have the index 0."""
        function = dict_of(call.get("function"))
        arguments = function.get("arguments")
        data = {
            "index": self._called,
            "id": text_of(call, "id") or f"call_{uuid4().hex[:24]}",
            "name": text_of(function, "name"),
            "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False),
        }
        self._called += 1
        return StreamEvent("tool_call", data=data)

    def _remarks(self, reason: str) -> Iterator[StreamEvent]:
        if reason not in _FINISH:
            said = self._failures.redact(reason)
            yield StreamEvent("warning", text=f"The model stopped for an unknown reason: {said}.")
        if self._reasons and not self._reasoned:
            yield StreamEvent(
                "warning", text="The model did not show its reasoning: with a JSON schema, Ollama may leave it out."
            )

    def _usage(self) -> StreamEvent | None:
        usage = Usage(number_of(self._last, "prompt_eval_count"), number_of(self._last, "eval_count"))
        if not (usage.input_tokens or usage.output_tokens):
            return None
        told = {
            ours: number_of(self._last, theirs) / 1e9 for theirs, ours in _DURATIONS.items() if theirs in self._last
        }
        return StreamEvent("usage", usage=usage, data=told)

    def _origin(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Which model an alias or the cloud chose; Ollama gives its answers no ids."""
        served = text_of(line, "remote_model") or text_of(line, "model")
        origin = {"request_id": self.request_id, "served_model": served}
        return {name: told for name, told in origin.items() if told not in ("", self._model)}
