"""An answer on its way to a cell: asked for, shown while it comes, cancelled when nobody waits any more.

The service owns the generation; this module only asks, reads and, when its reader leaves early, says stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, TextIO

from ..errors import Error, from_dict
from ..messages import Message, StreamEvent
from .api import Api
from .bridge import Bridge
from .progress import overwrites

_CANCEL_LIMIT_S = 3.0
# A message of the kernel per token costs more than the token: https://ipykernel.readthedocs.io (iopub).
_FLUSH_S = 0.04
# What a model wrote must not steer a terminal: no control characters but line feed and tab.
_WITHOUT_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_QUIET, _PLAIN = "\x1b[90m", "\x1b[0m"


class Answer:
    """One generation, from asking for it to its stored message.

    Args:
        ask: posts the question and returns the Generation.
    """

    def __init__(self, api: Api, ask: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._api = api
        self._ask = ask
        self._id: str | None = None
        self._kept: Message | None = None

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """Ask, and yield what comes. Leaving before the end cancels the generation in the service."""
        self._id = (await begun(self._ask, self._api.cancel))["id"]
        try:
            async with contextlib.aclosing(self._api.events(self._id)) as events:
                async for _, event in events:
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            await given_up(self._api.cancel(self._id))
            raise

    async def kept(self) -> Message:
        """The whole answer as the service stored it, whatever its end."""
        assert self._id is not None, "only after `events`"
        if self._kept is None:
            self._kept = (await self._api.generation(self._id))["message"]
        return self._kept

    async def message(self) -> Message:
        """The same of an answer that came to an end.

        Raises:
            ProviderError: the model's server refused, broke off or kept silent.
        """
        message = await self.kept()
        if message.finish_reason == "error":
            raise from_dict(message.error or {}, 502)
        return message


async def begun(
    ask: Callable[[], Awaitable[dict[str, Any]]], cancel: Callable[[str], Awaitable[None]]
) -> dict[str, Any]:
    """What `ask` began in the service. Whoever is interrupted meanwhile leaves nothing running there."""
    asking = asyncio.ensure_future(ask())
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        # The service may have begun already; only its answer tells what is to be cancelled.
        with contextlib.suppress(Error, TimeoutError):
            await given_up(cancel((await asyncio.wait_for(asking, _CANCEL_LIMIT_S))["id"]))
        raise


async def given_up(cancelling: Awaitable[None]) -> None:
    """Wait for `cancelling`, not for long: who interrupts wants the prompt back, and a service may be away."""
    with contextlib.suppress(Error, TimeoutError):
        await asyncio.wait_for(cancelling, _CANCEL_LIMIT_S)


def shown(bridge: Bridge, answer: Answer, show: bool) -> Message:
    """Wait for the whole answer, written to stdout while it comes if `show`."""
    with contextlib.closing(bridge.iterate(answer.events())) as events:
        if show:
            _write(events, sys.stdout)
        else:
            for _ in events:
                pass
    return bridge.run(answer.message())


def printable(text: str) -> str:
    """`text` without what would steer a terminal.

    Example:
        >>> printable("a\x1b[31mb")
        'a[31mb'
    """
    return text.translate(_WITHOUT_CONTROLS)


def _write(events: Iterator[StreamEvent], out: TextIO) -> None:
    coloured = overwrites(out)
    kind, column, flushed = "text", 0, 0.0
    try:
        for event in events:
            if event.type == "warning":
                event = StreamEvent("reasoning", text=f"Warning: {event.text}\n")
            if event.type not in ("text", "reasoning") or not event.text:
                continue
            if event.type != kind:
                out.write(_change(event.type, coloured, fresh=column == 0))
                kind = event.type
            text = printable(event.text)
            out.write(text)
            column = 0 if text.endswith("\n") else 1
            if time.monotonic() - flushed > _FLUSH_S:
                out.flush()
                flushed = time.monotonic()
    finally:
        out.write((_PLAIN if coloured and kind == "reasoning" else "") + ("\n" if column else ""))
        out.flush()


def _change(to: str, coloured: bool, *, fresh: bool) -> str:
    """What stands between reasoning and answer: a quiet colour where there are colours, a label elsewhere."""
    start = "" if fresh else "\n"
    if coloured:
        return start + _QUIET if to == "reasoning" else _PLAIN + start + "\n"
    return start + ("[reasoning]\n" if to == "reasoning" else "[answer]\n")
