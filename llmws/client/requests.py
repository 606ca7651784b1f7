"""How the routes of a noun ask: the one method of `Api` that they need."""

from __future__ import annotations

from typing import Any, Protocol


class Requests(Protocol):
    """What `Api` lends to the routes of one noun."""

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        json: Any = None,
        key: str | None = None,
        headers: Any = None,
    ) -> Any: ...
