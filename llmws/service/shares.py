"""Conversations that others share with a person: read as they go on, and continued in a copy of one's own.

What is told is what was said. What only a provider or the owner has a use for stays behind: signed and encrypted
reasoning, the system prompt, parameters, the words of a failure, and an answer that is still being written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from ..messages import Message, Part
from ..store import shares as kept
from ..store.messages import ChatMessage
from . import chats
from .access import Chatter, Reader
from .attachments import file
from .chats import Limit
from .here import CreatedId, TheSettings, TheStore
from .identity import Person
from .tickets import Ticketed

# What of a part's data may be seen, by its type; of others nothing.
_SHOWN = {
    "tool_call": ("id", "name", "arguments"),
    "tool_result": ("id", "name", "is_error", "denied"),
    "citation": ("url", "title"),
    "image": ("attachment", "name", "media_type", "width", "height", "url"),
    "file": ("attachment", "name", "media_type"),
}

Visitor = Annotated[Person, Depends(Ticketed("download", "shared/{id}/{attachment_id}"))]

router = APIRouter(tags=["shared"])


def seen(rows: Iterable[ChatMessage]) -> list[tuple[ChatMessage, Message]]:
    """The messages that others see, as they see them."""
    told = [row for row in rows if row.message.role != "system" and not _is_open(row.message)]
    return [(row, as_seen(row.message)) for row in told]


def as_seen(message: Message) -> Message:
    """
    >>> thought = Part("reasoning", "Hm.", {"signature": "s3cret"})
    >>> as_seen(Message("assistant", (thought, Part("reasoning", data={"encrypted": "x"}), Part("text", "Yes.")))).parts
    (Part(type='reasoning', text='Hm.', data={}), Part(type='text', text='Yes.', data={}))
    """
    parts = [Part(part.type, part.text, _told(part)) for part in message.parts]
    failed = {"message": "This answer failed."} if message.error else None
    return replace(message, parts=tuple(part for part in parts if part.text or part.data), error=failed)


def _told(part: Part) -> dict[str, Any]:
    return {name: part.data[name] for name in _SHOWN.get(part.type, ()) if name in part.data}


def _is_open(message: Message) -> bool:
    return message.role == "assistant" and message.finish_reason is None


@router.get("/api/shared")
async def list_shared(person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None) -> dict[str, Any]:
    """Chats that others share with one, by their last change, newest first."""
    found, following = await store.read(kept.page, person.name, person.groups, limit, cursor)
    return {"items": [asdict(shared) for shared in found], "next_cursor": following}


@router.get("/api/shared/{id}")
async def show(id: str, person: Reader, store: TheStore) -> dict[str, Any]:
    return asdict(await store.read(kept.get, person.name, person.groups, id))


@router.get("/api/shared/{id}/messages")
async def list_messages(
    id: str, person: Reader, store: TheStore, limit: Limit = 50, cursor: str | None = None
) -> dict[str, Any]:
    """The latest messages of the branch that its owner sees, oldest first; `next_cursor` leads to older ones."""
    found, older = await store.read(kept.said, person.name, person.groups, id, limit, cursor)
    items = [{"id": row.id, "created_at": row.created_at, "message": message.to_dict()} for row, message in seen(found)]
    return {"items": items, "next_cursor": older}


@router.post("/api/shared/{id}/copy", status_code=201)
async def copy(id: str, new_id: CreatedId, person: Chatter, settings: TheSettings, store: TheStore) -> dict[str, Any]:
    """Begin a chat of one's own with what was said up to now, and what is attached in it."""
    shared, rows = await store.read(kept.whole, person.name, person.groups, id)
    said = [message for _, message in seen(rows)]
    quota = settings.attachments_mib * 2**20
    return chats.to_json(await store.write(kept.keep, person.name, new_id, shared, said, quota))


@router.get("/api/shared/{id}/attachments/{attachment_id}/content", response_class=Response)
async def content(id: str, attachment_id: str, person: Reader, store: TheStore) -> Response:
    """What is attached in a chat that another shares, as it was sent in."""
    return file(*await store.read(kept.content, person.name, person.groups, id, attachment_id))


@router.get("/door/shared/{id}/{attachment_id}/download", response_class=Response)
async def download(id: str, attachment_id: str, person: Visitor, store: TheStore) -> Response:
    """The same, by ticket only; it ends with the sharing, however long the ticket lives."""
    return file(*await store.read(kept.content, person.name, person.groups, id, attachment_id))


@router.delete("/api/shared/{id}", status_code=204)
async def leave(id: str, person: Chatter, store: TheStore) -> None:
    """Take it from one's own list; what a group of one's was given stays there."""
    await store.write(kept.leave, person.name, person.groups, id)
