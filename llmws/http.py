"""The one module that knows the HTTP library: how we build a client, read server-sent events, and name a failure.

Providers and our own client share it; whoever wants another library or transport changes this file.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import httpx
from httpx_sse import EventSource

__all__ = ["AsyncClient", "HTTPError", "Response", "ServerSentEvent", "TimeoutException", "events", "new_client"]

AsyncClient = httpx.AsyncClient
HTTPError = httpx.HTTPError
Response = httpx.Response
TimeoutException = httpx.TimeoutException


class ServerSentEvent(NamedTuple):
    id: str
    event: str
    data: str

    def json(self) -> Any:
        return json.loads(self.data)


def new_client(
    base_url: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    connect_s: float = 5.0,
    idle_s: float | None = 60.0,
    connections: int = 200,
    proxies: bool = True,
) -> AsyncClient:
    """A client whose read time-out is an idle one: every byte, a keep-alive too, resets it.

    Args:
        idle_s: seconds without a byte after which a read fails; None waits for ever.
        proxies: follow the environment's proxy settings (never for our own service).
    """
    return httpx.AsyncClient(
        base_url=base_url,
        headers=headers,
        timeout=httpx.Timeout(idle_s, connect=connect_s, pool=connect_s),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=proxies,
        follow_redirects=False,
    )


async def events(response: Response) -> AsyncIterator[ServerSentEvent]:
    """The server-sent events of an open `response`; comments are skipped, an unfinished last event is dropped."""
    async for event in EventSource(response).aiter_sse():
        yield ServerSentEvent(event.id, event.event, event.data)
