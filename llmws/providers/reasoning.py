"""Splits ``<think>…</think>`` out of an answer while it streams.

Models served without a reasoning parser think aloud in their text. A tag counts only where such models write it, before
any visible text, so that an answer *about* the tag stays text. The template of R1-type models has already written the
opening tag: their stream begins inside the reasoning, and only the closing tag comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..messages import StreamEvent

OPEN, CLOSE = "<think>", "</think>"


class ReasoningSplitter:
    """Feed it deltas of text, get `reasoning` and `text` events.

    It holds back only what may become a tag, and blank space until it is known what follows. Blank space next to a tag
    is dropped.

    Args:
        opens_in_reasoning: the stream begins inside the reasoning.

    Example:
        >>> splitter = ReasoningSplitter()
        >>> deltas = ["<thi", "nk>Hm", ".</think>", "Yes"]
        >>> [(event.type, event.text) for delta in deltas for event in splitter.feed(delta)]
        [('reasoning', 'Hm'), ('reasoning', '.'), ('text', 'Yes')]
    """

    def __init__(self, opens_in_reasoning: bool = False) -> None:
        self._held = ""
        self._state: Literal["before", "reasoning", "text"] = "reasoning" if opens_in_reasoning else "before"
        self._after_tag = opens_in_reasoning

    def feed(self, delta: str) -> Iterator[StreamEvent]:
        self._held += delta
        while self._held and (event := self._step()) is not None:
            if event.text:
                yield event

    def release(self) -> Iterator[StreamEvent]:
        """The server tells reasoning from text by itself: from here on, tags in the text are text."""
        held = [event for event in self.flush() if event.text.strip()]
        self._state, self._after_tag = "text", False
        yield from held

    def flush(self) -> Iterator[StreamEvent]:
        """What was still held back when the stream ended."""
        held, self._held = self._held, ""
        if self._after_tag:
            held = held.lstrip()
        if held:
            yield StreamEvent("reasoning" if self._state == "reasoning" else "text", text=held)

    def _step(self) -> StreamEvent | None:
        """Take what is certain from the held text (an event without text where that is a tag); None: wait for more."""
        if self._state == "text":
            return self._take(len(self._held), "text")
        if self._after_tag or self._state == "before":
            begin = self._held.lstrip()
            if begin.startswith(OPEN):
                self._held, self._state, self._after_tag = begin[len(OPEN) :], "reasoning", True
                return StreamEvent("reasoning")
            if OPEN.startswith(begin):
                return None
            if self._after_tag:
                self._held = begin
        if self._state == "before":
            self._state, self._after_tag = "text", False
            return StreamEvent("text")
        return self._step_reasoning()

    def _step_reasoning(self) -> StreamEvent | None:
        said, closed, rest = self._held.partition(CLOSE)
        if closed:
            self._held, self._state, self._after_tag = rest, "before", True
            return StreamEvent("reasoning", text=said)
        certain = len(self._held) - _overlap(self._held, CLOSE)
        if certain == 0:
            return None
        self._after_tag = False
        return self._take(certain, "reasoning")

    def _take(self, count: int, kind: Literal["reasoning", "text"]) -> StreamEvent:
        said, self._held = self._held[:count], self._held[count:]
        return StreamEvent(kind, text=said)


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
