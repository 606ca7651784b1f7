"""Conversations as files, from a cell: what `client.chats.export` does."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidRequest

if TYPE_CHECKING:
    from .client import Client

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
