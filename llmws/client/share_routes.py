"""The part of `Api` that speaks of who else may read and use what is one's own, and of what others share."""

from __future__ import annotations

from typing import Any, Literal

from ..messages import Parameters
from .bodies import decoded, said, segment
from .requests import Requests

# What can be shared: conversations, assistants, tuned models, accounts at vendors.
Noun = Literal["chats", "assistants", "models", "providers"]


class ShareRoutes:
    """Routes as methods, one each, see `Api`."""

    async def grants(self: Requests, noun: Noun, id: str) -> list[dict[str, Any]]:
        """GET /api/{noun}/{id}/grants: with whom it is shared, as ``{"kind", "grantee", "created_at"}``."""
        return list((await self._request("GET", f"/api/{noun}/{segment(id)}/grants"))["items"])

    async def add_grant(self: Requests, noun: Noun, id: str, kind: str, grantee: str) -> dict[str, Any]:
        """PUT /api/{noun}/{id}/grants/{kind}/{grantee}, of which the kind is ``person`` or ``group``."""
        path = f"/api/{noun}/{segment(id)}/grants/{segment(kind)}/{segment(grantee)}"
        return dict(await self._request("PUT", path))

    async def remove_grant(self: Requests, noun: Noun, id: str, kind: str, grantee: str) -> None:
        """DELETE /api/{noun}/{id}/grants/{kind}/{grantee}."""
        await self._request("DELETE", f"/api/{noun}/{segment(id)}/grants/{segment(kind)}/{segment(grantee)}")

    # Links

    async def links(self: Requests, chat_id: str) -> list[dict[str, Any]]:
        """GET /api/chats/{id}/links: those that were not revoked, as ``{"id", "created_at", "expires_at"}``."""
        return list((await self._request("GET", f"/api/chats/{segment(chat_id)}/links"))["items"])

    async def create_link(self: Requests, chat_id: str, days: int | None, key: str | None = None) -> dict[str, Any]:
        """POST /api/chats/{id}/links: the link with its ``path``, below the hub's address, which is told here only."""
        path = f"/api/chats/{segment(chat_id)}/links"
        return dict(await self._request("POST", path, json={"days": days}, key=key))

    async def revoke_link(self: Requests, chat_id: str, link_id: str) -> None:
        """DELETE /api/chats/{id}/links/{link_id}; `restore_link` undoes it."""
        await self._request("DELETE", f"/api/chats/{segment(chat_id)}/links/{segment(link_id)}")

    async def restore_link(self: Requests, chat_id: str, link_id: str) -> dict[str, Any]:
        """POST /api/chats/{id}/links/{link_id}/restore."""
        return dict(await self._request("POST", f"/api/chats/{segment(chat_id)}/links/{segment(link_id)}/restore"))

    # What others share

    async def shared(self: Requests, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """GET /api/shared: a page, newest first, as ``{"items", "next_cursor"}``."""
        return dict(await self._request("GET", "/api/shared", params={"limit": limit, "cursor": cursor}))

    async def shared_chat(self: Requests, chat_id: str) -> dict[str, Any]:
        """GET /api/shared/{id}."""
        return dict(await self._request("GET", f"/api/shared/{segment(chat_id)}"))

    async def shared_messages(
        self: Requests, chat_id: str, limit: int = 50, cursor: str | None = None
    ) -> dict[str, Any]:
        """GET /api/shared/{id}/messages: a page, oldest first; the newest page first, `next_cursor` leads to older."""
        path = f"/api/shared/{segment(chat_id)}/messages"
        page = await self._request("GET", path, params={"limit": limit, "cursor": cursor})
        return {**page, "items": [decoded(item) for item in page["items"]]}

    async def copy_shared(self: Requests, chat_id: str, key: str | None = None) -> dict[str, Any]:
        """POST /api/shared/{id}/copy: a chat of one's own."""
        return dict(await self._request("POST", f"/api/shared/{segment(chat_id)}/copy", key=key))

    async def leave_shared(self: Requests, chat_id: str) -> None:
        """DELETE /api/shared/{id}: take it from one's own list."""
        await self._request("DELETE", f"/api/shared/{segment(chat_id)}")

    # Assistants

    async def assistants(self: Requests) -> list[dict[str, Any]]:
        """GET /api/assistants: one's own, and those that are shared with one."""
        return list((await self._request("GET", "/api/assistants"))["items"])

    async def create_assistant(
        self: Requests,
        name: str,
        model: str,
        description: str | None = None,
        system: str | None = None,
        parameters: Parameters | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """POST /api/assistants."""
        told = {"name": name, "model": model, "description": description, "system": system, "parameters": parameters}
        return dict(await self._request("POST", "/api/assistants", json=said(told), key=key))

    async def update_assistant(self: Requests, id: str, **changes: Any) -> dict[str, Any]:
        """PATCH /api/assistants/{id}: `name`, `description`, `model`, `system`, `parameters`."""
        return dict(await self._request("PATCH", f"/api/assistants/{segment(id)}", json=said(changes)))

    async def delete_assistant(self: Requests, id: str) -> None:
        """DELETE /api/assistants/{id}; `restore_assistant` undoes it."""
        await self._request("DELETE", f"/api/assistants/{segment(id)}")

    async def restore_assistant(self: Requests, id: str) -> dict[str, Any]:
        """POST /api/assistants/{id}/restore."""
        return dict(await self._request("POST", f"/api/assistants/{segment(id)}/restore"))
