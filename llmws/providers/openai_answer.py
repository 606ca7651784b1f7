"""Folds the chunks of the OpenAI chat completions wire into `StreamEvent`s; pure, one object an answer.

A chunk is untrusted: whatever is not of the expected kind is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from ..errors import ProviderError
from ..messages import FinishReason, StreamEvent, Usage
from .base import error_event
from .failures import OF_THE_LINE, Failures, is_complaint
from .openai_request import WIRE
from .reasoning import ReasoningSplitter
from .untrusted import dict_of, dicts_of, number_of

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}
# Characters of what a router wants back, which nobody sees and so nobody counts.
_MOST_KEPT = 4_000_000
# The server gave up: DeepSeek's, GLM's, vLLM's and OpenRouter's words for it.
_GAVE_UP = {"insufficient_system_resource", "network_error", "abort", "error"}


class Answer:
    """One answer: `feed` it the chunks, then `finish` it.

    Args:
        model: whom the request asked.
        failures: names what the server complains of.
        warnings: what to tell at the start.
        opens_in_reasoning: see `ReasoningSplitter`.
        keeps_details: tell at the end, as a mark, what a router wants back of the reasoning.
    """

    def __init__(
        self,
        model: str,
        failures: Failures,
        warnings: list[StreamEvent],
        *,
        opens_in_reasoning: bool = False,
        keeps_details: bool = False,
    ) -> None:
        self.started = False
        self.spoke = False
        self.done = False  # the chunk with the usage follows the one that finishes
        self.request_id = ""
        self.warnings = warnings
        self._model = model
        self._failures = failures
        self._splitter = ReasoningSplitter(opens_in_reasoning)
        self._details: dict[tuple[str, str], dict[str, Any]] | None = {} if keeps_details else None
        self._kept = 0
        self._calls: dict[int | str, tuple[int, str]] = {}
        self._last_call: int | str = 0
        self._called = 0
        self._usage: Usage | None = None
        self._finish: FinishReason | None = None
        self._gave_up: ProviderError | None = None

    def feed(self, chunk: Any) -> Iterator[StreamEvent]:
        """The events of one chunk; raises `ProviderError` where the chunk tells a failure."""
        chunk = dict_of(chunk)
        if is_complaint(chunk):
            raise self._failures.told(chunk, self._model)
        self._count(chunk.get("usage"))
        if "choices" not in chunk:
            return
        if not self.started:
            self.started = True
            yield StreamEvent("start", model=self._model, data=_origin(chunk, self._model))
            yield from self.warnings
        for choice in dicts_of(chunk["choices"]):
            if choice.get("index") in (0, None):
                for event in self._choose(choice):
                    self.spoke = True
                    yield event

    def finish(self, failure: ProviderError | None = None) -> Iterator[StreamEvent]:
        """The events that end the answer; `failure` is what ended it before its time."""
        if failure is not None and self._finish is not None and failure.code in OF_THE_LINE:
            failure = None
        failure = failure or self._gave_up
        if not self.started:
            raise failure or self._failures.unreadable()
        yield from self._splitter.flush()
        if self._details:
            details = list(self._details.values())
            yield StreamEvent("reasoning", data={"details": details, "wire": WIRE})
        if self._usage is not None:
            yield StreamEvent("usage", usage=self._usage)
        if failure is not None:
            yield error_event(failure)
            yield StreamEvent("end", finish_reason="error")
            return
        reason = self._finish or "stop"
        # Ollama and GLM say `stop` after tool calls.
        yield StreamEvent("end", finish_reason="tool_calls" if self._called and reason == "stop" else reason)

    def _choose(self, choice: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """The events of a choice; one that was not streamed has a whole `message` in place of a `delta`."""
        if choice.get("error"):
            raise self._failures.told(choice, self._model)
        self._count(choice.get("usage"))  # Moonshot counts here
        delta = dict_of(choice.get("delta") or choice.get("message"))
        # vLLM renamed the one to the other, and sends both for a while.
        if isinstance(reasoning := delta.get("reasoning_content") or delta.get("reasoning"), str) and reasoning:
            yield from self._splitter.release()
            yield StreamEvent("reasoning", text=reasoning)
        self._keep_details(dicts_of(delta.get("reasoning_details")))
        for said in (delta.get("content"), delta.get("refusal")):
            if text := _text(said):
                yield from self._splitter.feed(text)
        for note in dicts_of(delta.get("annotations")):
            if url := dict_of(note.get("url_citation")).get("url"):
                yield StreamEvent(
                    "citation", data={"url": str(url), "title": str(note["url_citation"].get("title", ""))}
                )
        for call in dicts_of(delta.get("tool_calls")):
            yield from self._splitter.release()
            yield self._call(call)
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            yield from self._note_finish(reason)

    def _keep_details(self, details: list[dict[str, Any]]) -> None:
        """Join the deltas of each detail: its texts grow, what else it says stays."""
        if self._details is None:
            return
        for detail in details:
            self._kept += len(str(detail))
            if self._kept > _MOST_KEPT:
                self._details = None  # nobody thinks so long; half of it is of no use
                return
            known = self._details.setdefault((str(detail.get("type")), str(detail.get("index"))), {})
            for name, value in detail.items():
                if name in ("text", "summary", "data") and isinstance(value, str):
                    known[name] = str(known.get(name) or "") + value
                elif value is not None:
                    known[name] = value

    def _call(self, call: Mapping[str, Any]) -> StreamEvent:
        function = dict_of(call.get("function"))
        said = call.get("id") if isinstance(call.get("id"), str) else ""
        index = call.get("index")
        key = index if isinstance(index, int) else said or self._last_call
        told: dict[str, Any] = {}
        # Ollama gives all calls of an answer the index 0: another id is another call.
        # https://github.com/ollama/ollama/issues/15457
        if key not in self._calls or (said and said != self._calls[key][1]):
            told |= {"id": said or f"call_{uuid4().hex[:24]}", "name": ""}
            self._calls[key] = (self._called, told["id"])
            self._called += 1
        self._last_call = key
        if isinstance(name := function.get("name"), str) and name:
            told["name"] = name
        arguments = function.get("arguments")
        if extra := dict_of(call.get("extra_content")):
            told["extra_content"] = extra
        told["arguments"] = arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""
        return StreamEvent("tool_call", data={"index": self._calls[key][0], **told})

    def _note_finish(self, reason: str) -> Iterator[StreamEvent]:
        self._finish = _FINISH.get(reason, "stop")
        if reason in _GAVE_UP:
            self._gave_up = self._failures.told({"code": 503, "message": reason}, self._model)
        elif reason not in _FINISH:
            yield StreamEvent(
                "warning", text=f"The model stopped for an unknown reason: {self._failures.redact(reason)}."
            )

    def _count(self, told: Any) -> None:
        """Note the usage so far: cumulative where it comes with every chunk, null or zero until it is known."""
        if not told:
            return
        usage = usage_of(dict_of(told))
        if usage.input_tokens or usage.output_tokens:
            self._usage = usage


def usage_of(told: Mapping[str, Any]) -> Usage:
    """The `usage` of a chat completion; the names are OpenAI's, DeepSeek's, DashScope's and Moonshot's.

    Example:
        >>> usage = usage_of({"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 8})
        >>> usage.input_tokens, usage.output_tokens, usage.cache_read_tokens
        (9, 3, 8)
    """
    read, written = dict_of(told.get("prompt_tokens_details")), dict_of(told.get("completion_tokens_details"))
    prompt, output = number_of(told, "prompt_tokens"), number_of(told, "completion_tokens")
    reasoning = number_of(written, "reasoning_tokens")
    # xAI counts reasoning beside the completion, not in it.
    if reasoning and number_of(told, "total_tokens") == prompt + output + reasoning:
        output += reasoning
    cached = (
        number_of(read, "cached_tokens")
        or number_of(told, "prompt_cache_hit_tokens")
        or number_of(told, "cached_tokens")
    )
    return Usage(prompt, output, reasoning, cached, number_of(read, "cache_creation_input_tokens"))


def _origin(chunk: Mapping[str, Any], model: str) -> dict[str, Any]:
    """What helps to find an answer again at the vendor's, and which model a router or an alias chose."""
    origin = {"request_id": chunk.get("id"), "served_model": chunk.get("model")}
    return {name: told for name, told in origin.items() if isinstance(told, str) and told not in ("", model)}


def _text(content: Any) -> str:
    """Text that is a string, or a list of parts as in Mistral's answers."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in dicts_of(content) if isinstance(part.get("text"), str))
