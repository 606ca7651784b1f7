"""A scripted model server for the bench of the gateway: the OpenAI chat wire, fast enough not to be what is measured.

    python bench/_upstream.py

It prints its port, then answers until it is ended. The model `fast` says all at once, `paced` ten tokens a second;
`max_tokens` says how many. Each streamed token is the time (of the monotonic clock, which processes share) at which it
was sent, so that whoever reads it knows how long it was under way, whatever lay between.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import uvloop

TOKENS_PER_S = 10.0
_HEAD = {"id": "chatcmpl-bench", "created": 1, "model": "bench"}
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _whole(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\ndata: %s\n\n\r\n" % (len(data) + 8, data)


def _delta(delta: dict[str, Any], finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    told = {**_HEAD, "object": "chat.completion.chunk", "choices": choices}
    return _chunk(json.dumps({**told, "usage": usage} if usage else told).encode())


def _usage(output: int) -> dict[str, int]:
    return {"prompt_tokens": 20, "completion_tokens": output, "total_tokens": 20 + output}


_SAID = {"role": "assistant", "content": "hello world " * 20}
_ANSWER = _whole(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": _SAID, "finish_reason": "stop"}],
        "usage": _usage(40),
    }
)
_MODELS = _whole({"object": "list", "data": [{"id": "fast", "object": "model"}, {"id": "paced", "object": "model"}]})
_FIRST, _STOP = _delta({"role": "assistant", "content": ""}), _delta({}, "stop")
_BEFORE, _, _AFTER = _delta({"content": "#" * 20})[4:].partition(b"#" * 20)


def _token() -> bytes:
    data = b"%s%-20s%s" % (_BEFORE, b"%.6f" % time.monotonic(), _AFTER)
    return b"%x\r\n%s" % (len(data) - 2, data)


class Upstream(asyncio.Protocol):
    """One connection, kept alive from request to request."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._received = b""
        self._telling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, problem: Exception | None) -> None:
        if self._telling is not None:
            self._telling.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, _, length = head.partition(b"content-length:")
            whole = end + 4 + int(length.split(b"\r\n")[0] or 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get"):
            self._transport.write(_MODELS)
            return
        asked = json.loads(body)
        if not asked.get("stream"):
            self._transport.write(_ANSWER)
            return
        tokens = asked.get("max_tokens") or asked.get("max_completion_tokens") or 20
        end = _STOP + _delta({}, usage=_usage(tokens)) + _chunk(b"[DONE]") + b"0\r\n\r\n"
        if asked["model"].endswith("paced"):
            self._telling = asyncio.ensure_future(self._tell(tokens, end))
        else:
            self._transport.write(_STREAM + _FIRST + b"".join(_token() for _ in range(tokens)) + end)

    async def _tell(self, tokens: int, end: bytes) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        self._transport.write(_STREAM + _FIRST + _token())
        for _ in range(tokens - 1):
            due += 1 / TOKENS_PER_S
            await asyncio.sleep(due - loop.time())
            self._transport.write(_token())
        self._transport.write(end)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
