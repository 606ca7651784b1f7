"""Conversations that are kept: listed, changed, continued."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, with_config
from sqlalchemy import Connection

from ..errors import Conflict
from ..messages import Message, Parameters
from ..store import chats as kept
from ..store import generations as kept_generations
from ..store import messages as kept_messages
from ..store.chats import Chat
from ..store.generations import Begun
from ..store.messages import ChatMessage
from . import generations as running
from . import history
from .access import Chatter, Reader
from .bodies import STRICT, GivenParameters, Name, Text
from .generations import TheGenerations, TheOrigin
from .here import CreatedId, TheStore
from .metering import Call
from .models import TheModels

Limit = Annotated[int, Query(ge=1, le=1000)]
_LONGEST_TITLE = 60

router = APIRouter(prefix="/api/chats", tags=["chats"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewChat:
    model: Name
    title: Text | None = None
    system: Text | None = None
    parameters: GivenParameters | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class Changes:
    """What is None stays as it is."""

    title: Text | None = None
    model: Name | None = None
    system: Text | None = None
    parameters: GivenParameters | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class Said:
    text: Annotated[Text, Field(min_length=1)]
    model: Name | None = None
    parameters: GivenParameters | None = None


def to_json(chat: Chat) -> dict[str, Any]:
    told = {**asdict(chat), "parameters": chat.parameters.to_dict()}
    return {name: value for name, value in told.items() if name not in ("owner", "head_id", "deleted_at")}


def message_to_json(row: ChatMessage) -> dict[str, Any]:
    return {
        "id": row.id,
        "parent_id": row.parent_id,
        "generation_id": row.generation_id,
        "created_at": row.created_at,
        "message": row.message.to_dict(),
    }


@router.get("")
async def list_chats(
    person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None, query: str | None = None
) -> dict[str, Any]:
    """Chats by their last change, newest first; `query` is a part of the title."""
    found, following = await store.read(kept.page, person.name, limit, cursor, query)
    return {"items": [to_json(chat) for chat in found], "next_cursor": following}


@router.post("", status_code=201)
async def create(new: NewChat, id: CreatedId, person: Chatter, models: TheModels, store: TheStore) -> dict[str, Any]:
    """Begin a chat; without a title it gets one from its first message."""
    models.choose(new.model)
    chat = await store.write(kept.create, person.name, id, new.model, new.title, new.system, new.parameters)
    return to_json(chat)


@router.get("/{id}")
async def show(id: str, person: Reader, store: TheStore) -> dict[str, Any]:
    return to_json(await store.read(kept.get, person.name, id))


@router.patch("/{id}")
async def change(id: str, changes: Changes, person: Chatter, models: TheModels, store: TheStore) -> dict[str, Any]:
    """Change what is given."""
    if changes.model is not None:
        models.choose(changes.model)
    given = {name: value for name, value in vars(changes).items() if value is not None}
    return to_json(await store.write(kept.update, person.name, id, **given))


@router.delete("/{id}", status_code=204)
async def delete(id: str, person: Chatter, store: TheStore) -> None:
    """Put a chat away; `restore` brings it back."""
    await store.write(kept.delete, person.name, id)


@router.post("/{id}/restore")
async def restore(id: str, person: Chatter, store: TheStore) -> dict[str, Any]:
    """Undo a delete."""
    return to_json(await store.write(kept.restore, person.name, id))


@router.get("/{id}/messages")
async def list_messages(
    id: str, person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None
) -> dict[str, Any]:
    """The latest messages, oldest first; `next_cursor` leads to older ones."""
    found, older = await store.read(kept_messages.page, person.name, id, limit, cursor)
    return {"items": [message_to_json(row) for row in found], "next_cursor": older}


@router.post("/{id}/messages", status_code=202)
async def send(
    id: str,
    said: Said,
    generation_id: CreatedId,
    person: Chatter,
    origin: TheOrigin,
    models: TheModels,
    generations: TheGenerations,
    store: TheStore,
) -> dict[str, Any]:
    """Say something; the answer begins, and is followed at its generation's events."""
    chat = await store.read(kept.get, person.name, id)
    model = said.model or chat.model
    chosen = models.choose(model)
    given = said.parameters.to_dict() if said.parameters else {}
    parameters = Parameters.from_dict({**chat.parameters.to_dict(), **given})

    def begin(connection: Connection) -> tuple[Begun, Call]:
        begun = kept_generations.begin(
            connection,
            person.name,
            generation_id,
            model=model,
            provider=chosen.provider_id,
            purpose=origin.purpose,
            chat_id=id,
            message=Message.user(said.text),
        )
        if begun.created and not chat.title:
            kept.update(connection, person.name, id, title=_title(said.text))
        path = [row.message for row in kept_messages.path(connection, person.name, id)]
        return begun, running.plan(person, chosen, history.turns(chat.system, path), parameters, model, origin)

    begun = await generations.start(person.name, generation_id, begin)
    if begun.message is None or begun.message.message.text != said.text:
        raise Conflict("This Idempotency-Key sent another message.", remedy="Use a new key for each message.")
    return {
        "message": message_to_json(begun.message),
        "answer": message_to_json(begun.answer),
        "generation": running.to_json(begun.generation),
    }


def _title(text: str) -> str:
    """
    >>> _title("Why is the sky blue? And why is it red in the evening, when the sun is low?")
    'Why is the sky blue? And why is it red in the evening,…'
    """
    line = " ".join(text.split())
    if len(line) <= _LONGEST_TITLE:
        return line
    cut = line[: _LONGEST_TITLE - 1]
    return (cut.rpartition(" ")[0] if " " in cut[30:] else cut) + "…"
