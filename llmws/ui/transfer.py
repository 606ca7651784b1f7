"""The part of the chat page that moves whole conversations: files out, and files in, whose bytes take the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from .page import intent

if TYPE_CHECKING:
    from ..client.api import Api

FORMATS = ("json", "markdown", "html", "csv", "notebook")
OUTCOMES = ("imported", "updated", "present", "refused")
_RECORDS = 50


class Transfer:
    """What `Chat` is made with."""

    _api: Api

    @intent
    async def download(self, view: str, *, format: str, id: str | None = None, language: str = "en") -> dict[str, Any]:
        """The path, below the door, of a conversation as a file, or of all; its ticket lives for minutes."""
        if format not in FORMATS or language not in ("en", "zh"):
            raise InvalidRequest(f"There is no format {format!r}.", remedy=f"Choose {', '.join(FORMATS)}.")
        ticket = await self._api.ticket("download", "chats" if id is None else f"chats/{id}")
        return {"path": f"{ticket['path']}&format={format}&language={language}"}

    @intent
    async def imports(self, view: str) -> list[dict[str, Any]]:
        """Those of the last day, newest first: a page that was reloaded finds the one that is going on."""
        return await self._api.imports()

    @intent
    async def begin_import(self, view: str, *, name: str, size: int, key: str) -> dict[str, Any]:
        """Announce a file; its pieces go to the path of `send_import`. A repeated `key` is the same import."""
        return await self._api.create_import(name, size, key=key)

    @intent
    async def send_import(self, view: str) -> str:
        """The path, below the door, that takes pieces of files; its ticket lives for minutes."""
        return str((await self._api.ticket("upload", "imports"))["path"])

    @intent
    async def show_import(self, view: str, *, id: str) -> dict[str, Any]:
        return await self._api.show_import(id)

    @intent
    async def import_records(self, view: str, *, id: str, outcome: str, cursor: str | None = None) -> dict[str, Any]:
        """A page of the conversations that ended so."""
        if outcome not in OUTCOMES:
            raise InvalidRequest(f"There is no outcome {outcome!r}.", remedy=f"Choose {', '.join(OUTCOMES)}.")
        return await self._api.import_records(id, _RECORDS, cursor, outcome)

    @intent
    async def cancel_import(self, view: str, *, id: str) -> None:
        await self._api.cancel_import(id)
