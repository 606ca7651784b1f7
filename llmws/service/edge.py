"""What every request passes before a route sees it, as pure ASGI: request id, one error shape, host, size, token.

`BaseHTTPMiddleware` would break streaming and cancel work in flight. The routes and their nouns are not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import Error, Forbidden, InvalidRequest, NotAuthenticated, NotFound
from ..store.ids import new_id
from . import refusals
from .identity import Identity, Person

LOG = logging.getLogger("llmws.service")

# A chunk of an upload is at most 8 MiB; the rest is for what surrounds one.
MAX_BODY = 9 * 2**20
# Everything else needs a token. Below the door that is a ticket, which the route judges.
_WITHOUT_TOKEN = ("/healthz", "/docs", "/openapi.json", "/door/")
# How long a stream may outlive the token it was opened with.
RECHECK_S = 30.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class TooLarge(InvalidRequest):
    status = 413


class MethodNotAllowed(InvalidRequest):
    status = 405


class Prefix:
    """Says which part of a path a proxy in front has forwarded as it is: a hub's does so for its services.

    A server's own ``root_path`` is for proxies that have taken it away.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._prefix and scope["path"].startswith(f"{self._prefix}/"):
            scope = {**scope, "root_path": self._prefix}
        await self._app(scope, receive, send)


class Requests:
    """Gives each request an id (the caller's, if it sent one) and answers every error in the one shape.

    What nobody foresaw is logged with its traceback and that id; the caller gets the id only.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            return  # in the middle of what it had to say: nobody waits for an answer
        except Exception as problem:
            if isinstance(problem, HTTPException):
                problem = _translate(problem, Request(scope))
            if not isinstance(problem, Error):
                LOG.exception("%s %s failed, request %s", scope["method"], _told(scope), request_id)
            if started:
                # Too late to say it: without its last chunk the caller sees a broken answer, and may come back.
                return
            await _response(problem, scope)(scope, receive, send_with_id)


class Hosts:
    """Refuses a request for a host that this service is not, see `LocalIdentity`."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._hosts is not None:
            host = Headers(scope=scope).get("host", "")
            name = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] or host
            if name.lower() not in self._hosts:
                raise Forbidden(
                    "This service does not answer under that host name.",
                    remedy="Use its own address, see client.url or `llmws status`.",
                )
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body past `MAX_BODY`, whether its length was said or not.

    FastAPI's own limit answers in plain text, outside of what an application can shape.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if said.isdecimal() and int(said) > self._limit:
            raise self._too_large()
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                # An HTTPException is what FastAPI lets through while it reads a body.
                raise HTTPException(TooLarge.status)
            return message

        await self._app(scope, limited, send)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The request is larger than {self._limit / 2**20:.0f} MiB.", remedy="Send less at once.")


class Authentication:
    """Finds the person behind the bearer token; without one only `_WITHOUT_TOKEN` may be asked for.

    Where tokens may end (on a hub), a stream is ended with its token, or when that may do less than at its begin: it is
    looked at again every `RECHECK_S`.
    """

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self._app = app
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["state"]["person"] = None
        if path(scope).startswith(_WITHOUT_TOKEN):
            await self._app(scope, receive, send)
            return
        token = bearer(Headers(scope=scope))
        person = await self._identity.person(token) if token else None
        if person is None:
            raise NotAuthenticated(
                "The token is missing or not that of the running service.",
                remedy="Connect again with llmws.connect(), which reads the present one.",
            )
        scope["state"]["person"] = person
        if self._identity.revocable:
            await self._until_revoked(token, person, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _until_revoked(self, token: str, person: Person, scope: Scope, receive: Receive, send: Send) -> None:
        serving, revoked, watch = asyncio.current_task(), False, None

        async def look() -> None:
            nonlocal revoked
            while not revoked:
                await asyncio.sleep(RECHECK_S)
                with contextlib.suppress(Error):  # the hub is away: nobody lost anything yet
                    now = await self._identity.person(token, fresh=True)
                    revoked = now is None or not now.scopes >= person.scopes
            if serving is not None:
                serving.cancel()

        async def send_watched(message: Message) -> None:
            nonlocal watch
            if message["type"] == "http.response.body" and message.get("more_body") and watch is None:
                watch = asyncio.create_task(look())
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        except asyncio.CancelledError:
            if not revoked:
                raise
            assert serving is not None
            serving.uncancel()
        finally:
            if watch is not None:
                watch.cancel()


def path(scope: Scope) -> str:
    """The path as routes name it."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _told(scope: Scope) -> str:
    """The path as the log may have it: one below the door may open something by itself."""
    asked = path(scope)
    return "/".join([*asked.split("/")[:3], "…"]) if asked.startswith("/door/") else asked


def bearer(headers: Headers) -> str:
    """The token that a request shows, or nothing."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    # Where Anthropic's SDK shows its key.
    return headers.get("x-api-key", "").strip()


async def on_error(request: Request, problem: Exception) -> JSONResponse:
    """FastAPI's handler for what it raises itself: a body or parameter that is not valid, an unknown path."""
    if isinstance(problem, RequestValidationError):
        problem = _explain(problem)
    elif isinstance(problem, HTTPException):
        problem = _translate(problem, request)
    return _response(problem, request.scope)


def _response(problem: Exception, scope: Scope) -> JSONResponse:
    request_id: str = scope["state"]["request_id"]
    if not isinstance(problem, Error):
        problem = Error(
            "Something went wrong inside the service.",
            remedy=f"Its log tells more under request {request_id}; `llmws status` says where that is.",
            code="internal",
        )
    shape = refusals.shape(path(scope), Headers(scope=scope))
    told = refusals.body(problem, shape, request_id)
    return JSONResponse(told, refusals.status(problem, shape), refusals.headers(problem, shape))


def _translate(problem: HTTPException, request: Request) -> Error:
    match problem.status_code:
        case 404:
            return NotFound(f"There is no {request.url.path}.", remedy="See /docs for what there is.")
        case 405:
            return MethodNotAllowed(f"{request.method} cannot be used on {request.url.path}.", remedy="See /docs.")
        case 413:
            return TooLarge("The request is larger than the service takes.", remedy="Send less at once.")
    return InvalidRequest(f"The request could not be read: {problem.detail}.")


def _explain(problem: RequestValidationError) -> InvalidRequest:
    """The first thing that is wrong as a sentence; all of them, without what was sent, as details."""
    errors: list[dict[str, Any]] = [
        {"where": ".".join(str(step) for step in error["loc"][1:]), "what": _sentence(error)}
        for error in problem.errors()
    ]
    first = errors[0]
    subject = f"`{first['where']}`: " if first["where"] else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return InvalidRequest(
        f"The request is not valid: {subject}{first['what']}{more}.",
        remedy="See /docs.",
        details={"errors": errors[:20]},
    )


def _sentence(error: dict[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return (
            f"the body is not JSON ({error.get('ctx', {}).get('error', 'unreadable')} at character {error['loc'][-1]})"
        )
    if error["type"] in ("missing", "dataclass_type") and error["loc"] == ("body",):
        return "the body is not a JSON object, sent as application/json"
    return str(error["msg"]).removeprefix("Value error, ").rstrip(".")
