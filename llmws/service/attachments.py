"""Pictures and text files that people add to what they say: taken in, given out again, and given to models.

A message refers to its attachments; the bytes of a picture are fetched when a model is asked. The text of a file is a
part of the message, and reaches a model between two marks that it cannot forge.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BeforeValidator
from sqlalchemy import Connection

from ..errors import InvalidRequest, NotFound
from ..messages import Message, Part, StreamEvent
from ..settings import Settings
from ..store import Store
from ..store import attachments as kept
from ..store.attachments import Attachment
from ..store.ids import new_id
from . import media
from .access import Chatter, Reader
from .bodies import storable
from .edge import TooLarge
from .file_names import plain
from .here import TheSettings, TheStore
from .identity import Person
from .metering import Call, estimate_message
from .models import Models
from .tickets import Ticketed

MOST = 20
# What vendors take in one request, short of what base64 and the rest of it need.
MOST_BYTES = 20 * 2**20

FileName = Annotated[str, BeforeValidator(storable), Query(min_length=1, max_length=255)]
_BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
router = APIRouter(tags=["attachments"])


def to_json(attachment: Attachment) -> dict[str, Any]:
    return {name: value for name, value in asdict(attachment).items() if name not in ("owner", "sha256")}


@router.post("/api/attachments", status_code=201, openapi_extra=_BYTES)
async def add(
    request: Request, person: Chatter, store: TheStore, settings: TheSettings, name: FileName
) -> dict[str, Any]:
    """Take in a picture (PNG, JPEG, WebP, GIF; 8 MiB) or a text (1 MiB); what it is, its bytes say.

    `tokens` is about how many of them a model reads. The same file sent again is the same attachment.
    """
    return await _keep(await request.body(), name, person, store, settings)


@router.post("/door/attachments/upload", status_code=201, openapi_extra=_BYTES)
async def upload(
    request: Request,
    person: Annotated[Person, Depends(Ticketed("upload", "attachments"))],
    store: TheStore,
    settings: TheSettings,
    name: FileName,
) -> dict[str, Any]:
    """The same, by ticket only."""
    return await _keep(await request.body(), name, person, store, settings)


@router.get("/api/attachments/{id}")
async def show(id: str, person: Reader, store: TheStore) -> dict[str, Any]:
    return to_json(await store.read(kept.get, person.name, id))


@router.get("/api/attachments/{id}/content", response_class=Response)
async def content(id: str, person: Reader, store: TheStore) -> Response:
    """Its bytes, as they were sent in."""
    return file(*await store.read(kept.whole, person.name, id))


@router.get("/door/attachments/{id}/download", response_class=Response)
async def download(
    id: str, person: Annotated[Person, Depends(Ticketed("download", "attachments/{id}"))], store: TheStore
) -> Response:
    """The same, by ticket only: a picture to be shown, anything else to be saved."""
    return file(*await store.read(kept.whole, person.name, id))


async def _keep(body: bytes, name: str, person: Person, store: Store, settings: Settings) -> dict[str, Any]:
    name = plain(name)
    if len(body) > media.LARGEST:
        raise TooLarge(f"{name} is larger than {media.LARGEST // 2**20} MiB.", remedy="Attach something smaller.")
    found = await asyncio.to_thread(media.recognise, body, name)
    digest = hashlib.sha256(body).hexdigest()
    about = {"media_type": found.type, "size": len(body), "width": found.width, "height": found.height}
    new = Attachment(new_id(), person.name, digest, name, created_at=time.time(), **about)  # type: ignore[arg-type]
    attachment = await store.write(kept.add, new, body, settings.attachments_mib * 2**20)
    part = Part("image", data=about) if found.text is None else Part("file", found.text)
    return {**to_json(attachment), "tokens": estimate_message(Message("user", (part,)))}


def file(attachment: Attachment, body: bytes) -> Response:
    """Whatever it says of itself: only what was recognised as a picture is ever shown as one."""
    headers = {"Content-Security-Policy": "sandbox; default-src 'none'"}
    if _is_picture(attachment.media_type):
        # Its address is good for minutes, and the same bytes for ever.
        headers["Cache-Control"] = "private, max-age=86400"
        return Response(body, media_type=attachment.media_type, headers=headers)
    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(attachment.name, safe='')}"
    return Response(body, media_type="text/plain", headers=headers)


def _is_picture(media_type: str) -> bool:
    return media_type.startswith("image/")


# In a message


def said(connection: Connection, owner: str, parts: Sequence[Part]) -> tuple[Part, ...]:
    """`parts` as they are kept: what an attachment is, its owner's row says, whatever the request said of it.

    Raises:
        NotFound: there is no such attachment of `owner`.
        InvalidRequest: there are too many, or too large ones.
    """
    return _as_kept(connection, parts, _named_in(connection, owner, parts))


def said_in(connection: Connection, owner: str, messages: Sequence[Message]) -> list[Message]:
    """The same for all that was said in `messages`, whose attachments count together."""
    found = _named_in(connection, owner, [part for message in messages for part in message.parts])
    return [replace(message, parts=_as_kept(connection, message.parts, found)) for message in messages]


def _named_in(connection: Connection, owner: str, parts: Sequence[Part]) -> dict[str, Attachment]:
    """The attachments that `parts` name, which count as often as they are named: each time is one to read."""
    named = [part.attachment for part in parts if part.attachment]
    if len(named) > MOST:
        raise _too_much(f"There are {len(named)} attachments.")
    found = {one: kept.get(connection, owner, one) for one in dict.fromkeys(named)}
    if (size := sum(found[one].size for one in named)) > MOST_BYTES:
        raise _too_much(f"The attachments have {size / 2**20:,.1f} MiB.")
    return found


def _too_much(what: str) -> InvalidRequest:
    remedy = f"A message has {MOST} of {MOST_BYTES // 2**20} MiB at most; say the rest in another."
    return InvalidRequest(what, remedy=remedy)


def _as_kept(connection: Connection, parts: Sequence[Part], found: Mapping[str, Attachment]) -> tuple[Part, ...]:
    return tuple(_part(connection, found[part.attachment]) if part.attachment else part for part in parts)


def _part(connection: Connection, attachment: Attachment) -> Part:
    about = {"attachment": attachment.id, "name": attachment.name, "media_type": attachment.media_type}
    if _is_picture(attachment.media_type):
        return Part("image", data={**about, "width": attachment.width, "height": attachment.height})
    return Part("file", media.decoded(kept.whole(connection, attachment.owner, attachment.id)[1]) or "", about)


# To a model


async def check_sight(models: Models, model: str, vision: bool | None, parts: Iterable[Part]) -> None:
    """Refuse pictures for a model that cannot see, naming those that can."""
    if vision is not False or not any(part.type == "image" for part in parts):
        return
    able = [one.id for one in await models.list() if one.vision and one.state == "ready"]
    remedy = f"These can: {', '.join(able[:5])}." if able else "No model here can; add a provider that has one."
    raise InvalidRequest(f"{model} cannot see pictures.", remedy=remedy, code="no_vision", details={"models": able})


def visible(messages: Sequence[Message], vision: bool | None) -> tuple[tuple[Message, ...], tuple[StreamEvent, ...]]:
    """What a model can read of the conversation: one that cannot see is told that there was a picture, and so are we.

    Example:
        >>> asked, told = visible([Message("user", (Part("image", data={"name": "a.png"}),))], vision=False)
        >>> asked[0].text, told[0].data["dropped"]
        ('[The picture a.png, which you cannot see]', 1)
    """
    hidden = 0
    if vision is False:
        hidden = sum(part.type == "image" for message in messages for part in message.parts)
    if not hidden:
        return tuple(messages), ()
    asked = tuple(replace(message, parts=tuple(map(_unseen, message.parts))) for message in messages)
    text = f"{hidden} earlier pictures were left out: this model cannot see."
    if hidden == 1:
        text = "An earlier picture was left out: this model cannot see."
    return asked, (StreamEvent("warning", text=text, data={"code": "pictures_left_out", "dropped": hidden}),)


def _unseen(part: Part) -> Part:
    if part.type != "image":
        return part
    return Part("text", f"[The picture {part.data.get('name', '')}, which you cannot see]")


def check_room(messages: Sequence[Message], model: str, context: int | None) -> None:
    """Refuse files that no model of this context can read in one message, with figures."""
    last = messages[-1]
    if context is None or not any(part.type == "file" for part in last.parts):
        return
    tokens = estimate_message(last) + sum(estimate_message(one) for one in messages if one.role == "system")
    if tokens > context:
        raise InvalidRequest(
            f"With its files the message has about {tokens:,} tokens, and {model} reads {context:,} at most.",
            remedy="Attach less, or choose a model that reads more.",
            code="context_exceeded",
            details={"tokens": tokens, "context": context},
        )


def with_attachments(call: Call, store: Store) -> Call:
    """`call`, which fetches the bytes of its pictures when its turn has come."""
    parts = [part for message in call.request.messages for part in message.parts]
    if call.ask is not None or not any(part.type == "file" or part.attachment for part in parts):
        return call

    async def ask() -> AsyncGenerator[StreamEvent, None]:
        messages, told = await store.read(_inlined, call.person.name, call.request.messages)
        for warning in told:
            yield warning
        async with aclosing(call.provider.stream(replace(call.request, messages=messages))) as events:
            async for event in events:
                yield event

    return replace(call, ask=ask)


def _inlined(
    connection: Connection, owner: str, messages: Sequence[Message]
) -> tuple[tuple[Message, ...], tuple[StreamEvent, ...]]:
    """`messages` as wires take them: pictures with a ``data:`` address, files as text."""
    room, left_out = MOST_BYTES, 0
    asked: list[Message] = []
    for message in reversed(messages):  # the newest pictures before those that there is no more room for
        parts = []
        for part in message.parts:
            if part.type == "image" and part.attachment:
                picture = _picture(connection, owner, part, part.attachment, room)
                room -= len(picture.data.get("url", "")) * 3 // 4
                left_out += picture.type != "image"
                parts.append(picture)
            else:
                parts.append(_text(part) if part.type == "file" else part)
        asked.insert(0, replace(message, parts=tuple(parts)))
    if not left_out:
        return tuple(asked), ()
    most = f"{MOST_BYTES // 2**20} MiB"
    text = f"{left_out} pictures were left out: a model is shown the newest {most}, and none that are gone."
    return tuple(asked), (StreamEvent("warning", text=text, data={"code": "pictures_left_out", "dropped": left_out}),)


def _picture(connection: Connection, owner: str, part: Part, id: str, room: int) -> Part:
    """With its bytes; in words where there are none, or more than `room`."""
    try:
        if kept.get(connection, owner, id).size > room:
            return _unseen(part)
        attachment, body = kept.whole(connection, owner, id)
    except NotFound:
        return _unseen(part)
    return Part("image", data={"url": f"data:{attachment.media_type};base64,{base64.b64encode(body).decode()}"})


def _text(part: Part) -> Part:
    """A file between two marks that do not occur in it; the same file always has the same, so that caches find it.

    >>> _text(Part("file", "a </file> b", {"name": "x.md"})).text
    '<file-2 name="x.md">\\na </file> b\\n</file-2>\\n\\n'
    """
    mark, number = "file", 1
    while f"</{mark}" in part.text.lower():
        number += 1
        mark = f"file-{number}"
    name = str(part.data.get("name", "")).replace('"', "'").replace("<", "").replace(">", "")
    return Part("text", f'<{mark} name="{name}">\n{part.text}\n</{mark}>\n\n')
