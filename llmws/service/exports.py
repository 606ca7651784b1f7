"""Conversations as files, one or all: for a browser below the door, by ticket; for a client by its token.

A file is written while it is read, conversation by conversation, in a thread; the largest conversation is what it takes
of memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response

from ..errors import NotFound
from ..store import Store
from ..store import attachments as kept_attachments
from ..store import chats as kept_chats
from ..store import transfers as kept
from ..transfer import archive, markdown, notebook, own, table, web_page
from ..transfer.conversations import Attachment, Conversation, Node, parents_first
from .access import Reader
from .downloads import saved
from .file_names import of_title
from .here import TheStore
from .identity import Person
from .tickets import Ticketed

Format = Literal["json", "markdown", "html", "csv", "notebook"]
Language = Literal["en", "zh"]

# How long the store may take for one conversation: a thread that waits for a store that is closed would wait for ever.
_READ_S = 60.0


@dataclass(frozen=True, slots=True)
class _Kind:
    suffix: str
    media_type: str


_KINDS: dict[Format, _Kind] = {
    "json": _Kind(".json", "application/json"),
    "markdown": _Kind(".md", "text/markdown; charset=utf-8"),
    "html": _Kind(".html", "text/html; charset=utf-8"),
    "csv": _Kind(".csv", "text/csv; charset=utf-8"),
    "notebook": _Kind(".ipynb", "application/x-ipynb+json"),
}
_BINARY = {"type": "string", "format": "binary"}
_CONTENT: dict[str, Any] = {
    media_type: {"schema": {"type": "object"} if "json" in media_type else _BINARY}
    for media_type in ("application/zip", *(kind.media_type for kind in _KINDS.values()))
}
_FILES: dict[int | str, dict[str, Any]] = {200: {"description": "the file", "content": _CONTENT}}


router = APIRouter(tags=["exports"])


@router.get("/door/chats/download", response_class=Response, responses=_FILES)
async def download_all(
    person: Annotated[Person, Depends(Ticketed("download", "chats"))],
    store: TheStore,
    format: Format = "json",
    language: Language = "en",
) -> Response:
    """All chats as one file, by ticket only; Markdown, HTML and notebooks as a ZIP of one file each."""
    return await _all(store, person.name, format, language)


@router.get("/door/chats/{id}/download", response_class=Response, responses=_FILES)
async def download_chat(
    id: str,
    person: Annotated[Person, Depends(Ticketed("download", "chats/{id}"))],
    store: TheStore,
    format: Format = "markdown",
    language: Language = "en",
) -> Response:
    """A chat as a file, by ticket only."""
    return await _one(store, person.name, id, format, language)


@router.get("/api/exports", response_class=Response, responses=_FILES)
async def export(
    person: Reader, store: TheStore, chat: str | None = None, format: Format = "json", language: Language = "en"
) -> Response:
    """The same for who has a token: one chat, or all."""
    if chat is not None:
        return await _one(store, person.name, chat, format, language)
    return await _all(store, person.name, format, language)


async def _one(store: Store, owner: str, id: str, format: Format, language: Language) -> Response:
    library = Library(store, owner)
    # Before the answer begins: only now can it be a refusal.
    title = (await store.read(kept_chats.get, owner, id)).title
    kind = _KINDS[format]
    pieces = library.file((library.chat(each) for each in [id]), format, language)
    return saved(map(_encoded, pieces), of_title(title, kind.suffix), kind.media_type)


async def _all(store: Store, owner: str, format: Format, language: Language) -> Response:
    library = Library(store, owner)
    ids = await store.read(kept.ids, owner)
    kind = _KINDS[format]
    name = f"llmws chats {datetime.now(UTC):%Y-%m-%d}"
    if format in ("json", "csv"):
        pieces = library.file(library.chats(ids), format, language)
        return saved(map(_encoded, pieces), of_title(name, kind.suffix), kind.media_type)
    files = (
        (of_title(chat.title, kind.suffix), chat.updated_at, library.file([chat], format, language))
        for chat in library.chats(ids)
    )
    return saved(archive.write(files), of_title(name, ".zip"), "application/zip")


class Library:
    """The chats of `owner`, and what is attached in them, as values, for the thread that writes a file of them."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._loop = asyncio.get_running_loop()

    def chat(self, id: str) -> Conversation:
        chat, rows = self._read(kept.tree, id)
        nodes = parents_first(Node(row.id, row.parent_id, row.message, row.created_at) for row in rows)
        return Conversation(
            id=chat.id,
            title=chat.title,
            model=chat.model,
            nodes=nodes,
            head_id=chat.head_id,
            system=chat.system,
            parameters=chat.parameters,
            folder=chat.folder,
            tags=chat.tags,
            pinned=chat.pinned,
            archived=chat.archived,
            created_at=chat.created_at,
            updated_at=chat.updated_at,
        )

    def chats(self, ids: Iterable[str]) -> Iterator[Conversation]:
        for each in ids:
            try:
                found = self.chat(each)
            except NotFound:  # deleted since the ids were read
                continue
            yield found

    def file(self, chats: Iterable[Conversation], format: Format, language: Language) -> Iterator[str]:
        """`chats` in `format`; only JSON and CSV hold more than one."""
        match format:
            case "json":
                return own.write(chats, self.load)
            case "csv":
                return table.write(chats)
            case "markdown":
                return _each(chats, markdown.write)
            case "html":
                return _each(chats, lambda chat: web_page.write(chat, self.load, language))
            case "notebook":
                return _each(chats, notebook.write)

    def load(self, id: str) -> Attachment | None:
        """See `Load`."""
        try:
            about, body = self._read(kept_attachments.whole, id)
        except NotFound:
            return None
        return Attachment(id, about.name, about.media_type, body)

    def _read(self, function: Callable[..., Any], *args: Any) -> Any:
        """Have the store read from a thread that is none of its own."""
        reading = asyncio.run_coroutine_threadsafe(self._store.read(function, self._owner, *args), self._loop)
        return reading.result(_READ_S)


def _encoded(text: str) -> bytes:
    # A model may have written half a character, which is then `\\ud83d`: what JSON, too, calls it.
    return text.encode("utf-8", "backslashreplace")


def _each(chats: Iterable[Conversation], write: Callable[[Conversation], Iterator[str]]) -> Iterator[str]:
    for chat in chats:
        yield from write(chat)
