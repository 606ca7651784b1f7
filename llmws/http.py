"""The one module that knows the HTTP library: how we build a client, read server-sent events, and name a failure.

Providers and our own client share it; whoever wants another library changes this file. Requests to servers that are not
ours have a transport of their own, in `outbound`, which a kernel need not load.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from functools import cache
from typing import Any, Literal, NamedTuple, cast

import httpx
from httpx_sse import EventSource

__all__ = [
    "AddressRefused",
    "AsyncClient",
    "EventStream",
    "HTTPError",
    "Response",
    "ServerSentEvent",
    "TimeoutException",
    "TooLarge",
    "certificates",
    "events",
    "failure",
    "is_address",
    "lines",
    "new_client",
    "quoted",
    "read_bytes",
    "read_text",
    "timeout",
]

AsyncClient = httpx.AsyncClient
HTTPError = httpx.HTTPError
Response = httpx.Response
TimeoutException = httpx.TimeoutException

Failure = Literal[
    "address", "forbidden", "name", "refused", "tls", "proxy", "unreachable", "busy", "silent", "too_large", "broken"
]
MEBIBYTE = 1 << 20
# No proxy leads to this machine, and not everybody who has one says so in NO_PROXY.
_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")


class TooLarge(HTTPError):
    """A server sent more than anyone should read."""


class AddressRefused(HTTPError):
    """A request was to go where none of ours may; see `addresses`."""


class ServerSentEvent(NamedTuple):
    id: str
    event: str
    data: str

    def json(self) -> Any:
        return json.loads(self.data)


def timeout(idle_s: float | None, connect_s: float = 5.0) -> httpx.Timeout:
    """Time-outs whose read part is an idle one: every byte, a keep-alive too, resets it; None waits for ever."""
    return httpx.Timeout(idle_s, connect=connect_s, pool=connect_s)


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
        timeout=timeout(idle_s, connect_s),
        # llama.cpp hangs up after 5 idle seconds, which is also httpx's limit: a request sent in that moment is lost.
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=4.0),
        verify=certificates(),
        mounts=dict.fromkeys(_LOOPBACK),
        trust_env=proxies,
        follow_redirects=False,
    )


@cache
def certificates() -> ssl.SSLContext:
    """Read once: it takes 40 ms, which each client would spend again."""
    return httpx.create_ssl_context()


def is_address(url: str) -> bool:
    """Whether `url` names a server that can be asked over HTTP, and to which a path can be added.

    Example:
        >>> is_address("http://localhost:8000/v1"), is_address("localhost:8000"), is_address("http://h:99999")
        (True, False, False)
        >>> is_address("https://h/v1?key=secret")
        False
    """
    if any(character.isspace() for character in url):
        return False
    try:
        parsed = httpx.URL(url)
        host = parsed.host
    except (httpx.InvalidURL, UnicodeError):  # a name that is no internationalised one is found out late
        return False
    whole = not (parsed.query or parsed.fragment)
    return parsed.scheme in ("http", "https") and bool(host) and (parsed.port or 1) < 65_536 and whole


def quoted(url: str) -> str:
    """`url` as it goes over the wire: ASCII alone.

    Example:
        >>> quoted("https://bücher.example/möglich")
        'https://xn--bcher-kva.example/m%C3%B6glich'
    """
    return str(httpx.URL(url))


async def events(response: Response) -> AsyncGenerator[ServerSentEvent, None]:
    """The server-sent events of an open `response`; comments are skipped, an unfinished last event is dropped."""
    async with aclosing(EventSource(response).aiter_sse()) as source:
        async for event in source:
            yield ServerSentEvent(event.id, event.event, event.data)


class EventStream:
    """The server-sent events of a server that we do not know: whatever content type it claims, a last event without
    its blank line counts, and what never becomes an event has a limit.

    After `events` is exhausted, `text` is what came instead of any event: a JSON body where a stream was asked for.
    """

    def __init__(self, response: Response, *, limit: int = 8 * MEBIBYTE) -> None:
        response.encoding = "utf-8-sig"
        self._response = response
        self._limit = limit
        self._texts: list[str] | None = []

    @property
    def text(self) -> str | None:
        """What came, without comments; None when there were events."""
        if self._texts is None:
            return None
        lines = "".join(self._texts).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return "\n".join(line for line in lines if not line.startswith(":"))

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        pending, carried = 0, ""
        line: list[str] = []  # what has come of a line
        block: list[str] = []  # the lines of an event that has not ended: none is looked through twice
        async with aclosing(cast(AsyncGenerator[str, None], self._response.aiter_text())) as source:
            async for text in source:
                pending += len(text)
                if pending > self._limit:
                    raise TooLarge(f"more than {self._limit // MEBIBYTE} MiB without an event")
                if self._texts is not None:
                    self._texts.append(text)
                if carried or "\r" in text:
                    text, carried = _with_line_feeds(carried + text)
                begun, *rest = text.split("\n")
                line.append(begun)
                if not rest:
                    continue
                ended, line = ["".join(line), *rest[:-1]], [rest[-1]]
                for one in ended:
                    if one:
                        block.append(one)
                        continue
                    event, block = _event(block), []
                    if event is not None:
                        self._texts, pending = None, 0
                        yield event
        if (event := _event([*block, "".join(line)])) is not None:
            self._texts = None
            yield event


def _with_line_feeds(text: str) -> tuple[str, str]:
    """`text` with one kind of line end, and a carriage return at its very end, which may be half of one."""
    whole, last = (text[:-1], "\r") if text.endswith("\r") else (text, "")
    return whole.replace("\r\n", "\n").replace("\r", "\n"), last


def _event(lines: list[str]) -> ServerSentEvent | None:
    """The event that `lines` make, by https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    if len(lines) == 1 and lines[0].startswith("data: "):
        return ServerSentEvent("", "message", lines[0][6:])
    data: list[str] = []
    told = {"id": "", "event": ""}
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name in told:
            told[name] = value
    if not (data or told["event"]):
        return None
    return ServerSentEvent(told["id"], told["event"] or "message", "\n".join(data))


async def lines(response: Response, *, limit: int = 8 * MEBIBYTE) -> AsyncGenerator[str, None]:
    """The lines of an open `response` as they come, each with a limit; only a line feed ends one, as in NDJSON."""
    response.encoding = "utf-8-sig"
    held: list[str] = []
    size = 0
    async with aclosing(cast(AsyncGenerator[str, None], response.aiter_text())) as source:
        async for text in source:
            *ended, rest = text.split("\n")
            for line in ended:
                yield "".join([*held, line])
                held, size = [], 0
            held.append(rest)
            size += len(rest)
            if size > limit:
                raise TooLarge(f"more than {limit // MEBIBYTE} MiB in a line")
    if last := "".join(held):
        yield last


async def read_bytes(response: Response, limit: int = MEBIBYTE) -> bytes:
    """The body of an open `response`; one of more than `limit` is an error."""
    pieces: list[bytes] = []
    async with aclosing(cast(AsyncGenerator[bytes, None], response.aiter_bytes())) as source:
        async for piece in source:
            pieces.append(piece)
            limit -= len(piece)
            if limit < 0:
                raise TooLarge("the answer is too large")
    return b"".join(pieces)


async def read_text(response: Response, limit: int = MEBIBYTE) -> str:
    """The body of an open `response`, as far as `limit` characters."""
    texts: list[str] = []
    async with aclosing(cast(AsyncGenerator[str, None], response.aiter_text())) as source:
        async for text in source:
            texts.append(text)
            limit -= len(text)
            if limit <= 0:
                break
    return "".join(texts)


def failure(error: HTTPError) -> Failure:
    """What kind of failure `error` is, in words that do not depend on the library.

    `silent` is an idle time-out, `busy` a client with no connection left, `broken` anything after the connection stood.
    """
    kinds: list[tuple[type[BaseException], Failure]] = [
        (TooLarge, "too_large"),
        (AddressRefused, "forbidden"),
        (httpx.UnsupportedProtocol, "address"),
        (httpx.ProxyError, "proxy"),
        (httpx.PoolTimeout, "busy"),
        (httpx.ConnectTimeout, "unreachable"),
        (httpx.TimeoutException, "silent"),
        (ssl.SSLError, "tls"),
        (socket.gaierror, "name"),
        (ConnectionRefusedError, "refused"),
        (httpx.ConnectError, "unreachable"),
    ]
    causes = list(_causes(error))
    return next((kind for cls, kind in kinds if any(isinstance(cause, cls) for cause in causes)), "broken")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _causes(member)
        error = error.__cause__ or error.__context__
