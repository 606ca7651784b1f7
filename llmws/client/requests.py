"""How the routes of a noun ask: the methods of `Api` that they need."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from .. import http
from .absence import Absence


class Requests(Protocol):
    """What `Api` lends to the routes of one noun."""

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        json: Any = None,
        content: bytes | None = None,
        key: str | None = None,
        headers: Any = None,
    ) -> Any: ...

    def _stream(
        self, path: str, headers: Any = None, *, params: Any = None, accept: str = "text/event-stream"
    ) -> AbstractAsyncContextManager[http.Response]: ...

    async def _find_again(self, absence: Absence, problem: Exception) -> None: ...
