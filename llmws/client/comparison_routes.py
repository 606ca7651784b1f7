"""The part of `Api` that puts a question to several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..messages import Message, Parameters
from .bodies import decoded, said, segment
from .origin import of_page
from .requests import Requests


class ComparisonRoutes:
    """Routes as methods, one each, see `Api`."""

    async def create_comparison(
        self: Requests,
        models: Sequence[str],
        prompt: str | None = None,
        messages: Sequence[Message] | None = None,
        system: str | None = None,
        repeat: int = 1,
        parameters: Parameters | None = None,
        key: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """POST /api/comparisons: put a prompt, or messages, to several models; each answer is a generation."""
        body = said({"prompt": prompt, "system": system, "parameters": parameters})
        body |= {"models": list(models), "repeat": repeat}
        if messages is not None:
            body["messages"] = [message.to_dict() for message in messages]
        headers = of_page() if origin is None else origin
        return _compared(await self._request("POST", "/api/comparisons", json=body, key=key, headers=headers))

    async def comparisons(self: Requests, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """GET /api/comparisons: a page, newest first, without the answers."""
        page = await self._request("GET", "/api/comparisons", params={"limit": limit, "cursor": cursor})
        return {**page, "items": [_compared(item) for item in page["items"]]}

    async def comparison(self: Requests, comparison_id: str) -> dict[str, Any]:
        """GET /api/comparisons/{id}: with how each answer stands, and its message once it has ended."""
        return _compared(await self._request("GET", f"/api/comparisons/{segment(comparison_id)}"))

    async def cancel_comparison(self: Requests, comparison_id: str) -> None:
        """POST /api/comparisons/{id}/cancel: stop every answer that has not ended."""
        await self._request("POST", f"/api/comparisons/{segment(comparison_id)}/cancel")


def _compared(comparison: dict[str, Any]) -> dict[str, Any]:
    told = {**comparison, "messages": [Message.from_dict(message) for message in comparison["messages"]]}
    if "items" in told:
        told["items"] = [decoded(item) for item in told["items"]]
    return told
