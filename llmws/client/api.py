"""The service's routes as asynchronous methods, one per route, for pages and for the plain facade above them.

Requests survive what happens on a laptop: the service is killed, restarts, and comes back with another port and token.
Each request has an id, and each POST an Idempotency-Key, so that one whose answer got lost can be sent again. All of it
runs on the client's loop (`llmws.client.bridge`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

from .. import http
from ..errors import Error, NotAuthenticated, ServiceError, from_dict
from ..messages import EVENT_TYPES, Message, Parameters, StreamEvent, Tool
from .attachment_routes import AttachmentRoutes
from .bodies import decoded as _decoded
from .bodies import said as _said
from .bodies import segment as _segment
from .bodies import told_tools as _told_tools
from .chat_routes import ChatRoutes
from .finding import Address, Finder, Start, Stopped
from .origin import of_page
from .provider_routes import ProviderRoutes
from .share_routes import ShareRoutes
from .transfer_routes import TransferRoutes

# How long a service may be away before a request gives up. One that was ended on purpose seldom comes back.
AWAY_LIMIT_S = 20.0
STOPPED_LIMIT_S = 5.0


class Api(AttachmentRoutes, ChatRoutes, ProviderRoutes, ShareRoutes, TransferRoutes):
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
        body = _said({"model": model, "parameters": parameters, "purpose": purpose}) | _told_tools(tools)
        body["messages"] = [message.to_dict() for message in messages]
        headers = of_page() if origin is None else origin
        return await self._request("POST", "/api/generations", json=body, key=key, headers=headers)

    async def generation(self, generation_id: str) -> dict[str, Any]:
        """GET /api/generations/{id}: its state, and its message when it has ended."""
        return _decoded(await self._request("GET", f"/api/generations/{_segment(generation_id)}"))

    async def cancel(self, generation_id: str) -> None:
        """POST /api/generations/{id}/cancel; one that has ended stays as it is."""
        await self._request("POST", f"/api/generations/{_segment(generation_id)}/cancel")

    async def events(self, generation_id: str, after: int = 0) -> AsyncGenerator[tuple[int, StreamEvent]]:
        """GET /api/generations/{id}/events: the stream past position `after`, with positions; `end` is the last.

        It comes back by itself, at the right place, when the connection or the service breaks. Where the service lost
        some of what was already seen (it was killed within its last quarter of a second), the stored message is the
        truth: read it with `generation`.
        """
        path, position, patience = f"/api/generations/{_segment(generation_id)}/events", after, _Patience()
        while True:
            broken: Exception = ServiceError("The service broke off in the middle of an answer.")
            try:
                async with self._stream(path, {"Last-Event-ID": str(position)}) as response:
                    async for sent in http.events(response):
                        patience.reset()
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
            await self._find_again(patience, broken)

    # Comparisons

    async def create_comparison(
        self,
        models: Sequence[str],
        prompt: str | None = None,
        messages: Sequence[Message] | None = None,
        system: str | None = None,
        repeat: int = 1,
        parameters: Parameters | None = None,
        key: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """POST /api/comparisons: put a prompt, or messages, to several models; each answer is a generation."""
        body = _said({"prompt": prompt, "system": system, "parameters": parameters})
        body |= {"models": list(models), "repeat": repeat}
        if messages is not None:
            body["messages"] = [message.to_dict() for message in messages]
        headers = of_page() if origin is None else origin
        return _compared(await self._request("POST", "/api/comparisons", json=body, key=key, headers=headers))

    async def comparisons(self, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """GET /api/comparisons: a page, newest first, without the answers."""
        page = await self._request("GET", "/api/comparisons", params={"limit": limit, "cursor": cursor})
        return {**page, "items": [_compared(item) for item in page["items"]]}

    async def comparison(self, comparison_id: str) -> dict[str, Any]:
        """GET /api/comparisons/{id}: with how each answer stands, and its message once it has ended."""
        return _compared(await self._request("GET", f"/api/comparisons/{_segment(comparison_id)}"))

    async def cancel_comparison(self, comparison_id: str) -> None:
        """POST /api/comparisons/{id}/cancel: stop every answer that has not ended."""
        await self._request("POST", f"/api/comparisons/{_segment(comparison_id)}/cancel")

    # Fine-tunes

    async def datasets(self) -> list[dict[str, Any]]:
        """GET /api/datasets: what can be trained on, each with its first rows."""
        return (await self._request("GET", "/api/datasets"))["items"]

    async def bases(self) -> dict[str, Any]:
        """GET /api/bases: the models that can be tuned, as ``{"items", "problem"}``."""
        return await self._request("GET", "/api/bases")

    async def recipe(self) -> dict[str, Any]:
        """GET /api/recipe: what a recipe asks and those to begin with, as ``{"fields", "presets"}``."""
        return await self._request("GET", "/api/recipe")

    async def training_environment(self) -> dict[str, Any]:
        """GET /api/training-environment: whether fine-tunes can run, or how far the installation is."""
        return await self._request("GET", "/api/training-environment")

    async def create_job(
        self,
        base: str,
        dataset: str,
        recipe: Mapping[str, Any] | None = None,
        name: str | None = None,
        key: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """POST /api/jobs: queue a fine-tune. `recipe` is `Recipe.to_dict()`, or a part of it."""
        body = _said({"base": base, "dataset": dataset, "recipe": dict(recipe or {}), "name": name})
        headers = of_page() if origin is None else origin
        return await self._request("POST", "/api/jobs", json=body, key=key, headers=headers)

    async def jobs(self, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """GET /api/jobs: a page, newest first, as ``{"items", "next_cursor"}``."""
        return await self._request("GET", "/api/jobs", params={"limit": limit, "cursor": cursor})

    async def job(self, job_id: str) -> dict[str, Any]:
        """GET /api/jobs/{id}: how it stands with a job."""
        return await self._request("GET", f"/api/jobs/{_segment(job_id)}")

    async def job_points(self, job_id: str) -> dict[str, Any]:
        """GET /api/jobs/{id}/points: its curves, one point per step, as ``{"items", "after"}``."""
        return await self._request("GET", f"/api/jobs/{_segment(job_id)}/points")

    async def job_log(self, job_id: str, after: int = 0) -> dict[str, Any]:
        """GET /api/jobs/{id}/log: what the trainer printed since `after`, as ``{"text", "after", "more"}``."""
        return await self._request("GET", f"/api/jobs/{_segment(job_id)}/log", params={"after": after})

    async def stop_job(self, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/stop: have it finish its step, save and end."""
        return await self._request("POST", f"/api/jobs/{_segment(job_id)}/stop")

    async def resume_job(self, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/resume: go on from the last checkpoint."""
        return await self._request("POST", f"/api/jobs/{_segment(job_id)}/resume")

    async def serve_job(self, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/serve: make a model of it; answers when that can be asked, as the job's `model`."""
        while (job := await self._request("POST", f"/api/jobs/{_segment(job_id)}/serve"))["model"] is None:
            pass  # the service holds each answer back for a while
        return job

    async def delete_job(self, job_id: str) -> None:
        """DELETE /api/jobs/{id}: put it away; `restore_job` undoes it within a day."""
        await self._request("DELETE", f"/api/jobs/{_segment(job_id)}")

    async def restore_job(self, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/restore."""
        return await self._request("POST", f"/api/jobs/{_segment(job_id)}/restore")

    async def job_events(self, job_id: str, after: int = 0) -> AsyncGenerator[tuple[int, dict[str, Any]]]:
        """GET /api/jobs/{id}/events: what the job tells past event `after`, with numbers, until it has ended.

        An event's `type` is ``state`` (with the changing part of the job's JSON), ``point`` (`Point.to_dict()`) or
        ``output`` (with `text`). The stream comes back by itself, at the right place, when connection or service break.
        """
        path, patience = f"/api/jobs/{_segment(job_id)}/events", _Patience()
        while True:
            broken: Exception = ServiceError("The service broke off.")
            last: dict[str, Any] | None = None
            try:
                async with self._stream(path, {"Last-Event-ID": str(after)}) as response:
                    async for sent in http.events(response):
                        patience.reset()
                        if sent.id.isdecimal() and int(sent.id) > after:
                            after, last = int(sent.id), sent.json()
                            yield after, last
                # A service that shuts down ends the stream, too, so the job's end must have been among what it told.
                ended_at = (await self.job(job_id))["ended_at"]
                if ended_at is not None and (last is None or last.get("ended_at") == ended_at):
                    return
            except (http.HTTPError, Stopped) as problem:
                broken = problem
            await self._find_again(patience, broken)

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
        patience = _Patience()
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
                await self._find_again(patience, problem, start)
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
            await self._find_again(patience, ServiceError(f"A proxy answers {response.status_code}."), start)

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

    async def _find_again(self, patience: _Patience, problem: Exception, start: Start = "crashed") -> None:
        """Wait a little longer each time, then look where the service is now; gives up with a `ServiceError`."""
        await patience.wait(problem, self.address.url)
        try:
            await self.find(start=start)
        except Stopped as stopped:
            patience.stopped(stopped)

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


class _Patience:
    """For how long a service may be away, and in what steps to look."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._since = time.monotonic()
        self._step = 0.05
        self._stopped: Stopped | None = None

    def stopped(self, stopped: Stopped) -> None:
        self._stopped = stopped

    async def wait(self, problem: Exception, url: str) -> None:
        away = time.monotonic() - self._since
        if self._stopped is not None and away > STOPPED_LIMIT_S:
            raise self._stopped
        if away > AWAY_LIMIT_S:
            why = f" ({http.failure(problem)})" if isinstance(problem, http.HTTPError) else ""
            raise ServiceError(
                f"The service at {url} does not answer{why}.",
                remedy="See `llmws status`, or connect again with llmws.connect().",
            ) from problem
        await asyncio.sleep(self._step)
        self._step = min(self._step * 1.6, 2.0)


def _authorization(address: Address) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.token}"} if address.token else {}


def _refusal(response: http.Response) -> Error | None:
    """The error that the service answered with; None where the answer is not in our shape."""
    try:
        told = response.json()["error"]
        return from_dict(told, response.status_code)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _compared(comparison: dict[str, Any]) -> dict[str, Any]:
    told = {**comparison, "messages": [Message.from_dict(message) for message in comparison["messages"]]}
    if "items" in told:
        told["items"] = [_decoded(item) for item in told["items"]]
    return told
