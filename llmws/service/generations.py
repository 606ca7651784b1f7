"""Answers that are being written: run here, as tasks of the service, whoever listens or hangs up meanwhile.

A generation is published from memory first, kept in stretches at most every quarter of a second, and ends only once
its message and usage are committed. Readers attach by position, as often as they like; an ended generation stays in
memory for a moment, for those who lost their connection just then, and is replayed from the store later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Header
from fastapi.responses import StreamingResponse
from pydantic import Field, with_config
from sqlalchemy import Connection

from ..errors import InvalidRequest, StoreError, Unavailable
from ..messages import FinishReason, Message, Parameters, StreamEvent, Usage, assemble
from ..providers.base import CompletionRequest
from ..store import Store
from ..store import generations as kept
from ..store import messages as kept_messages
from ..store.generations import Begun, Generation
from ..store.usage import UsageRow
from . import attachments, events, history, tool_calls
from .access import Chatter, Reader
from .bodies import STRICT, GivenMessage, GivenParameters, Name
from .event_log import EventLog
from .here import CreatedId, TheStore, here
from .identity import Person
from .ledger import Ledger
from .metering import Call, Origin, Receipt, estimate_messages, estimate_tokens, metered, usage_row
from .models import Chosen, TheModels
from .tool_calls import GivenTools

LOG = logging.getLogger("llmws.service")

FLUSH_S = 0.25
# Enough for a page that reloads, or a client that reconnects with the usual pauses.
REMEMBER_S, REMEMBER = 60.0, 100
MAX_RUNNING = 200
_DRAIN_S = 5.0


@dataclass(eq=False, slots=True)
class Live:
    """A generation in memory. `begun` is set once it is in the store, or has failed to get there."""

    id: str
    owner: str
    log: EventLog = field(default_factory=EventLog)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    stopped: FinishReason | None = None
    settling: bool = False

    def stop(self, reason: FinishReason) -> None:
        """Hang up on the model, keeping what it said; without effect once it has ended or is being stopped."""
        if self.task is not None and self.stopped is None and not self.settling:
            self.stopped = reason
            self.task.cancel()


class Generations:
    """All that run, and those that just ended."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._live: dict[str, Live] = {}
        self._closing = False

    @property
    def running(self) -> int:
        return sum(not live.log.closed for live in self._live.values())

    async def start(self, owner: str, id: str, begin: Callable[[Connection], tuple[Begun, Call]]) -> Begun:
        """Begin the generation in the store, in one transaction, and run it; one begun before is only found."""
        return (await self.start_all(owner, [id], lambda connection: [begin(connection)]))[0]

    async def start_all(
        self, owner: str, ids: Collection[str], begin: Callable[[Connection], Sequence[tuple[Begun, Call]]]
    ) -> list[Begun]:
        """The same for several, all or none: `begin` tells those of `ids` that it began or found."""
        if self._closing:
            raise Unavailable("The service is shutting down.", remedy="Try again in a moment.")
        new = {one: Live(one, owner) for one in ids if one not in self._live}
        if new and self.running + len(new) > MAX_RUNNING:
            raise Unavailable(f"{self.running} answers are being written already.", remedy="Try again in a moment.")
        self._live |= new
        try:
            begun = await self._store.write(begin)
            for one, call in begun:
                if one.created:
                    live = new[one.generation.id]
                    live.task = asyncio.create_task(self._run(live, call), name=f"generation {live.id}")
        finally:
            for live in new.values():
                if live.task is None:
                    del self._live[live.id]
                live.begun.set()
        return [one for one, _ in begun]

    async def attach(self, owner: str, id: str) -> EventLog:
        """The generation's events, running or ended; `NotFound` where `owner` has none of this id."""
        if (live := self._live.get(id)) is not None:
            await live.begun.wait()
        live = self._live.get(id)
        if live is not None and live.owner == owner:
            return live.log
        log = EventLog()
        for event in await self._store.read(kept.events, owner, id):
            log.append(event)
        if not log.closed:
            # Its end could not be kept; the next start of the service does that.
            log.append(StreamEvent("end", finish_reason="interrupted"))
        return log

    async def ended(self, id: str) -> None:
        """Wait until it has ended, and what it said is kept."""
        if (live := self._live.get(id)) is not None and live.task is not None:
            await asyncio.wait({live.task})

    async def cancel(self, owner: str, id: str) -> Generation:
        """Stop it; without effect where it has ended already."""
        generation = await self._store.read(kept.get, owner, id)
        self.stop(owner, [id])
        return generation

    def stop(self, owner: str, ids: Iterable[str]) -> None:
        """Stop several at the same moment, so that none gets the turn of another that was stopped before it."""
        for one in ids:
            if (live := self._live.get(one)) is not None and live.owner == owner:
                live.stop("cancelled")

    async def end(self, owner: str, id: str) -> None:
        """Stop it, and wait until what was said is kept."""
        await self.cancel(owner, id)
        live = self._live.get(id)
        if live is not None and live.task is not None:
            await asyncio.wait({live.task}, timeout=_DRAIN_S)

    async def drain(self) -> None:
        """Begin no more, and interrupt what runs; what was said is kept, and readers get their `end`."""
        self._closing = True
        for live in self._live.values():
            live.stop("interrupted")
        if tasks := {live.task for live in self._live.values() if live.task is not None}:
            _, unsaved = await asyncio.wait(tasks, timeout=_DRAIN_S)
            for task in unsaved:
                task.cancel()

    async def _run(self, live: Live, call: Call) -> None:
        flushing = asyncio.create_task(self._flush(live))
        unsaved: list[tuple[Message, UsageRow | None]] = []
        try:
            await metered(
                attachments.with_attachments(call, self._store),
                self._ledger,
                publish=live.log.append,
                settle=partial(self._settle, live, flushing, unsaved),
                stopped=lambda: live.stopped or "interrupted",
            )
        finally:
            flushing.cancel()
            if not live.log.closed:
                # Only a mistake of ours comes here; nobody shall wait for ever because of it.
                live.log.append(StreamEvent("end", finish_reason="error"))
        for message, used in unsaved:
            await self._save_later(live.id, message, used)
        asyncio.get_running_loop().call_later(REMEMBER_S, self._live.pop, live.id, None)
        ended = [other for other in self._live.values() if other.log.closed]
        for other in ended[:-REMEMBER]:
            del self._live[other.id]

    async def _flush(self, live: Live) -> None:
        """Keep what was said so far, over and over; what a full disk refuses is tried again with what follows."""
        position = 0
        while True:
            await asyncio.sleep(FLUSH_S)
            if live.log.position == position:
                continue
            stretch = kept.segments((event for _, event in live.log.after(position)), position)
            live.log.compact()
            try:
                await self._store.write(kept.append_segments, live.id, stretch)
            except StoreError as problem:
                LOG.warning("generation %s could not be kept so far: %s", live.id, problem)
            else:
                position = stretch[-1].last_seq

    async def _settle(
        self,
        live: Live,
        flushing: asyncio.Task[None],
        unsaved: list[tuple[Message, UsageRow | None]],
        receipt: Receipt,
        tail: list[StreamEvent],
    ) -> list[StreamEvent]:
        """Commit message and usage; if that cannot be now, tell so in the stream and try again later."""
        live.settling = True
        flushing.cancel()
        await asyncio.wait({flushing})
        message = assemble([*live.log.events, *tail])
        used = usage_row(receipt, live.id)
        try:
            await self._store.write(kept.finish, live.id, message, used)
        except StoreError as problem:
            LOG.error("generation %s could not be kept: %s", live.id, problem)
            unsaved.append((message, used))
            told = StreamEvent("error", text=problem.message, data={"code": problem.code, "remedy": problem.remedy})
            return [event for event in tail if event.type == "usage"] + [told, replace(tail[-1], finish_reason="error")]
        return tail

    async def _save_later(self, id: str, message: Message, used: UsageRow | None) -> None:
        pause_s = 1.0
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._store.write(kept.finish, id, message, used)
                return
            except StoreError:
                pause_s = min(pause_s * 2, 60.0)


def interrupted(ledger: Ledger, generation: Generation, before: Sequence[Message], message: Message) -> UsageRow:
    """What a generation used that a crash broke off, as far as that can be told."""
    reasoning_tokens = estimate_tokens(message.reasoning)
    output_tokens = reasoning_tokens + estimate_tokens(message.text)
    used = Usage(estimate_messages(before), output_tokens, reasoning_tokens, source="estimate")
    at = time.time()
    bill = ledger.bill(generation.model, used, at)
    return UsageRow(
        generation.owner,
        provider=generation.provider,
        model=generation.model,
        purpose=generation.purpose,
        outcome="interrupted",
        generation_id=generation.id,
        cost=bill.cost,
        currency=bill.currency,
        price=bill.price,
        created_at=at,
        **asdict(used),
    )


async def _origin(
    x_llmws_purpose: Annotated[str, Header(min_length=1, max_length=64)] = "chat",
    x_llmws_notebook: Annotated[str | None, Header(max_length=4096)] = None,
    x_llmws_cell: Annotated[str | None, Header(max_length=255)] = None,
) -> Origin:
    # A header is ASCII, a path is not: clients send it percent-encoded.
    return Origin(x_llmws_purpose, x_llmws_notebook and unquote(x_llmws_notebook), x_llmws_cell)


TheOrigin = Annotated[Origin, Depends(_origin)]
TheGenerations = Annotated[Generations, here("generations")]
router = APIRouter(prefix="/api/generations", tags=["generations"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewGeneration:
    messages: Annotated[list[GivenMessage], Field(min_length=1)]
    model: Name
    parameters: GivenParameters = field(default_factory=Parameters)
    purpose: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    tools: GivenTools = ()


def to_json(generation: Generation, message: Message | None = None) -> dict[str, Any]:
    told = asdict(generation)
    del told["owner"]
    return told if message is None else {**told, "message": message.to_dict()}


def plan(
    person: Person,
    chosen: Chosen,
    messages: Sequence[Message],
    parameters: Parameters,
    model: str,
    origin: Origin,
    *,
    goes_on: bool = False,
    tools: Sequence[tool_calls.GivenTool] = (),
) -> Call:
    """The call that asks a model for an answer to `messages`, as far back as its context reaches.

    Args:
        goes_on: the last message is an answer that was cut off, and the model is asked for the rest of it.

    Raises:
        InvalidRequest: nothing was said, or the files in the last message are more than the model can read.
    """
    seen, unseen = attachments.visible(tool_calls.settled(messages), chosen.vision)
    if not seen:
        raise InvalidRequest("There is nothing to answer.", remedy="Say something; results belong to a call.")
    attachments.check_room(seen, model, chosen.context)
    offered, unoffered = tool_calls.offered(tools, chosen.tools)
    asked, told = history.going_on(seen, chosen.context) if goes_on else (seen, ())
    # What was asked, what was said to it, and that it shall go on.
    fitting, cut = history.fit(asked, chosen.context, parameters.max_tokens, keep=3 if goes_on else 1)
    request = CompletionRequest(chosen.model, fitting, parameters, tools=offered)
    warnings = (*unseen, *unoffered, *told, *cut)
    return Call(person, model, chosen.provider_id, chosen.provider, request, origin, warnings=warnings)


@router.post("", status_code=202)
async def create(
    asked: NewGeneration,
    id: CreatedId,
    person: Chatter,
    origin: TheOrigin,
    models: TheModels,
    generations: TheGenerations,
    store: TheStore,
) -> dict[str, Any]:
    """Ask a model once, outside of any chat; its pictures may be attachments, by their ids."""
    origin = replace(origin, purpose=asked.purpose or origin.purpose)
    chosen = models.choose(asked.model)
    messages = await store.read(attachments.said_in, person.name, asked.messages)
    await attachments.check_sight(models, asked.model, chosen.vision, messages[-1].parts)
    call = plan(person, chosen, messages, asked.parameters, asked.model, origin, tools=asked.tools)

    def begin(connection: Connection) -> tuple[Begun, Call]:
        source = chosen.provider_id
        begun = kept.begin(connection, person.name, id, model=asked.model, provider=source, purpose=origin.purpose)
        return begun, call

    return to_json((await generations.start(person.name, id, begin)).generation)


@router.get("/{id}")
async def show(id: str, person: Reader, store: TheStore) -> dict[str, Any]:
    """How it stands with a generation, and its message once it has ended."""

    def find(connection: Connection) -> tuple[Generation, Message | None]:
        generation = kept.get(connection, person.name, id)
        if generation.state == "running":
            return generation, None
        return generation, kept_messages.get(connection, person.name, generation.message_id).message

    return to_json(*await store.read(find))


@router.get("/{id}/events", response_class=StreamingResponse, responses=events.STREAM)
async def follow(
    id: str,
    person: Reader,
    generations: TheGenerations,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> StreamingResponse:
    """The answer as server-sent events from `Last-Event-ID` on, up to its `end`; it may be followed by many."""
    log = await generations.attach(person.name, id)

    async def frames() -> AsyncGenerator[list[bytes], None]:
        async for batch in log.follow(last_event_id, events.SILENCE_S):
            yield [events.frame(event.to_dict(), position) for position, event in batch]

    return events.respond(frames())


@router.post("/{id}/cancel", status_code=202)
async def cancel(id: str, person: Chatter, generations: TheGenerations) -> dict[str, Any]:
    """Stop an answer; what was said so far is kept. Its stream ends with the reason ``cancelled``."""
    return to_json(await generations.cancel(person.name, id))
