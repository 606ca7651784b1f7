"""Comparisons: one question to several models, each answered by an ordinary generation of its own.

So nothing here streams, meters or stops by itself: a page attaches to the generations, and what one model does is no
concern of another's. All begin in one transaction with the comparison. Of one model `AT_ONCE` answer at the same time,
the others wait for their turn, and their time begins with it: a vendor's limits and the figures are both spared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, with_config
from sqlalchemy import Connection

from ..errors import Conflict, Error, InvalidRequest
from ..messages import Message, Parameters
from ..store import comparisons as kept
from ..store import derive_id
from ..store import generations as kept_generations
from ..store.comparisons import Comparison, Item
from ..store.generations import Begun
from .access import Chatter, Reader
from .bodies import STRICT, GivenMessage, GivenParameters, Name, Text
from .chats import Limit
from .generations import TheGenerations, TheOrigin, plan
from .here import CreatedId, TheStore
from .identity import Person
from .metering import Call, Origin
from .models import Chosen, Models, TheModels

PURPOSE = "compare"
AT_ONCE = 2
MOST = 100

router = APIRouter(prefix="/api/comparisons", tags=["comparisons"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewComparison:
    """What to ask: a `prompt` or whole `messages`."""

    models: Annotated[list[Name], Field(min_length=1)]
    prompt: Annotated[Text, Field(min_length=1)] | None = None
    messages: Annotated[list[GivenMessage], Field(min_length=1)] | None = None
    system: Text | None = None
    repeat: Annotated[int, Field(ge=1)] = 1
    parameters: GivenParameters = field(default_factory=Parameters)

    def comparison(self, owner: str, id: str) -> Comparison:
        """The comparison that is asked for; `InvalidRequest` where it cannot be."""
        if (self.prompt is None) == (self.messages is None):
            raise InvalidRequest("A comparison has either a prompt or messages.", remedy="Send one of the two.")
        if (count := len(self.models) * self.repeat) > MOST:
            raise InvalidRequest(f"These are {count} answers.", remedy=f"Ask for up to {MOST} at a time.")
        asked = [Message.user(self.prompt)] if self.prompt is not None else self.messages or []
        messages = (Message.system(self.system), *asked) if self.system else tuple(asked)
        return Comparison(id, owner, messages, tuple(self.models), self.repeat, self.parameters, time.time())


def about(comparison: Comparison) -> dict[str, Any]:
    """A comparison without its answers; `prompt` is the last thing that a person said."""
    said = [message.text for message in comparison.messages if message.role == "user"]
    first = comparison.messages[0]
    return {
        "id": comparison.id,
        "prompt": said[-1] if said else "",
        "system": first.text if first.role == "system" else "",
        "messages": [message.to_dict() for message in comparison.messages],
        "models": list(comparison.models),
        "repeat": comparison.repeat,
        "parameters": comparison.parameters.to_dict(),
        "created_at": comparison.created_at,
        "running": comparison.running,
    }


def to_json(comparison: Comparison, items: Sequence[Item]) -> dict[str, Any]:
    return {**about(comparison), "items": [_answer(item) for item in items]}


def _answer(item: Item) -> dict[str, Any]:
    return {**asdict(item), "message": item.message.to_dict() if item.message is not None else None}


@router.post("", status_code=202)
async def create(
    asked: NewComparison,
    id: CreatedId,
    person: Chatter,
    origin: TheOrigin,
    models: TheModels,
    generations: TheGenerations,
    store: TheStore,
) -> dict[str, Any]:
    """Ask several models the same; each answer is followed at its generation's events, and fails alone."""
    wanted = asked.comparison(person.name, id)
    items, calls = _prepare(wanted, person, models, replace(origin, purpose=PURPOSE))

    def begin(connection: Connection) -> list[tuple[Begun, Call]]:
        if (known := kept.find(connection, person.name, id)) is not None:
            if replace(known, created_at=wanted.created_at, running=0) != wanted:
                raise Conflict("This Idempotency-Key asked something else.", remedy="Use a new key for each question.")
            return []
        begun = [(_begin(connection, person.name, one, call), call) for one, call in calls.items()]
        kept.create(connection, wanted, items)
        return begun

    await generations.start_all(person.name, calls, begin)
    return to_json(*await store.read(kept.get, person.name, id))


@router.get("")
async def list_comparisons(
    person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None
) -> dict[str, Any]:
    """What was asked of whom, newest first, without the answers."""
    found, following = await store.read(kept.page, person.name, limit, cursor)
    return {"items": [about(comparison) for comparison in found], "next_cursor": following}


@router.get("/{id}")
async def show(id: str, person: Reader, store: TheStore) -> dict[str, Any]:
    """A comparison with how each answer stands, and what it says once it has ended."""
    return to_json(*await store.read(kept.get, person.name, id))


@router.post("/{id}/cancel", status_code=202)
async def cancel(id: str, person: Chatter, generations: TheGenerations, store: TheStore) -> dict[str, Any]:
    """Stop all answers that are still being written; what was said so far is kept."""
    comparison, items = await store.read(kept.get, person.name, id)
    running = [item.generation_id for item in items if item.generation_id is not None and item.state == "running"]
    generations.stop(person.name, running)
    return to_json(comparison, items)


def _prepare(wanted: Comparison, person: Person, models: Models, origin: Origin) -> tuple[list[Item], dict[str, Call]]:
    """The items of a comparison, and the call that each one's generation makes, by its id."""
    items: list[Item] = []
    calls: dict[str, Call] = {}
    for column, model in enumerate(wanted.models):
        chosen = _choose(models, model)
        turn = asyncio.Semaphore(AT_ONCE)
        for repeat in range(1, wanted.repeat + 1):
            if isinstance(chosen, Error):
                items.append(Item(model, repeat, error=chosen.to_dict()))
                continue
            generation_id = derive_id(wanted.id, f"{column}/{repeat}")
            call = plan(person, chosen, wanted.messages, wanted.parameters, model, origin)
            calls[generation_id] = replace(call, turn=turn)
            items.append(Item(model, repeat, generation_id))
    return items, calls


def _choose(models: Models, model: str) -> Chosen | Error:
    try:
        return models.choose(model)
    except Error as problem:
        return problem


def _begin(connection: Connection, owner: str, id: str, call: Call) -> Begun:
    return kept_generations.begin(
        connection, owner, id, model=call.model, provider=call.provider_id, purpose=call.origin.purpose
    )
