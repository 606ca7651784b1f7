"""Files below the door: a browser gets them by ticket, without the token, through the forwarder of its own server.

A file's name and text come from people and models, so they are sent to be saved, never to be shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from unicodedata import category
from urllib.parse import quote

from fastapi import APIRouter, Depends, Response

from ..messages import Message
from ..store import chats as kept_chats
from ..store import messages as kept_messages
from ..store.chats import Chat
from ..store.messages import ChatMessage
from .chats import to_json
from .here import TheStore
from .identity import Person
from .tickets import Ticketed
from .turns import to_json as message_to_json

router = APIRouter(prefix="/door", tags=["downloads"])


@router.get("/chats/{id}/download")
async def download_chat(
    id: str,
    person: Annotated[Person, Depends(Ticketed("download", "chats/{id}"))],
    store: TheStore,
    format: Literal["markdown", "json"] = "markdown",
) -> Response:
    """A chat as a file, by ticket only."""
    chat = await store.read(kept_chats.get, person.name, id)
    path = await store.read(kept_messages.path, person.name, id)
    if format == "markdown":
        return _file(_markdown(chat, path), chat.title, ".md", "text/markdown; charset=utf-8")
    told = {"chat": to_json(chat), "messages": [message_to_json(row) for row in path]}
    return _file(json.dumps(told, ensure_ascii=False, indent=1), chat.title, ".json", "application/json")


def _file(text: str, name: str, suffix: str, media_type: str) -> Response:
    headers = {
        "Content-Disposition": attachment(name, suffix),
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(text, media_type=media_type, headers=headers)


def attachment(name: str, suffix: str) -> str:
    r"""The Content-Disposition that saves a file under `name`, as far as that can be a file's name (RFC 6266).

    Example:
        >>> attachment('"Ä"\r\nX: ../y', ".md")
        'attachment; filename="_ X .. y.md"; filename*=UTF-8\'\'%C3%84%20X%20..%20y.md'
    """
    # Category C: control characters, and those that turn the direction of writing (a `gpj.exe` that reads `exe.jpg`).
    plain = "".join(" " if letter in '/\\:*?"<>|' or category(letter)[0] == "C" else letter for letter in name)
    safe = " ".join(plain.split())[:80].strip(" .") or "chat"
    ascii_only = "".join(letter if letter.isascii() else "_" for letter in safe)
    return f"attachment; filename=\"{ascii_only}{suffix}\"; filename*=UTF-8''{quote(safe + suffix, safe='')}"


def _markdown(chat: Chat, path: Sequence[ChatMessage]) -> str:
    began = datetime.fromtimestamp(chat.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    blocks = [f"# {chat.title or 'Chat'}", f"{chat.model}, {began}"]
    if chat.system:
        blocks += ["## System", chat.system]
    for row in path:
        blocks += [f"## {_speaker(row.message)}", *_said(row.message)]
    return "\n\n".join(blocks) + "\n"


def _speaker(message: Message) -> str:
    return f"{message.role.capitalize()} ({message.model})" if message.model else message.role.capitalize()


def _said(message: Message) -> list[str]:
    said = []
    if message.reasoning:
        said.append("\n".join(f"> {line}".rstrip() for line in message.reasoning.splitlines()))
    if message.text:
        said.append(message.text)
    if message.error:
        said.append(f"*Failed: {message.error.get('message', '')}*")
    elif message.finish_reason in ("cancelled", "interrupted"):
        said.append(f"*{message.finish_reason.capitalize()} before its end.*")
    return said
