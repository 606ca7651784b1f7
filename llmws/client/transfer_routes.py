"""The part of `Api` that moves whole conversations, out as files and in from them."""

from __future__ import annotations

from typing import IO, Any

from .bodies import segment
from .requests import Requests


class TransferRoutes:
    """Routes as methods, one each, see `Api`."""

    async def export(
        self: Requests, file: IO[bytes], format: str, chat_id: str | None = None, language: str | None = None
    ) -> None:
        """GET /api/exports: write a chat, or all, to `file` as it comes."""
        params = {"format": format, "chat": chat_id, "language": language}
        async with self._stream("/api/exports", params=params, accept="*/*") as response:
            async for piece in response.aiter_bytes():
                file.write(piece)

    async def imports(self: Requests) -> list[dict[str, Any]]:
        """GET /api/imports: those of the last day, newest first."""
        return list((await self._request("GET", "/api/imports"))["items"])

    async def create_import(self: Requests, name: str, size: int, key: str | None = None) -> dict[str, Any]:
        """POST /api/imports: announce a file of `size` bytes."""
        return await self._request("POST", "/api/imports", json={"name": name, "bytes": size}, key=key)

    async def send_import(self: Requests, import_id: str, offset: int, content: bytes) -> dict[str, Any]:
        """POST /api/imports/{id}/content: the piece of the file that begins at `offset`; how far the import is."""
        path = f"/api/imports/{segment(import_id)}/content"
        return await self._request("POST", path, params={"offset": offset}, content=content)

    async def show_import(self: Requests, import_id: str) -> dict[str, Any]:
        """GET /api/imports/{id}: how far it is."""
        return await self._request("GET", f"/api/imports/{segment(import_id)}")

    async def import_records(
        self: Requests, import_id: str, limit: int = 100, cursor: str | None = None, outcome: str | None = None
    ) -> dict[str, Any]:
        """GET /api/imports/{id}/records: a page of what became of each conversation, in the order of the file."""
        params = {"limit": limit, "cursor": cursor, "outcome": outcome}
        return await self._request("GET", f"/api/imports/{segment(import_id)}/records", params=params)

    async def cancel_import(self: Requests, import_id: str) -> None:
        """DELETE /api/imports/{id}: end it; what it brought stays."""
        await self._request("DELETE", f"/api/imports/{segment(import_id)}")
