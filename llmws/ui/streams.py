"""The answers that a page follows while they are given: read from the service, batched, and sent to the browsers.

A message per token drowns a browser (it fell 8 s behind at 500 tokens/s); one message each 40 ms for all streams of a
page does not (70 ms). Everything here runs on the client's loop and therefore needs no lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..client.api import Api
from ..errors import Error
from ..messages import Message, StreamEvent, assemble, coalesce

BATCH_S = 0.04
# An ended answer is kept until the store is sure to tell it: who asks at that moment may have read the store before.
_KEPT = 32


class Speaker(Protocol):
    """The page that the streams belong to."""

    def tell(self, type: str, view: str | None = None, **content: Any) -> None: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...


@dataclass(slots=True)
class _Stream:
    said: list[StreamEvent] = field(default_factory=list)
    unsent: list[StreamEvent] = field(default_factory=list)
    ended: bool = False


class Streams:
    """Follows generations and tells a page's browsers what they say.

    A browser that took a snapshot needs exactly the batches that the page tells after it. `ended` hears of each answer
    that has ended.
    """

    def __init__(self, page: Speaker, api: Api, ended: Callable[[str, Message], None] | None = None) -> None:
        self._page = page
        self._api = api
        self._when_ended = ended
        self._streams: dict[str, _Stream] = {}
        self._flushing: asyncio.TimerHandle | None = None

    def follow(self, generation_id: str) -> None:
        """Read a generation from its beginning to its end; one that is followed already goes on."""
        if generation_id not in self._streams:
            stream = self._streams[generation_id] = _Stream()
            self._page.spawn(self._read(generation_id, stream))

    def message(self, generation_id: str | None) -> Message | None:
        """What a followed generation has told; None where it is not followed."""
        stream = self._streams.get(generation_id or "")
        if stream is None:
            return None
        stream.said = coalesce(stream.said)
        return assemble(stream.said)

    def flush(self) -> None:
        """Send what has come in, in one message for all streams."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        batch = []
        for generation_id, stream in self._streams.items():
            if stream.unsent:
                events, stream.unsent = coalesce(stream.unsent), []
                stream.said += events
                batch.append([generation_id, [event.to_dict() for event in events]])
        if batch:
            self._page.tell("deltas", streams=batch)

    async def _read(self, generation_id: str, stream: _Stream) -> None:
        try:
            async for _, event in self._api.events(generation_id):
                self._take(stream, event)
        except Error as error:
            # The generation may go on in the service; only this page lost sight of it.
            told = {"code": error.code, "remedy": error.remedy}
            self._take(stream, StreamEvent("error", text=error.message, data=told))
        finally:
            is_lost = not stream.ended
            if is_lost:
                self._take(stream, StreamEvent("end", finish_reason="interrupted"))
            if self._when_ended is not None and (message := self.message(generation_id)) is not None:
                self._when_ended(generation_id, message)
            if is_lost:
                # Whoever looks at the answer again has it read anew.
                del self._streams[generation_id]
            self._forget()

    def _take(self, stream: _Stream, event: StreamEvent) -> None:
        stream.unsent.append(event)
        stream.ended = stream.ended or event.type == "end"
        if stream.ended:
            # Whoever pressed Stop is waiting for it.
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(BATCH_S, self.flush)

    def _forget(self) -> None:
        ended = [generation_id for generation_id, stream in self._streams.items() if stream.ended and not stream.unsent]
        for generation_id in ended[:-_KEPT]:
            del self._streams[generation_id]
