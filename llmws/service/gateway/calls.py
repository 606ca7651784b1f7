"""One call through the gateway: from a request on some wire, by the metering path, to an answer on the same wire.

The call runs as a task of its own, which outlives whoever asked by just as long as it takes to settle. It hands its
events to a `Feed`; one reader, the response, tells them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...errors import Error, StoreError, from_dict
from ...messages import StreamEvent, assemble, coalesce
from ..bodies import storable
from ..events import SILENCE_S
from ..identity import Person
from ..ledger import Ledger
from ..metering import Call, Origin, metered
from .bodies import decode, refuse
from .embeddings import Vectors, Wanted
from .wire import Answer, Asked

LOG = logging.getLogger("llmws.service")

# With one of these it is settled that there is an answer.
_SPEAKS = frozenset({"text", "reasoning", "tool_call", "citation"})
_LONGEST = {"x-llmws-purpose": 64, "x-llmws-notebook": 4096, "x-llmws-cell": 255}

Ask = Callable[[dict[str, Any], str, int], Asked]


class Feed:
    """The events of one call on their way to the one who tells them.

    The call never waits: what comes while nobody takes it is taken together, neighbouring deltas joined.
    """

    def __init__(self) -> None:
        self._events: list[StreamEvent] = []
        self._wanted: asyncio.Future[None] | None = None

    def put(self, event: StreamEvent) -> None:
        self._events.append(event)
        self._wake()

    async def take(self, silence_s: float) -> Sequence[StreamEvent]:
        """What came since the last time, at least one event; none where that takes longer than `silence_s`."""
        if not self._events:
            loop = asyncio.get_running_loop()
            self._wanted = loop.create_future()
            timer = loop.call_later(silence_s, self._wake)
            try:
                await self._wanted
            finally:
                timer.cancel()
                self._wanted = None
        events, self._events = self._events, []
        return events if len(events) < 2 else coalesce(events)

    def rest(self) -> Sequence[StreamEvent]:
        """What came since the last time."""
        events, self._events = self._events, []
        return events

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)


class Answering(Response):
    """The response that asks the model, and tells what it answers as it comes or as a whole.

    A call that fails before its first word is an HTTP error, as it is at the provider. Whoever hangs up has ended it.
    """

    def __init__(
        self, call: Call, ledger: Ledger, answer: Callable[[str], Answer], stream: bool, headers: dict[str, str]
    ) -> None:
        self._call = call
        self._ledger = ledger
        self._answer = answer
        self._stream = stream
        self._more = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        feed = Feed()
        calling = asyncio.create_task(self._ask(feed), name="gateway call")
        hearing = asyncio.create_task(_hear(receive, calling))
        try:
            if self._stream:
                await self._tell(feed, send)
            else:
                await asyncio.wait((calling,))
                if not hearing.done():  # else nobody is there any more
                    await self._say(feed.rest(), send)
        finally:
            hearing.cancel()
            if not calling.done():
                calling.cancel()
                await asyncio.wait((calling,))

    async def _ask(self, feed: Feed) -> None:
        ended = False

        def publish(event: StreamEvent) -> None:
            nonlocal ended
            ended = ended or event.type == "end"
            feed.put(event)

        try:
            await metered(self._call, self._ledger, publish, self._ledger.record)
        except Exception as problem:
            if not isinstance(problem, StoreError):
                LOG.exception("a call of %s could not be settled", self._call.person.name)
                problem = StoreError("What was used could not be kept.", remedy="Try again.")
            # So its end is not told as if it had been.
            data = {"code": problem.code, "remedy": problem.remedy}
            publish(StreamEvent("error", text=problem.message, data=data))
        finally:
            if not ended:
                publish(StreamEvent("end", finish_reason="error"))

    async def _say(self, events: Sequence[StreamEvent], send: Send) -> None:
        """The answer as a whole; one that broke off is an error, too, as the caller cannot tell it from a good one."""
        for event in events:
            if event.type == "error":
                raise _problem(event)
        body = msgspec.json.encode(self._answer(self._who(events)).whole(assemble(events)))
        length = (b"content-length", b"%d" % len(body))
        headers = [(b"content-type", b"application/json"), length, *self._more]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _tell(self, feed: Feed, send: Send) -> None:
        """The answer as it comes: its first frame waits for the first word, or for a silence that a proxy minds."""
        told: list[StreamEvent] = []
        begun = ended = False
        while not ended:
            events = await feed.take(SILENCE_S)
            ended = bool(events) and events[-1].type == "end"
            if not begun:
                told += events
                speaks = any(event.type in _SPEAKS for event in told)
                if not speaks and (failed := next((event for event in told if event.type == "error"), None)):
                    raise _problem(failed)
                if events and not speaks and not ended:
                    continue
                begun, events, answer = True, told, self._answer(self._who(told))
                headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
                await send({"type": "http.response.start", "status": 200, "headers": headers + self._more})
            frames = b"".join([frame for event in events for frame in answer.frames(event)])
            frames = frames or (b"" if events else answer.silence)
            if frames or ended:
                await send({"type": "http.response.body", "body": frames, "more_body": not ended})

    def _who(self, events: Sequence[StreamEvent]) -> str:
        """The model that answers: another than was asked where that could not, and one of its fallbacks stepped in."""
        stepped_in = (event.data.get("answered_by") for event in events if event.type == "warning")
        return next((str(model) for model in stepped_in if model), self._call.model)


async def begin(request: Request, person: Person, ask: Ask, wire: str) -> Response:
    """The response to a `request` that speaks `wire`, whose body `ask` understands.

    Raises:
        InvalidRequest, NotFound, ProviderError: it cannot be, or there is no such model.
    """
    state = request.app.state
    request_id: str = request.state.request_id
    asked = ask(decode(await request.body()), request_id, int(time.time()))
    chosen = state.models.choose(asked.model, person)
    same_wire = chosen.wire == wire
    call = Call(
        person,
        asked.model,
        chosen.provider_id,
        chosen.provider,
        # Nothing is cut to fit here: a program counts its own tokens, and is to hear where they are too many.
        asked.request_to(chosen.model, same_wire=same_wire),
        origin_of(request.headers),
    )
    # There is no word for it in any wire's answer.
    headers = {} if same_wire or not asked.own else {"x-llmws-dropped": ", ".join(sorted(asked.own))}
    return Answering(call, state.ledger, asked.answer, asked.stream, headers)


async def embed(request: Request, person: Person, wanted: Wanted) -> Response:
    """The response to a `request` for vectors; it takes the same path as any other call."""
    state = request.app.state
    chosen = state.models.choose(wanted.model, person, alone=True)
    call = Call(
        person,
        wanted.model,
        chosen.provider_id,
        chosen.provider,
        wanted.estimated_by(),
        origin_of(request.headers),
        ask=lambda: wanted.ask(chosen.provider, chosen.model),
    )
    return Answering(call, state.ledger, lambda _: Vectors(wanted), False, {})


def origin_of(headers: Headers) -> Origin:
    """Where a call comes from: our own client says so in headers, which are ASCII, so a path is percent-encoded."""
    purpose, notebook, cell = (headers.get(name) for name in _LONGEST)
    if not (purpose or notebook or cell):
        return _GATEWAY
    for name, most in _LONGEST.items():
        if len(headers.get(name, "")) > most:
            raise refuse(name, f"The header {name} is longer than {most} characters.")
    try:
        path = storable(unquote(notebook, errors="strict")) if notebook else None
    except ValueError:
        raise refuse("x-llmws-notebook", "The header x-llmws-notebook is not percent-encoded UTF-8.") from None
    return Origin(purpose or _GATEWAY.purpose, path, cell or None)


_GATEWAY = Origin(purpose="gateway")


async def _hear(receive: Receive, calling: asyncio.Task[None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    calling.cancel()


def _problem(event: StreamEvent) -> Error:
    return from_dict({**event.data, "message": event.text}, status=502)
