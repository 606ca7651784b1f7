"""The service's routes as asynchronous methods, one per route, for pages and for the plain facade above them.

Requests survive what happens on a laptop: the service is killed, restarts, and comes back with another port and token.
Each request has an id, and each POST an Idempotency-Key, so that one whose answer got lost can be sent again. All of it
runs on the client's loop (`llmws.client.bridge`).
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

from .. import http
from ..errors import Error, NotAuthenticated, ServiceError, from_dict
from ..messages import EVENT_TYPES, Message, Parameters, StreamEvent, Tool
from .absence import Absence
from .attachment_routes import AttachmentRoutes
from .bodies import decoded, said, segment, told_tools
from .chat_routes import ChatRoutes
from .comparison_routes import ComparisonRoutes
from .finding import Address, Finder, Start, Stopped
from .job_routes import JobRoutes
from .origin import of_page
from .provider_routes import ProviderRoutes
from .share_routes import ShareRoutes
from .transfer_routes import TransferRoutes


class Api(AttachmentRoutes, ChatRoutes, ComparisonRoutes, JobRoutes, ProviderRoutes, ShareRoutes, TransferRoutes):
    """The routes of one service. Methods return the JSON of the route, with `Message`, `StreamEvent` decoded.

    Every method raises the `llmws.Error` that the service answered with, or a `ServiceError` where it cannot be
    reached.
    """

    def __init__(self, finder: Finder, address: Address) -> None:
        self.address = address
        self._finder = finder
        self._http: tuple[asyncio.AbstractEventLoop, http.AsyncClient] | None = None

    # Models and the service itself

    async def models(self) -> list[dict[str, Any]]:
        """GET /api/models: what can be asked, with its state."""
        return (await self._request("GET", "/api/models"))["items"]

    async def status(self) -> dict[str, Any]:
        """GET /api/status: what `llmws status` tells."""
        return await self._request("GET", "/api/status")

    async def me(self) -> dict[str, Any]:
        """GET /api/me: whose token this is and what it is good for, as ``{"name", "groups", "actions", "hub"}``, and
        ``automatic_titles``, None where nobody gets any.
        """
        return await self._request("GET", "/api/me")

    async def update_me(self, **changes: Any) -> dict[str, Any]:
        """PATCH /api/me: `automatic_titles`."""
        return await self._request("PATCH", "/api/me", json=changes)

    async def shutdown(self) -> None:
        """POST /api/shutdown: end the service of a laptop."""
        await self._request("POST", "/api/shutdown")

    async def ticket(self, action: str, thing: str) -> dict[str, Any]:
        """POST /api/tickets: a short-lived permit for the door, as ``{"ticket", "path", "expires_at"}``."""
        return await self._request("POST", "/api/tickets", json={"action": action, "thing": thing})

    async def presence(self) -> AsyncGenerator[dict[str, Any]]:
        """GET /api/presence: while it is read, a laptop's service stays. Ends when the connection does."""
        async with self._stream("/api/presence") as response:
            async for event in http.events(response):
                yield event.json()

    async def master_keys(self) -> dict[str, Any]:
        """GET /api/master-keys: which there are, and how many providers' keys each encrypts."""
        return await self._request("GET", "/api/master-keys")

    async def rotate_master_keys(self) -> dict[str, Any]:
        """POST /api/master-keys/rotate: make a new one and encrypt every provider's key with it."""
        return await self._request("POST", "/api/master-keys/rotate")

    # Generations

    async def generate(
        self,
        messages: Sequence[Message],
        model: str,
        parameters: Parameters | None = None,
        purpose: str | None = None,
        key: str | None = None,
        origin: Mapping[str, str] | None = None,
        tools: Sequence[Tool] = (),
    ) -> dict[str, Any]:
        """POST /api/generations: a one-off answer, which belongs to no chat."""
        body = said({"model": model, "parameters": parameters, "purpose": purpose}) | told_tools(tools)
        body["messages"] = [message.to_dict() for message in messages]
        headers = of_page() if origin is None else origin
        return await self._request("POST", "/api/generations", json=body, key=key, headers=headers)

    async def generation(self, generation_id: str) -> dict[str, Any]:
        """GET /api/generations/{id}: its state, and its message when it has ended."""
        return decoded(await self._request("GET", f"/api/generations/{segment(generation_id)}"))

    async def cancel(self, generation_id: str) -> None:
        """POST /api/generations/{id}/cancel; one that has ended stays as it is."""
        await self._request("POST", f"/api/generations/{segment(generation_id)}/cancel")

    async def events(self, generation_id: str, after: int = 0) -> AsyncGenerator[tuple[int, StreamEvent]]:
        """GET /api/generations/{id}/events: the stream past position `after`, with positions; `end` is the last.

        It comes back by itself, at the right place, when the connection or the service breaks. Where the service lost
        some of what was already seen (it was killed within its last quarter of a second), the stored message is the
        truth: read it with `generation`.
        """
        path, position, absence = f"/api/generations/{segment(generation_id)}/events", after, Absence()
        while True:
            broken: Exception = ServiceError("The service broke off in the middle of an answer.")
            try:
                async with self._stream(path, {"Last-Event-ID": str(position)}) as response:
                    async for sent in http.events(response):
                        absence.reset()
                        if not sent.id.isdecimal() or int(sent.id) <= position:
                            continue
                        position, told = int(sent.id), sent.json()
                        if told.get("type") in EVENT_TYPES:
                            yield position, StreamEvent.from_dict(told)
                        if told.get("type") == "end":
                            return
                ended = await self.generation(generation_id)
                if ended["state"] == "ended":
                    yield position + 1, StreamEvent("end", finish_reason=ended["finish_reason"])
                    return
            except (http.HTTPError, Stopped) as problem:
                broken = problem
            await self._find_again(absence, broken)

    async def find(self, *, start: Start = "crashed") -> None:
        """Look up the service's address anew, starting it if wanted."""
        self.address = await self._finder.address(start=start)

    async def aclose(self) -> None:
        """Close the connections to the service."""
        held, self._http = self._http, None
        if held is not None and held[0] is asyncio.get_running_loop():
            await held[1].aclose()

    # How a request travels

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        headers = {"X-Request-ID": uuid.uuid4().hex, **(headers or {})}
        if method == "POST":
            headers["Idempotency-Key"] = key or uuid.uuid4().hex
        params = {name: value for name, value in (params or {}).items() if value is not None}
        absence = Absence()
        # To look at something is no reason to start what was stopped.
        start: Start = "crashed" if method == "GET" else "always"
        while True:
            asked = self.address
            try:
                response = await self._client.request(
                    method,
                    asked.url + path,
                    params=params,
                    json=json,
                    content=content,
                    headers={**headers, **_authorization(asked)},
                )
            except http.HTTPError as problem:
                await self._find_again(absence, problem, start)
                continue
            if response.is_success:
                return self._json(response) if response.content else None
            refusal = _refusal(response)
            if await self._moved(asked, refusal, start):
                continue
            if refusal is not None:
                raise refusal
            # 502, 503 and 504 that are not ours: a proxy is there, and behind it, for now, nobody.
            if response.status_code not in (502, 503, 504):
                raise self._stranger()
            await self._find_again(absence, ServiceError(f"A proxy answers {response.status_code}."), start)

    @contextlib.asynccontextmanager
    async def _stream(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        accept: str = "text/event-stream",
    ) -> AsyncIterator[http.Response]:
        asked = self.address
        headers = {**(headers or {}), **_authorization(asked), "Accept": accept}
        params = {name: value for name, value in (params or {}).items() if value is not None}
        async with self._client.stream("GET", asked.url + path, params=params, headers=headers) as response:
            if not response.is_success:
                await response.aread()
                refusal = _refusal(response)
                if await self._moved(asked, refusal) or refusal is None:
                    raise http.HTTPError(f"HTTP {response.status_code}")
                raise refusal
            yield response

    async def _moved(self, asked: Address, refusal: Error | None, start: Start = "crashed") -> bool:
        """Whether the service restarted elsewhere or with another token, and a stranger answers where it was."""
        if refusal is not None and not isinstance(refusal, NotAuthenticated):
            return False
        await self.find(start=start)
        return self.address != asked

    async def _find_again(self, absence: Absence, problem: Exception, start: Start = "crashed") -> None:
        """Wait a little longer each time, then look where the service is now; gives up with a `ServiceError`."""
        await absence.wait(problem, self.address.url)
        try:
            await self.find(start=start)
        except Stopped as stopped:
            absence.stopped(stopped)

    @property
    def _client(self) -> http.AsyncClient:
        # Connections belong to a loop, and a forked process has a new one.
        loop = asyncio.get_running_loop()
        if self._http is None or self._http[0] is not loop:
            self._http = loop, http.new_client(proxies=False)
        return self._http[1]

    def _json(self, response: http.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise self._stranger() from None

    def _stranger(self) -> ServiceError:
        return ServiceError(
            f"What answers at {self.address.url} is not an llmws service.",
            remedy="Check LLMWS_URL, or unset it to use the service of this machine.",
        )


def _authorization(address: Address) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.token}"} if address.token else {}


def _refusal(response: http.Response) -> Error | None:
    """The error that the service answered with; None where the answer is not in our shape."""
    try:
        told = response.json()["error"]
        return from_dict(told, response.status_code)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
