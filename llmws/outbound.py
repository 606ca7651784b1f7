"""HTTP to servers that are not ours: httpx's interface over aiohttp's connections, and a guard on every address.

httpx's own pool is three to four times slower under many requests (`bench/gateway.py`), so what asks model servers goes
through this transport. It is not in `http`, since importing aiohttp takes a kernel 0.2 s that it has no use for. And it
is ours, not `httpx-aiohttp`'s: that calls a refused connection a time-out, lets an answer that is no HTTP out as an
error that httpx does not know, and keeps a server's cookies for whoever asks next
(https://github.com/karpetrosyan/httpx-aiohttp/blob/main/httpx_aiohttp/transport.py).

A name is looked up when connecting, and what was found is judged and then connected to: a name that changes its address
in between (DNS rebinding) gains nothing. Redirects are not followed. Where a proxy of the environment stands between,
it looks the name up: then the name is judged by what it is here, and one that is unknown here is asked only where
private addresses may be.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet, WeakValueDictionary

import aiohttp
import aiohttp.connector
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from . import __version__
from .addresses import AddressPolicy, literal
from .http import AddressRefused, AsyncClient, certificates, timeout

# Headers as long as our own server takes them; aiohttp's limit is 8 KiB.
_LINE_LIMIT = 65_536
# A server that hangs up on a connection that had waited for us does it at once; later, it has worked on the request.
_HUNG_UP_S = 1.0
# A compressed piece grows a thousandfold at most: taken in slices, whoever counts what comes can stop in time.
_SLICE = 1_024
# How long a name that a proxy will look up counts as judged, and how long we try to know it.
_JUDGED_S, _LOOKUP_S = 60.0, 2.0

_Headers = Mapping[str, str] | list[tuple[str, str]]
_Limits = Mapping[str, float | None]


def new_client(
    addresses: AddressPolicy,
    *,
    headers: Mapping[str, str] | None = None,
    connect_s: float = 5.0,
    idle_s: float | None = 60.0,
    connections: int = 1_000,
    proxies: bool = True,
    resolver: AbstractResolver | None = None,
) -> AsyncClient:
    """A client for servers that are not ours; time-outs as in `http.new_client`.

    Args:
        addresses: where requests may go; elsewhere they fail as ``forbidden`` (`http.failure`).
        connections: at most so many at a time to one server, so that a dead one takes none from another; who comes
            later waits `connect_s`.
        proxies: follow the environment's proxy settings, save to this machine.
        resolver: looks names up; the system's unless given.
    """
    return Client(
        Transport(addresses, connections=connections, proxies=proxies, resolver=resolver),
        headers={"User-Agent": f"llmws/{__version__}", **(headers or {})},
        timeout=timeout(idle_s, connect_s),
        trust_env=False,
        follow_redirects=False,
    )


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Keeps none."""


class Client(httpx.AsyncClient):
    """httpx's client, whose `stream` goes straight to the transport.

    What httpx puts between (redirects, hooks, headers merged and parsed again) is of no use here, and takes as long as
    the rest of a request. It has no cookies: what a server sets for one person must not be sent for another.
    """

    @property  # type: ignore[misc]  # nobody sets them
    def cookies(self) -> httpx.Cookies:
        return _NoCookies()

    def __init__(self, transport: Transport, *, headers: Mapping[str, str] | None, **options: Any) -> None:
        super().__init__(transport=transport, headers=headers, **options)
        self._straight = transport
        self._always = dict(headers or {})

    @asynccontextmanager
    async def stream(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> AsyncGenerator[httpx.Response, None]:
        if "@" in url:  # a name and password become a header
            wait = timeout or self.timeout
            async with super().stream(method, url, content=content, headers=headers, timeout=wait) as response:
                yield response
            return
        told = {**self._always, **(headers or {})}
        response = await self._straight.send(method, url, told, content, (timeout or self.timeout).as_dict())
        try:
            yield response
        finally:
            await response.aclose()


class Transport(httpx.AsyncBaseTransport):
    """Sends httpx's requests through aiohttp; see `new_client`."""

    def __init__(
        self, addresses: AddressPolicy, *, connections: int, proxies: bool, resolver: AbstractResolver | None = None
    ) -> None:
        self._addresses = addresses
        # Counted here: aiohttp's own limit has one time-out for a free connection and for a slow server. Who asks a
        # server holds its counter, which is gone when nobody does.
        self._connections = connections
        self._free: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._proxies = getproxies() if proxies else {}
        self._lookup = resolver
        self._direct: aiohttp.ClientSession | None = None
        self._proxied: aiohttp.ClientSession | None = None
        self._judged: dict[str, float] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers.multi_items()
        limits = request.extensions.get("timeout", {})
        return await self.send(request.method, str(request.url), headers, await request.aread(), limits)

    async def send(
        self, method: str, url: str, headers: _Headers, content: bytes | None, limits: _Limits
    ) -> httpx.Response:
        """The answer to a request, once its headers are here; errors are httpx's.

        Args:
            url: in quoted form.
            limits: seconds for `pool`, `connect` and `read`.
        """
        free = await self._take_turn(_parsed(url).authority, limits.get("pool"))
        try:
            response = await self._send(method, url, headers, content, limits)
        except BaseException:
            free.release()
            raise
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response, free.release),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (response.reason or "").encode()},
        )

    async def aclose(self) -> None:
        for session in (self._direct, self._proxied):
            if session is not None:
                await session.close()

    async def _take_turn(self, server: str, limit_s: float | None) -> asyncio.Semaphore:
        if (free := self._free.get(server)) is None:
            free = self._free[server] = asyncio.Semaphore(self._connections)
        if not free.locked():
            await free.acquire()
            return free
        try:
            async with asyncio.timeout(limit_s):
                await free.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("every connection is in use") from error
        return free

    async def _send(
        self, method: str, address: str, headers: _Headers, content: bytes | None, limits: _Limits
    ) -> aiohttp.ClientResponse:
        url = _parsed(address)
        host = url.raw_host or ""
        self._check_literal(host)
        proxy = self._proxy(url)
        if proxy is not None:
            await self._check_name(host)
        connect_s, idle_s = limits.get("connect"), limits.get("read")
        try:
            # aiohttp's clock for a silent server starts when the body is written, which a server can put off for ever.
            async with asyncio.timeout(None if connect_s is None or idle_s is None else connect_s + idle_s):
                return await self._ask(
                    self._session(proxied=proxy is not None),
                    method,
                    url,
                    headers=headers,
                    data=content or None,
                    allow_redirects=False,
                    timeout=_timeout(connect_s, idle_s),
                    proxy=proxy,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _named(error, proxied=proxy is not None) from error

    async def _ask(self, session: aiohttp.ClientSession, method: str, url: URL, **more: Any) -> aiohttp.ClientResponse:
        """Ask, and ask again where the connection that waited since the last time was dead.

        llama.cpp promises to keep a connection after it streamed an answer, and closes it: aiohttp takes it for alive
        when the next request follows within a moment, and by itself asks again only where nothing was posted.
        """
        while True:
            asked = time.monotonic()
            _HAD_WAITED.set(False)
            try:
                return await session.request(method, url, **more)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not _HAD_WAITED.get() or time.monotonic() - asked > _HUNG_UP_S:
                    raise

    def _session(self, *, proxied: bool) -> aiohttp.ClientSession:
        """Two, since a proxy's own address is the administrator's choice, and a user's is not."""
        session = self._proxied if proxied else self._direct
        if session is None:
            lookup = self._lookup or ThreadedResolver()
            connector = _Connector(
                limit=0,
                # llama.cpp hangs up after 5 idle seconds: a request sent in that moment is lost.
                keepalive_timeout=4.0,
                ssl=certificates(),
                resolver=lookup if proxied else _Guarded(self._addresses, lookup),
            )
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=_LINE_LIMIT,
                max_field_size=_LINE_LIMIT,
            )
            if proxied:
                self._proxied = session
            else:
                self._direct = session
        return session

    def _proxy(self, url: URL) -> str | None:
        """The proxy that leads to `url`; none to this machine, though not everybody who has one says so in NO_PROXY."""
        if not self._proxies:
            return None
        host = url.raw_host or ""
        address = literal(host)
        if host == "localhost" or (address is not None and address.is_loopback) or proxy_bypass(host):
            return None
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy and "://" not in proxy:
            return f"http://{proxy}"
        if proxy and not proxy.startswith(("http://", "https://")):
            raise httpx.ProxyError("only proxies that speak HTTP are known")
        return proxy

    def _check_literal(self, host: str) -> None:
        """aiohttp looks up no name that is an address."""
        if literal(host) is not None and not self._addresses.allows(host, host):
            raise AddressRefused(f"{host} may not be asked")

    async def _check_name(self, host: str) -> None:
        """Judge a name that a proxy will look up, by what it is here."""
        if literal(host) is not None or self._judged.get(host, 0.0) > time.monotonic():
            return
        found: list[ResolveResult] = []
        try:
            async with asyncio.timeout(_LOOKUP_S):
                found = await (self._lookup or ThreadedResolver()).resolve(host, 0, socket.AF_UNSPEC)
        except OSError:
            pass
        known = all(self._addresses.allows(host, one["host"]) for one in found)
        if not known or not (found or self._addresses.private_allowed or self._addresses.names(host)):
            raise AddressRefused(f"{host} may not be asked")
        if len(self._judged) > 1_000:
            self._judged.clear()
        self._judged[host] = time.monotonic() + _JUDGED_S


@lru_cache(1_000)
def _parsed(address: str) -> URL:
    # `encoded`: it is quoted already; the name and password in it have become a header.
    url = URL(address, encoded=True)
    return url if url.raw_user is None and url.raw_password is None else url.with_user(None)


@lru_cache(100)
def _timeout(connect_s: float | None, idle_s: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=idle_s)


class _Guarded(AbstractResolver):
    """Looks a name up and gives those of its addresses that may be asked."""

    def __init__(self, addresses: AddressPolicy, lookup: AbstractResolver) -> None:
        self._addresses = addresses
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._lookup.resolve(host, port, family)
        allowed = [one for one in found if self._addresses.allows(host, one["host"])]
        if found and not allowed:
            raise AddressRefused(f"{host} may not be asked")
        return allowed

    async def close(self) -> None:
        await self._lookup.close()


# Whether the connection of the request that this task makes had been used before.
_HAD_WAITED: ContextVar[bool] = ContextVar("_HAD_WAITED", default=False)


class _Connector(aiohttp.TCPConnector):
    """Tells of a connection whether it had waited. aiohttp's own way, tracing, takes a twentieth of a call's time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[Any] = WeakSet()

    async def connect(self, *args: Any, **more: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **more)
        _HAD_WAITED.set(connection.protocol in self._used)
        self._used.add(connection.protocol)
        return connection


class _Body(httpx.AsyncByteStream):
    """What comes after the headers; closing it before its end hangs up."""

    def __init__(self, response: aiohttp.ClientResponse, release: Callable[[], None]) -> None:
        self._response = response
        self._release: Callable[[], None] | None = release

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.content.iter_any():
                if "Content-Encoding" not in self._response.headers:
                    yield piece
                    continue
                for start in range(0, len(piece), _SLICE):
                    yield piece[start : start + _SLICE]
        except (aiohttp.ClientError, OSError) as error:
            raise _named(error) from error

    async def aclose(self) -> None:
        if self._release is not None:
            release, self._release = self._release, None
            release()
            self._response.release()


def _named(error: Exception, *, proxied: bool = False) -> httpx.TransportError:
    """`error` in httpx's words, which `http.failure` reads; whoever raises it keeps it as the cause."""
    text = str(error)
    match error:
        case aiohttp.ClientHttpProxyError() | aiohttp.ClientProxyConnectionError():
            return httpx.ProxyError(text)
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(text)
        case TimeoutError():
            return httpx.ReadTimeout(text)
        case aiohttp.ClientConnectorError() if proxied and not isinstance(error, aiohttp.ClientSSLError):
            return httpx.ProxyError(text)
        case aiohttp.ClientConnectorError():
            # Where a name has several addresses, what each met is joined to one error without a number:
            # https://github.com/aio-libs/aiohappyeyeballs/blob/main/src/aiohappyeyeballs/impl.py
            if f"[Errno {errno.ECONNREFUSED}]" in str(error.os_error):
                error.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, text)
            return httpx.ConnectError(text)
        case aiohttp.NonHttpUrlClientError() | aiohttp.InvalidURL():
            return httpx.UnsupportedProtocol(text)
        case aiohttp.ClientResponseError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError(text)
        case ValueError():
            return httpx.UnsupportedProtocol(text)
    return httpx.ReadError(text)
