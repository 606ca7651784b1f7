"""Conversations that are kept: listed and changed. What is said in them is `turns`' business."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import with_config
from sqlalchemy import Connection

from ..errors import InvalidRequest
from ..store import assistants as kept_assistants
from ..store import chats as kept
from ..store.chats import Chat
from . import figures
from .access import Chatter, Reader
from .bodies import STRICT, GivenParameters, Name, Text
from .figures import Filling
from .here import CreatedId, TheStore
from .models import TheModels

Limit = Annotated[int, Query(ge=1, le=1000)]
_LONGEST_TITLE = 60

router = APIRouter(prefix="/api/chats", tags=["chats"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewChat:
    """What is None is the assistant's, where there is one; a model is named or comes with it."""

    model: Name | None = None
    title: Text | None = None
    system: Text | None = None
    parameters: GivenParameters | None = None
    assistant_id: Name | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class Changes:
    """What is None stays as it is."""

    title: Text | None = None
    model: Name | None = None
    system: Text | None = None
    parameters: GivenParameters | None = None


def to_json(chat: Chat) -> dict[str, Any]:
    told = {**asdict(chat), "parameters": chat.parameters.to_dict()}
    return {name: value for name, value in told.items() if name not in ("owner", "head_id", "deleted_at")}


@router.get("")
async def list_chats(
    person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None, query: str | None = None
) -> dict[str, Any]:
    """Chats by their last change, newest first; `query` is a part of the title."""
    found, following = await store.read(kept.page, person.name, limit, cursor, query)
    return {"items": [to_json(chat) for chat in found], "next_cursor": following}


@router.post("", status_code=201)
async def create(new: NewChat, id: CreatedId, person: Chatter, models: TheModels, store: TheStore) -> dict[str, Any]:
    """Begin a chat, perhaps with an assistant; without a title it gets one from its first message."""
    model, system, parameters = new.model, new.system, new.parameters
    if new.assistant_id is not None:
        assistant = await store.read(kept_assistants.usable, person.name, person.groups, new.assistant_id)
        model = assistant.model if model is None else model
        system = assistant.system if system is None else system
        parameters = assistant.parameters if parameters is None else parameters
    if model is None:
        raise InvalidRequest("A chat needs a model.", remedy="Name a model, or an assistant.")
    models.choose(model)
    begun = (id, model, new.title, system, parameters, new.assistant_id)
    return to_json(await store.write(kept.create, person.name, *begun))


@router.get("/{id}")
async def show(id: str, person: Reader, models: TheModels, store: TheStore) -> dict[str, Any]:
    """A chat with what it came to (`totals`, of all its branches) and how full its model's context is."""

    def find(connection: Connection) -> tuple[Chat, dict[str, Any], Filling]:
        chat = kept.get(connection, person.name, id)
        return chat, figures.totals(connection, id), figures.filling(connection, chat)

    chat, totals, filling = await store.read(find)
    return {**to_json(chat), "totals": totals, "context": filling.to_json(models.context(chat.model))}


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
