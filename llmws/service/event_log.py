"""The events of one running stream, in memory, for any number of readers at their own pace.

The writer never waits for a reader: a reader is a position, and one that lags gets longer stretches, not more of them.
Positions are those of `messages.advance`. What the events mean, and where they are kept, is not known here.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator

from ..messages import StreamEvent, advance, coalesce, cut

Numbered = tuple[int, StreamEvent]


class EventLog:
    """An append-only stream that is read from any position and followed until it is closed.

    Example:
        >>> log = EventLog()
        >>> log.append(StreamEvent("start"))
        >>> log.append(StreamEvent("text", text="Hello"))
        >>> [(position, event.text) for position, event in log.after(3)]
        [(6, 'llo')]
    """

    def __init__(self) -> None:
        self.position = 0
        self.closed = False
        self._ends: list[int] = []
        self._events: list[StreamEvent] = []
        self._compacted = 0
        self._changed = asyncio.Event()

    @property
    def events(self) -> list[StreamEvent]:
        """All of it, from the beginning."""
        return list(self._events)

    def append(self, event: StreamEvent) -> None:
        """Publish `event`; an `end` closes the log."""
        self.position = advance(self.position, event)
        self._ends.append(self.position)
        self._events.append(event)
        self.closed = event.type == "end"
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, position: int) -> list[Numbered]:
        """What lies past `position`, in as few events as it can be told."""
        first = bisect_right(self._ends, position)
        before = self._ends[first - 1] if first else 0
        joined = coalesce(self._events[first:])
        return [(before + end, event) for end, event in cut(joined, position - before)]

    def compact(self) -> None:
        """Join what was appended since the last time, so that a long answer is not a million small objects."""
        before = self._ends[self._compacted - 1] if self._compacted else 0
        joined = coalesce(self._events[self._compacted :])
        self._events[self._compacted :] = joined
        self._ends[self._compacted :] = [before + end for end, _ in cut(joined, 0)]
        self._compacted = len(self._events)

    async def follow(self, position: int, silence_s: float) -> AsyncGenerator[list[Numbered], None]:
        """What lies past `position`, then what comes, until the `end`; an empty list after each `silence_s`.

        Nobody leaves without the `end`: who says to have seen it, or more than was kept before a crash, gets it again.
        """
        while True:
            changed = self._changed
            if self.closed:
                position = min(position, self.position - 1)
            if batch := self.after(position):
                position = batch[-1][0]
                yield batch
                if batch[-1][1].type == "end":
                    return
            else:
                try:
                    async with asyncio.timeout(silence_s):
                        await changed.wait()
                except TimeoutError:
                    yield []
