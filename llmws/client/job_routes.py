"""The part of `Api` that speaks of fine-tunes: what can be learned from, what can be tuned, and the jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from .. import http
from ..errors import ServiceError
from .absence import Absence
from .bodies import said, segment
from .finding import Stopped
from .origin import of_page
from .requests import Requests


class JobRoutes:
    """Routes as methods, one each, see `Api`."""

    async def datasets(self: Requests) -> list[dict[str, Any]]:
        """GET /api/datasets: what can be trained on, each with its first rows."""
        return (await self._request("GET", "/api/datasets"))["items"]

    async def bases(self: Requests) -> dict[str, Any]:
        """GET /api/bases: the models that can be tuned, as ``{"items", "problem"}``."""
        return await self._request("GET", "/api/bases")

    async def recipe(self: Requests) -> dict[str, Any]:
        """GET /api/recipe: what a recipe asks and those to begin with, as ``{"fields", "presets"}``."""
        return await self._request("GET", "/api/recipe")

    async def training_environment(self: Requests) -> dict[str, Any]:
        """GET /api/training-environment: whether fine-tunes can run, or how far the installation is."""
        return await self._request("GET", "/api/training-environment")

    async def create_job(
        self: Requests,
        base: str,
        dataset: str,
        recipe: Mapping[str, Any] | None = None,
        name: str | None = None,
        key: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """POST /api/jobs: queue a fine-tune. `recipe` is `Recipe.to_dict()`, or a part of it."""
        body = said({"base": base, "dataset": dataset, "recipe": dict(recipe or {}), "name": name})
        headers = of_page() if origin is None else origin
        return await self._request("POST", "/api/jobs", json=body, key=key, headers=headers)

    async def jobs(self: Requests, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """GET /api/jobs: a page, newest first, as ``{"items", "next_cursor"}``."""
        return await self._request("GET", "/api/jobs", params={"limit": limit, "cursor": cursor})

    async def job(self: Requests, job_id: str) -> dict[str, Any]:
        """GET /api/jobs/{id}: how it stands with a job."""
        return await self._request("GET", f"/api/jobs/{segment(job_id)}")

    async def job_points(self: Requests, job_id: str) -> dict[str, Any]:
        """GET /api/jobs/{id}/points: its curves, one point per step, as ``{"items", "after"}``."""
        return await self._request("GET", f"/api/jobs/{segment(job_id)}/points")

    async def job_log(self: Requests, job_id: str, after: int = 0) -> dict[str, Any]:
        """GET /api/jobs/{id}/log: what the trainer printed since `after`, as ``{"text", "after", "more"}``."""
        return await self._request("GET", f"/api/jobs/{segment(job_id)}/log", params={"after": after})

    async def stop_job(self: Requests, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/stop: have it finish its step, save and end."""
        return await self._request("POST", f"/api/jobs/{segment(job_id)}/stop")

    async def resume_job(self: Requests, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/resume: go on from the last checkpoint."""
        return await self._request("POST", f"/api/jobs/{segment(job_id)}/resume")

    async def serve_job(self: Requests, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/serve: make a model of it; answers when that can be asked, as the job's `model`."""
        while (job := await self._request("POST", f"/api/jobs/{segment(job_id)}/serve"))["model"] is None:
            pass  # the service holds each answer back for a while
        return job

    async def delete_job(self: Requests, job_id: str) -> None:
        """DELETE /api/jobs/{id}: put it away; `restore_job` undoes it within a day."""
        await self._request("DELETE", f"/api/jobs/{segment(job_id)}")

    async def restore_job(self: Requests, job_id: str) -> dict[str, Any]:
        """POST /api/jobs/{id}/restore."""
        return await self._request("POST", f"/api/jobs/{segment(job_id)}/restore")

    async def job_events(self: Requests, job_id: str, after: int = 0) -> AsyncGenerator[tuple[int, dict[str, Any]]]:
        """GET /api/jobs/{id}/events: what the job tells past event `after`, with numbers, until it has ended.

        An event's `type` is ``state`` (with the changing part of the job's JSON), ``point`` (`Point.to_dict()`) or
        ``output`` (with `text`). The stream comes back by itself, at the right place, when connection or service break.
        """
        job, absence = f"/api/jobs/{segment(job_id)}", Absence()
        while True:
            broken: Exception = ServiceError("The service broke off.")
            last: dict[str, Any] | None = None
            try:
                async with self._stream(f"{job}/events", {"Last-Event-ID": str(after)}) as response:
                    async for sent in http.events(response):
                        absence.reset()
                        if sent.id.isdecimal() and int(sent.id) > after:
                            after, last = int(sent.id), sent.json()
                            yield after, last
                # A service that shuts down ends the stream, too, so the job's end must have been among what it told.
                ended_at = (await self._request("GET", job))["ended_at"]
                if ended_at is not None and (last is None or last.get("ended_at") == ended_at):
                    return
            except (http.HTTPError, Stopped) as problem:
                broken = problem
            await self._find_again(absence, broken)
