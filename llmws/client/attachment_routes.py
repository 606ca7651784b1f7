"""The part of `Api` that speaks of pictures and files."""

from __future__ import annotations

from typing import Any

from .bodies import segment
from .requests import Requests


class AttachmentRoutes:
    """Routes as methods, one each, see `Api`."""

    async def add_attachment(self: Requests, name: str, body: bytes) -> dict[str, Any]:
        """POST /api/attachments: a picture or a text; the same one sent again is found."""
        return await self._request("POST", "/api/attachments", params={"name": name}, content=body)

    async def attachment(self: Requests, attachment_id: str) -> dict[str, Any]:
        """GET /api/attachments/{id}: what is known of it."""
        return await self._request("GET", f"/api/attachments/{segment(attachment_id)}")
