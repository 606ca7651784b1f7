"""The least that a gateway could do, as the peer of ours: bytes in, bytes out, with the libraries that ours uses.

    python bench/_bare.py UPSTREAM

No token is looked at, nothing is parsed, measured, limited or kept. It prints its port, then serves until it is ended.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator

import httpx
import uvicorn
from httpx_aiohttp import HttpxAiohttpClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

UPSTREAM = sys.argv[1]
_client: HttpxAiohttpClient | None = None


async def complete(request: Request) -> StreamingResponse:
    global _client
    if _client is None:
        _client = HttpxAiohttpClient(
            limits=httpx.Limits(max_connections=2000, max_keepalive_connections=500), timeout=60
        )
    headers = {"content-type": "application/json"}
    asked = _client.build_request("POST", f"{UPSTREAM}/chat/completions", content=await request.body(), headers=headers)
    answer = await _client.send(asked, stream=True)

    async def body() -> AsyncIterator[bytes]:
        try:
            async for data in answer.aiter_raw():
                yield data
        finally:
            await answer.aclose()

    return StreamingResponse(body(), answer.status_code, media_type=answer.headers["content-type"])


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    config = uvicorn.Config(app, loop="uvloop", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
