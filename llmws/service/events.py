"""How a stream leaves the service: server-sent events with ids, and a comment where there is silence.

FastAPI's own event streams answer 200 before the first event is known and pass each one through two tasks and an
encoder; here a stream is a source of ready batches. The frames are FastAPI's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

# Proxies close what is silent for 30 to 60 s.
SILENCE_S = 15.0
# How a route that answers by `respond` is described.
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}
}
_COMMENT = b": still here\n\n"


def frame(data: dict[str, Any], id: int | None = None) -> bytes:
    """One event on the wire.

    Example:
        >>> frame({"type": "text", "text": "Hello"}, 6)
        b'data: {"type":"text","text":"Hello"}\\nid: 6\\n\\n'
    """
    return format_sse_event(data_str=json.dumps(data, separators=(",", ":")), id=None if id is None else str(id))


def respond(batches: AsyncGenerator[Sequence[bytes], None]) -> StreamingResponse:
    """Send `batches` of frames as they come; an empty batch stands for silence and becomes a comment.

    Starlette cancels the source as soon as the caller hangs up, and asks it for no more than the caller has taken.
    """

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(batches):
            async for batch in batches:
                yield b"".join(batch) or _COMMENT

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(body(), media_type="text/event-stream", headers=headers)
