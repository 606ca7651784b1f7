"""Conversations that are kept: listed, found, put in order and away. What is said in them is `turns`' business."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field, StringConstraints, with_config
from sqlalchemy import Connection

from ..errors import InvalidRequest
from ..store import assistants as kept_assistants
from ..store import chats as kept
from ..store import search
from ..store.chats import Chat, Heading
from ..store.search import Hit
from . import figures
from .access import Chatter, Reader
from .bodies import STRICT, GivenParameters, Name, Text, storable
from .erasing import TheErasing
from .figures import Filling
from .here import CreatedId, TheStore
from .models import TheModels

Limit = Annotated[int, Query(ge=1, le=1000)]
# A name that stands in a line; two that differ only in what no database keeps would be one.
_LINE = r"^[^\x00-\x1f\x7f]*$"
_Heading = Annotated[
    str, BeforeValidator(storable), StringConstraints(strip_whitespace=True, max_length=100, pattern=_LINE)
]
_MOST_TAGS = 50

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
    temporary: bool = False


@with_config(STRICT)
@dataclass(frozen=True)
class Changes:
    """What is None stays as it is; the folder "" is none, and `tags` are all that the chat shall have."""

    title: Text | None = None
    model: Name | None = None
    system: Text | None = None
    parameters: GivenParameters | None = None
    folder: _Heading | None = None
    tags: Annotated[list[Annotated[_Heading, Field(min_length=1)]], Field(max_length=_MOST_TAGS)] | None = None
    pinned: bool | None = None
    archived: bool | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class Renaming:
    folder: Annotated[_Heading, Field(min_length=1)]
    to: _Heading


def to_json(chat: Chat) -> dict[str, Any]:
    told = {**asdict(chat), "parameters": chat.parameters.to_dict()}
    return {name: value for name, value in told.items() if name not in ("owner", "head_id", "deleted_at")}


def hit_to_json(hit: Hit) -> dict[str, Any]:
    return {**to_json(hit.chat), "match": asdict(hit.match)}


def _headings(found: list[Heading]) -> dict[str, Any]:
    return {"items": [asdict(one) for one in found]}


@router.get("")
async def list_chats(
    person: Reader,
    store: TheStore,
    limit: Limit = 50,
    cursor: str | None = None,
    query: Annotated[str | None, Query(max_length=1000)] = None,
    folder: str | None = None,
    tag: str | None = None,
    archived: bool | None = None,
) -> dict[str, Any]:
    """Chats, the pinned first, then by their last change, newest first; of the archived none unless asked for.

    `query` finds words in titles and messages, the last one also by its beginning, in archived chats too unless asked
    otherwise; those that are called so come first. A hit has a `match`: the message, a line of it, and where in that
    line and in the title the words stand, in code points. The folder "" is what is in none, and what is pinned.
    """
    among = {"folder": folder, "tag": tag}
    if query is None:
        chats, following = await store.read(kept.page, person.name, limit, cursor, archived=bool(archived), **among)
        return {"items": [to_json(chat) for chat in chats], "next_cursor": following}
    hits, following = await store.read(search.find, person.name, query, limit, cursor, archived=archived, **among)
    return {"items": [hit_to_json(hit) for hit in hits], "next_cursor": following}


@router.post("", status_code=201)
async def create(new: NewChat, id: CreatedId, person: Chatter, models: TheModels, store: TheStore) -> dict[str, Any]:
    """Begin a chat, perhaps with an assistant; without a title it gets one from its first message.

    A temporary one is neither listed nor found, and is erased when it is deleted, ten minutes after its person's last
    client is gone, a day after its last change, or when the service starts.
    """
    model, system, parameters = new.model, new.system, new.parameters
    if new.assistant_id is not None:
        assistant = await store.read(kept_assistants.usable, person.name, person.groups, new.assistant_id)
        model = assistant.model if model is None else model
        system = assistant.system if system is None else system
        parameters = assistant.parameters if parameters is None else parameters
    if model is None:
        raise InvalidRequest("A chat needs a model.", remedy="Name a model, or an assistant.")
    models.choose(model)
    begun = (id, model, new.title, system, parameters, new.assistant_id, new.temporary)
    return to_json(await store.write(kept.create, person.name, *begun))


@router.get("/folders")
async def list_folders(person: Reader, store: TheStore) -> dict[str, Any]:
    """The folders by name, and how many chats each has. A folder is there while a chat is in it."""
    return _headings(await store.read(kept.folders, person.name))


@router.post("/folders/rename")
async def rename_folder(renaming: Renaming, person: Chatter, store: TheStore) -> dict[str, Any]:
    """Give a folder another name, or that of another folder, or none: then its chats are in no folder."""
    moved = await store.write(kept.rename_folder, person.name, renaming.folder, renaming.to)
    return {"name": renaming.to, "moved": moved}


@router.get("/tags")
async def list_tags(person: Reader, store: TheStore) -> dict[str, Any]:
    """The tags by name, and how many chats have each."""
    return _headings(await store.read(kept.tags, person.name))


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
async def delete(id: str, person: Chatter, erasing: TheErasing) -> None:
    """Delete a chat. For 30 days `restore` brings it back, then it is erased; a temporary one is erased at once."""
    await erasing.delete(person.name, id)


@router.post("/{id}/restore")
async def restore(id: str, person: Chatter, store: TheStore) -> dict[str, Any]:
    """Undo a delete."""
    return to_json(await store.write(kept.restore, person.name, id))
