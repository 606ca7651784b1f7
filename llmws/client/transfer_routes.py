"""The part of `Api` that moves whole conversations: out as files."""

from __future__ import annotations

from typing import IO

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
