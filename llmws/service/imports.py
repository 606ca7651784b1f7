"""Imports of conversations: a file comes in pieces, a child reads it, and each conversation is written as one whole.

The child (`llmws.transfer`) does what is heavy or dangerous; it knows neither store nor owner. What it tells belongs to
who brought the file. A service that is ended in the middle goes on when it starts again, see `import_folder`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import shutil
import sys
import time
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field, with_config

from ..errors import Conflict, Error, InvalidRequest, NotFound, StoreError, Unavailable
from ..messages import Message, Parameters
from ..store import Store
from ..store import transfers as kept
from ..store.transfers import Brought, Put, Told
from .access import Chatter, Reader
from .bodies import STRICT, Name
from .file_names import plain
from .here import CreatedId, here
from .identity import Person
from .import_attachments import Taken
from .import_folder import About, ImportFolder, Line, Outcome
from .tickets import Ticketed

LOG = logging.getLogger("llmws.service")

LARGEST = 2 << 30
# A person's imports that have not ended, and the children that run at once.
_MOST_OPEN, _AT_ONCE = 4, 2
_KEPT_S = 86_400.0
# What stays free for everything else.
_SPARE = 1 << 30
# A message of `LONGEST_MESSAGE` characters, each of up to four bytes, and what surrounds it.
_LONGEST_LINE, _AT_ONCE = 64 << 20, 64 << 10
_PAGE = 500
_HOME = Path(__file__).resolve().parents[2]


class Imports:
    """The imports of all people.

    Args:
        root: the folder of their folders.
        quota: how many bytes a person's attachments may have.
    """

    def __init__(self, root: Path, store: Store, quota: int) -> None:
        self._root = root
        self._quota = quota
        self._store = store
        self._folders: dict[str, ImportFolder] = {}
        self._read: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._closing = False

    @property
    def busy(self) -> bool:
        """Whether any is being read."""
        return bool(self._tasks)

    async def start(self) -> None:
        """Find those that are there, and go on with those that had not ended."""
        self._folders = {found.about.id: found for found in await asyncio.to_thread(ImportFolder.all, self._root)}
        await self._forget_old()
        for found in self._folders.values():
            self._begin_if_whole(found)

    async def drain(self) -> None:
        """Leave what is being read, and what becomes whole from now on; it goes on when the service starts again."""
        self._closing = True
        for task in (tasks := list(self._tasks.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def create(self, owner: str, id: str, name: str, size: int) -> ImportFolder:
        """A new import of a file of `size` bytes; where the request was repeated, the one that it made."""
        await self._forget_old()
        # From here on nothing is awaited: what is asked for twice at once is made once, and every one is counted.
        if (known := self._folders.get(id)) is not None and known.about.owner == owner:
            return known
        if sum(found.end is None for found in self.of(owner)) >= _MOST_OPEN:
            raise Conflict("Several imports of yours have not ended.", remedy="Wait for them, or cancel one.")
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if size + _SPARE > shutil.disk_usage(self._root).free:
            raise Unavailable("There is no room for this file.", remedy="Ask who runs the service to make some.")
        about = About(id, owner, name, size, time.time())
        self._folders[id] = ImportFolder.create(self._root, about)
        return self._folders[id]

    def of(self, owner: str) -> list[ImportFolder]:
        """The imports of `owner`, newest first."""
        mine = (found for found in self._folders.values() if found.about.owner == owner)
        return sorted(mine, key=lambda found: found.about.created_at, reverse=True)

    def get(self, owner: str, id: str) -> ImportFolder:
        """The import, or `NotFound` where `owner` has none of this id."""
        found = self._folders.get(id)
        if found is None or found.about.owner != owner:
            raise NotFound(
                "There is no such import.", remedy="Imports are forgotten a day after; import the file again."
            )
        return found

    async def append(self, owner: str, id: str, offset: int, data: bytes) -> ImportFolder:
        """Add a piece of the file; with the last one the import begins."""
        found = self.get(owner, id)
        if offset + len(data) > found.about.bytes:
            raise InvalidRequest(f"The file was to have {found.about.bytes} bytes.", remedy="Begin a new import.")
        # Two pieces at a time would be written over each other.
        async with self._lock(id):
            self.get(owner, id)  # it may have been cancelled meanwhile
            if found.end is None and id not in self._tasks:
                try:
                    await asyncio.to_thread(found.append, offset, data)
                except OSError as problem:
                    if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    raise Unavailable("The disk is full.", remedy="Ask who runs the service to make room.") from None
                self._begin_if_whole(found)
        return found

    async def cancel(self, owner: str, id: str) -> None:
        """End an import and forget it; conversations that it brought stay."""
        found = self.get(owner, id)
        # A piece that is just being written is written first: it would have no folder any more.
        async with self._lock(id):
            if (task := self._tasks.get(id)) is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await self._forget(found)

    def to_json(self, found: ImportFolder) -> dict[str, Any]:
        about, end = found.about, found.end or {}
        state = "ended" if found.end else "reading" if found.received == about.bytes else "uploading"
        return {
            "id": about.id,
            "name": about.name,
            "state": state,
            "bytes": about.bytes,
            "received": about.bytes if found.end else found.received,
            "read": about.bytes if found.end else self._read.get(about.id, 0),
            "kind": end.get("kind") or "",
            **{outcome: found.counts[outcome] for outcome in ("imported", "updated", "present", "refused")},
            "error": end.get("error"),
            "created_at": about.created_at,
            "ended_at": end.get("ended_at"),
        }

    def _lock(self, id: str) -> asyncio.Lock:
        return self._locks.setdefault(id, asyncio.Lock())

    async def _forget(self, found: ImportFolder) -> None:
        self._folders.pop(found.about.id, None)
        self._locks.pop(found.about.id, None)
        await asyncio.to_thread(found.remove)

    def _begin_if_whole(self, found: ImportFolder) -> None:
        import_id = found.about.id
        is_due = found.end is None and found.received == found.about.bytes
        if is_due and import_id not in self._tasks and not self._closing:
            task = asyncio.create_task(self._run(found))
            self._tasks[import_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(import_id, None))

    async def _run(self, found: ImportFolder) -> None:
        try:
            async with self._gate:
                kind, error = await self._outcome(found)
                await asyncio.to_thread(found.finish, kind, error)
        finally:
            self._read.pop(found.about.id, None)

    async def _outcome(self, found: ImportFolder) -> tuple[str, str | None]:
        """See `_import`; whatever goes wrong is an outcome, too."""
        try:
            return await self._import(found)
        except Error as problem:  # the store: its disk is full, its server gone
            return "", str(problem)
        except Exception:
            LOG.exception("import %s failed", found.about.id)
            return "", "Something went wrong inside the service."

    async def _import(self, found: ImportFolder) -> tuple[str, str | None]:
        """Write what the child tells; which program wrote the file, and why not all of it could be read."""
        kind, error, ended = "", None, False
        # What an earlier run reported is not written again: the child tells the same in the same order.
        skipped = found.reported
        pending: dict[str, Any] | None = None
        nodes: list[Told] = []
        taken = Taken(self._store, found.about.owner, self._quota)
        async with contextlib.aclosing(_lines_of_child(found.upload)) as lines:
            async for told in lines:
                if "read" in told:
                    read = self._read.get(found.about.id, 0) + told["read"]
                    self._read[found.about.id] = min(read, found.about.bytes)
                elif "attachment" in told:
                    if not skipped:
                        await taken.add(told)
                elif "chat" in told:
                    pending, nodes = told, []
                    kind = kind or told["kind"]
                elif "node" in told:
                    nodes.append(_node(told["node"]))
                elif "broken" in told:
                    error = told["broken"]
                elif "end" in told:
                    ended = True
                elif skipped:
                    skipped -= 1
                    taken.clear()
                elif "refused" in told:
                    line = Line(told["place"], told["title"], "refused", reason=told["refused"])
                    await asyncio.to_thread(found.report, line)
                    taken.clear()
                elif pending is not None:
                    await self._write(found, pending, nodes, taken)
                    taken.clear()
        if not ended:
            error = "Reading the file took more memory than an import may have, or was ended from outside."
        return kind, error

    async def _write(self, found: ImportFolder, told: dict[str, Any], nodes: list[Told], taken: Taken) -> None:
        """One conversation, as one transaction, and its line of the report."""
        nodes = [replace(node, message=taken.named(node.message)) for node in nodes]
        about = {**told["chat"], "nodes": nodes, "tags": tuple(told["chat"]["tags"])}
        about["parameters"] = Parameters.from_dict(about["parameters"])
        place, title = told["place"], about["title"]
        try:
            put: Put = await self._store.write(kept.put, found.about.owner, Brought(**about))
            reason = "It had been deleted, and is back." if put.restored else ""
            if put.added and taken.problem:
                reason = f"{reason} Not all that was attached could be taken: {taken.problem}".strip()
            line = Line(place, title, put.state, put.chat_id, put.added, reason)
        except StoreError:
            raise
        except Exception as problem:
            LOG.exception("conversation %s of import %s was refused", place, found.about.id)
            line = Line(place, title, "refused", reason=f"It could not be written ({type(problem).__name__}).")
        await asyncio.to_thread(found.report, line)

    async def _forget_old(self) -> None:
        """Reports are kept for a day, and a file that never came whole no longer."""
        before = time.time() - _KEPT_S
        for found in list(self._folders.values()):
            since = found.end["ended_at"] if found.end else found.about.created_at
            if since < before and (found.end or found.received < found.about.bytes):
                await self._forget(found)


async def _lines_of_child(file: Path) -> AsyncGenerator[dict[str, Any]]:
    """What a child tells of `file`; it ends with whoever reads."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llmws.transfer", str(file)),
        cwd=_HOME,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        async for line in _lines(child.stdout):
            yield json.loads(line)
    finally:
        await _end(child)


async def _lines(reader: StreamReader) -> AsyncGenerator[bytes]:
    """Each whole line, however long; the reader's own would hold twice as much as the longest line may have."""
    held: list[bytes] = []
    while piece := await reader.read(_AT_ONCE):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            yield b"".join([*held, end])
            held = []
        held.append(rest)
        if sum(map(len, held)) > _LONGEST_LINE:
            raise ValueError("a line without end")


async def _end(child: Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    await child.wait()


def _node(told: dict[str, Any]) -> Told:
    return Told(told["id"], told["parent_id"], Message.from_dict(told["message"]), told["created_at"])


TheImports = Annotated[Imports, here("imports")]
Offset = Annotated[int, Query(ge=0)]
_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(tags=["imports"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewImport:
    name: Name
    bytes: Annotated[int, Field(ge=1, le=LARGEST)]


@router.get("/api/imports")
async def list_imports(person: Reader, imports: TheImports) -> dict[str, Any]:
    """Imports of the last day, newest first."""
    return {"items": [imports.to_json(found) for found in imports.of(person.name)]}


@router.post("/api/imports", status_code=201)
async def create(new: NewImport, id: CreatedId, person: Chatter, imports: TheImports) -> dict[str, Any]:
    """Announce a file of conversations; it is then sent in pieces of at most 8 MiB, and read when it is whole."""
    return imports.to_json(await imports.create(person.name, id, plain(new.name), new.bytes))


@router.get("/api/imports/{id}")
async def show(id: str, person: Reader, imports: TheImports) -> dict[str, Any]:
    """How far an import is."""
    return imports.to_json(imports.get(person.name, id))


@router.get("/api/imports/{id}/records")
async def list_records(
    id: str,
    person: Reader,
    imports: TheImports,
    limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
    cursor: Offset = 0,
    outcome: Outcome | None = None,
) -> dict[str, Any]:
    """What became of each conversation, in the order of the file."""
    found = imports.get(person.name, id)
    items, following = await asyncio.to_thread(found.page, cursor, limit, outcome)
    return {"items": items, "next_cursor": None if following is None else str(following)}


@router.post("/api/imports/{id}/content", openapi_extra=_RAW)
async def append(id: str, request: Request, person: Chatter, imports: TheImports, offset: Offset) -> dict[str, Any]:
    """The next piece of the file, which begins at `offset`."""
    return imports.to_json(await imports.append(person.name, id, offset, await request.body()))


@router.post("/door/imports/upload", openapi_extra=_RAW)
async def upload(
    id: str,
    request: Request,
    person: Annotated[Person, Depends(Ticketed("upload", "imports"))],
    imports: TheImports,
    offset: Offset,
) -> dict[str, Any]:
    """The same for a browser, by ticket only."""
    return imports.to_json(await imports.append(person.name, id, offset, await request.body()))


@router.delete("/api/imports/{id}", status_code=204)
async def cancel(id: str, person: Chatter, imports: TheImports) -> None:
    """End an import and forget it; the conversations that it brought stay."""
    await imports.cancel(person.name, id)
