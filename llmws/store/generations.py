"""Generations: an answer being written, kept as segments of its stream until it ends, then as its message.

A generation in flight lives in the service; what reaches this module are stretches of its stream, at most every
quarter of a second, so that a crash loses no more than that. Positions are those of `llmws.messages.advance`, and
stay the same when the segments give way to the message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ..errors import Conflict, NotFound
from ..messages import Message, StreamEvent, advance, assemble, coalesce, replay
from . import chats, messages, tables, usage
from .ids import derive_id
from .messages import ChatMessage
from .usage import UsageRow


@dataclass(frozen=True, slots=True)
class Generation:
    """Who answers, for what, and how it ended. `message_id` is the answer, empty while `state` is ``"running"``."""

    id: str
    owner: str
    chat_id: str | None
    message_id: str
    model: str
    provider: str
    purpose: str
    state: Literal["running", "ended"]
    finish_reason: str | None
    created_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Begun:
    """What `begin` made, or found (`created` is False) because the request was repeated."""

    generation: Generation
    message: ChatMessage | None
    answer: ChatMessage
    created: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a stream: one coalesced event that covers the positions `first_seq` to `last_seq`."""

    first_seq: int
    last_seq: int
    event: StreamEvent


def segments(events: Iterable[StreamEvent], after: int = 0) -> list[Segment]:
    """Events that follow position `after`, coalesced, as segments.

    Example:
        >>> stretch = [StreamEvent("text", text="Hel"), StreamEvent("text", text="lo")]
        >>> [(segment.first_seq, segment.last_seq, segment.event.text) for segment in segments(stretch, after=1)]
        [(2, 6, 'Hello')]
    """
    found = []
    for event in coalesce(events):
        before, after = after, advance(after, event)
        if after > before:
            found.append(Segment(before + 1, after, event))
    return found


def begin(
    connection: Connection,
    owner: str,
    id: str,
    *,
    model: str,
    provider: str,
    purpose: str = "chat",
    chat_id: str | None = None,
    message: Message | None = None,
    parent_id: str | None = messages.HEAD,
) -> Begun:
    """Insert what the user said (if given), the empty answer and the running generation, and move the chat's head.

    The first of them goes below the chat's head, or another message of it.

    Repeated with the same `id` it returns what the first call made. A chat that is still answering is a `Conflict`.
    """
    if (known := _find(connection, id, owner)) is not None:
        if known.chat_id != chat_id:
            raise Conflict("This Idempotency-Key began an answer elsewhere.", remedy="Use a new key for each request.")
        return _begun(connection, known, created=False)
    if chat_id is not None and (answering := chats.get(connection, owner, chat_id).running) is not None:
        raise Conflict(
            "This chat is still answering.",
            remedy="Wait for the answer to end, or stop it.",
            details={"generation_id": answering},
        )
    place: dict[str, Any] = {"chat_id": chat_id, "parent_id": parent_id}
    if message is not None:
        place["parent_id"] = messages.append(connection, owner, derive_id(id, "message"), message, **place).id
    empty = Message("assistant", model=model)
    answer = messages.append(connection, owner, derive_id(id, "answer"), empty, generation_id=id, **place)
    connection.execute(
        insert(tables.generations).values(
            id=id,
            owner=owner,
            chat_id=chat_id,
            message_id=answer.id,
            model=model,
            provider=provider,
            purpose=purpose,
            state="running",
            created_at=time.time(),
        )
    )
    return _begun(connection, get(connection, owner, id), created=True)


def append_segments(connection: Connection, id: str, stretch: Sequence[Segment]) -> None:
    """Keep the next stretch of a running stream; one that leaves a gap or comes after the end is a `Conflict`."""
    if not stretch:
        return
    columns = tables.segments.c
    last = select(func.max(columns.last_seq)).where(columns.generation_id == id).scalar_subquery()
    known = connection.execute(select(last).where(tables.generations.c.id == id, tables.is_running)).one_or_none()
    if known is None:
        raise Conflict("This generation has ended.")
    expected = (known[0] or 0) + 1
    rows = []
    for segment in stretch:
        if segment.first_seq != expected:
            raise Conflict(f"A stream continues at {expected}, not at {segment.first_seq}.")
        expected = segment.last_seq + 1
        rows.append(
            {
                "generation_id": id,
                "first_seq": segment.first_seq,
                "last_seq": segment.last_seq,
                "kind": segment.event.type,
                "body": segment.event.to_dict(),
            }
        )
    connection.execute(insert(tables.segments), rows)


def finish(connection: Connection, id: str, message: Message, used: UsageRow | None = None) -> Generation:
    """End the generation: its message, finish reason and usage are recorded and its segments go, all or nothing.

    `message` must have a `finish_reason`. A generation that has already ended is a `Conflict`.
    """
    if message.finish_reason is None:
        raise ValueError("a message that has not ended cannot end a generation")
    ended = connection.execute(
        update(tables.generations)
        .where(tables.generations.c.id == id, tables.is_running)
        .values(state="ended", finish_reason=message.finish_reason, ended_at=time.time())
    )
    found = _found(_find(connection, id))
    if ended.rowcount != 1:
        raise Conflict("This generation has already ended.")
    messages.set_body(connection, found.message_id, message)
    connection.execute(delete(tables.segments).where(tables.segments.c.generation_id == id))
    if used is not None:
        usage.add(connection, used)
    return found


def get(connection: Connection, owner: str, id: str) -> Generation:
    """The generation, or `NotFound` where `owner` has none of this id."""
    return _found(_find(connection, id, owner))


def first_answer(connection: Connection, chat_id: str) -> str | None:
    """The generation of a chat that was the first to come to its end, if one did."""
    columns = tables.generations.c
    statement = select(columns.id).where(columns.chat_id == chat_id, columns.finish_reason.in_(("stop", "length")))
    return connection.scalar(statement.order_by(columns.ended_at, columns.id).limit(1))


def events(connection: Connection, owner: str, id: str) -> list[StreamEvent]:
    """The stream as far as it is known: of a running generation what was kept, of an ended one all of it."""
    generation = get(connection, owner, id)
    if generation.state == "running":
        return _kept(connection, id)
    return replay(messages.get(connection, owner, generation.message_id).message)


def interrupt_running(
    connection: Connection,
    settle: Callable[[Generation, Sequence[Message], Message], UsageRow | None] | None = None,
) -> int:
    """End every generation that a crash left running, with what it had said, and return how many those were.

    Called once when a service starts, for all owners. `settle` says what such a generation used, given what was said
    before it in its chat (nothing where it belongs to none) and what it said.
    """
    left = connection.execute(select(tables.generations).where(tables.is_running)).all()
    for generation in map(_generation, left):
        stream = _kept(connection, generation.id) or [StreamEvent("start", model=generation.model)]
        if stream[-1].type != "end":
            stream.append(StreamEvent("end", finish_reason="interrupted"))
        message = assemble(stream)
        before: list[Message] = []
        if generation.chat_id is not None:
            path = messages.path(connection, generation.owner, generation.chat_id, generation.message_id)
            before = [row.message for row in path[:-1]]
        finish(connection, generation.id, message, settle(generation, before, message) if settle else None)
    return len(left)


def _begun(connection: Connection, generation: Generation, *, created: bool) -> Begun:
    answer = messages.get(connection, generation.owner, generation.message_id)
    asked = derive_id(generation.id, "message")
    message = messages.get(connection, generation.owner, asked) if answer.parent_id == asked else None
    return Begun(generation, message, answer, created)


def _kept(connection: Connection, id: str) -> list[StreamEvent]:
    columns = tables.segments.c
    statement = select(columns.body).where(columns.generation_id == id).order_by(columns.first_seq)
    return coalesce(StreamEvent.from_dict(body) for body in connection.scalars(statement))


def _find(connection: Connection, id: str, owner: str | None = None) -> Generation | None:
    statement = select(tables.generations).where(tables.generations.c.id == id)
    if owner is not None:
        statement = statement.where(tables.generations.c.owner == owner)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _generation(row)


def _found(generation: Generation | None) -> Generation:
    if generation is None:
        raise NotFound("There is no such generation.")
    return generation


def _generation(row: Row[Any]) -> Generation:
    return Generation(**row._mapping)
