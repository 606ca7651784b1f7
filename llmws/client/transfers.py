"""Conversations as files, from a cell: what `client.chats.export` and `client.chats.import_` do."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from .answers import given_up
from .api import Api
from .listings import listed, table
from .progress import follow

if TYPE_CHECKING:
    import pandas

    from .client import Client

REPORT = ["place", "title", "outcome", "messages", "reason", "chat_id"]
_PIECE, _RECORDS = 4 << 20, 500
# How long to wait before looking again: a small file is there at once, a large one takes its time.
_SOONEST_S, _LATEST_S = 0.05, 1.0

# What a file's name says of its format.
SUFFIXES = {".json": "json", ".md": "markdown", ".html": "html", ".csv": "csv", ".ipynb": "notebook"}
# Of all conversations these are many files.
_ZIPPED = ("markdown", "html", "notebook")


def export(client: Client, path: str | Path, format: str | None, chat_id: str | None) -> Path:
    """Write a conversation, or all, to `path`: aside, and renamed when whole, so that nothing half is ever there."""
    path = Path(path).expanduser()
    chosen = format or SUFFIXES.get(path.suffix.lower(), "")
    if chosen not in SUFFIXES.values():
        raise InvalidRequest(
            f"What format {path.name} shall have is not clear.",
            remedy=f"Choose format= among {', '.join(SUFFIXES.values())}, or name it {', '.join(SUFFIXES)}.",
        )
    if chat_id is None and chosen in _ZIPPED and path.suffix.lower() != ".zip":
        raise InvalidRequest(
            f"All conversations as {chosen} are many files, put together in a ZIP.",
            remedy=f"Name it {path.stem}.zip and say format={chosen!r}, or choose one with chat=.",
        )
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            client.run(client.api.export(file, chosen, chat_id))
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return path


def import_(client: Client, path: str | Path, show: bool) -> pandas.DataFrame:
    """Send a file, wait until it is read, and tell what became of each conversation in it."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise InvalidRequest(f"There is no file {path}.", remedy="Check its name and folder.")
    if not (size := path.stat().st_size):
        raise InvalidRequest(f"{path.name} is empty.", remedy="Choose another file.")
    sending = _Sending(client.api, path, size)
    follow(client.loop, sending.progress(), _line, show)
    told = sending.ended
    records = client.run(listed(partial(client.api.import_records, told["id"]), at_once=_RECORDS))
    if told["error"] and not records:
        raise InvalidRequest(f"{path.name} could not be imported: {told['error']}")
    if told["error"]:
        records.append({"place": len(records) + 1, "outcome": "refused", "messages": 0, "reason": told["error"]})
    return table(records, REPORT)


class _Sending:
    """One import, from its file to its report."""

    def __init__(self, api: Api, path: Path, size: int) -> None:
        self._api = api
        self._path = path
        self._size = size
        self.ended: dict[str, Any] = {}

    async def progress(self) -> AsyncGenerator[dict[str, Any]]:
        """Send the file, and yield how far the import is; leaving before the end cancels it in the service, and so does
        what goes wrong before the file is there: a person has few imports at once."""
        told = await self._api.create_import(self._path.name, self._size)
        try:
            with self._path.open("rb") as file:
                while told["state"] == "uploading":
                    yield told
                    file.seek(told["received"])
                    if not (piece := file.read(_PIECE)):
                        raise InvalidRequest(f"{self._path.name} became shorter while it was sent.")
                    told = await self._api.send_import(told["id"], told["received"], piece)
            pause = _SOONEST_S
            while told["state"] != "ended":
                yield told
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LATEST_S)
                told = await self._api.show_import(told["id"])
            yield told
        except BaseException as problem:
            # What came whole is read to its end, also where nobody could ask after it.
            left = isinstance(problem, asyncio.CancelledError | GeneratorExit)
            if told["state"] == "uploading" or (left and told["state"] != "ended"):
                await given_up(self._api.cancel_import(told["id"]))
            raise
        self.ended = told


def _line(told: dict[str, Any]) -> str:
    """
    >>> _line({"state": "ended", "imported": 2, "updated": 0, "present": 1, "refused": 0})
    '2 imported, 1 there already'
    """
    if told["state"] == "uploading":
        return f"Sending: {told['received'] / told['bytes']:.0%}"
    words = {"imported": "imported", "updated": "updated", "present": "there already", "refused": "refused"}
    counts = ", ".join(f"{told[name]:,} {word}" for name, word in words.items() if told[name])
    if told["state"] == "reading":
        return f"Reading: {told['read'] / told['bytes']:.0%}{', ' if counts else ''}{counts}"
    return counts or "Nothing was imported"
