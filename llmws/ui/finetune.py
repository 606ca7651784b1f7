"""The fine-tune page: choose data, base and recipe, start, and watch the run; earlier runs beside it.

The service owns the jobs; a browser keeps what it shows and what was typed. Here an intent becomes calls of the client,
and their results the messages that all tabs get.
"""

from __future__ import annotations

import asyncio
from typing import Any

import traitlets

from ..client import Client
from ..errors import Error, InvalidRequest, NotFound, ServiceError
from ..training_log import Point
from .page import STATIC, Page, intent
from .runs import Runs
from .talks import Talks

_PULSE_LIMIT_S = 2.5


class FineTune(Page):
    """The fine-tune page: teach a model a manner by examples, and watch it learn.

    Args:
        client: whom to ask; by default ``llmws.connect()``.
        job: the id of a fine-tune to show; by default the form for a new one.
        dataset, base: what the form begins with.
        language, theme: see `Page`.

    Example:
        >>> page = ui.FineTune(dataset="seafarer")
        >>> page.points                          # no run is shown yet
        []
    """

    _esm = STATIC / "finetune.js"
    _css = STATIC / "finetune.css"
    dataset = traitlets.Unicode("", read_only=True).tag(sync=True)
    base = traitlets.Unicode("", read_only=True).tag(sync=True)

    def __init__(
        self,
        client: Client | None = None,
        *,
        job: str | None = None,
        dataset: str = "",
        base: str = "",
        **traits: Any,
    ) -> None:
        super().__init__(client, **traits)
        self.set_trait("dataset", dataset)
        self.set_trait("base", base)
        self.job_id = job
        self._api = self.client.api
        self._runs = Runs(self, self._api)
        self._serving: set[str] = set()
        self._talks = Talks(self)

    @property
    def points(self) -> list[Point]:
        """The curves of the run that the page shows, a point per step."""
        return self.client.loop.run(self._points())

    async def _points(self) -> list[Point]:
        return self._runs.points(self.job_id) if self.job_id is not None else []

    # What a browser asks for

    @intent
    async def start(self, view: str, *, job: str | None = None) -> dict[str, Any]:
        """All that a fresh tab needs; `job` is what it showed before it was reloaded, perhaps by another kernel."""
        datasets, bases, recipe, now = await asyncio.gather(
            self._api.datasets(), self._api.bases(), self._api.recipe(), self._now()
        )
        form = {"datasets": datasets, "bases": bases["items"], "problem": bases["problem"], **recipe}
        shown = await self._snapshot_if_there(self.job_id or job)
        return {"form": form, **now, "run": shown}

    @intent
    async def pulse(self, view: str) -> dict[str, Any]:
        """Whether the service is there, how far the environment is, and what is new among the runs."""
        try:
            async with asyncio.timeout(_PULSE_LIMIT_S):
                return await self._now()
        except TimeoutError:
            raise ServiceError("The service does not answer.", remedy="See `llmws status`.") from None

    @intent
    async def more(self, view: str, *, cursor: str) -> dict[str, Any]:
        return await self._api.jobs(cursor=cursor)

    @intent
    async def show(self, view: str, *, id: str | None) -> dict[str, Any]:
        # Before it is read: of two that are shown at once the last counts, whichever comes first.
        self.job_id = id
        return {"run": await self._snapshot(id) if id is not None else None}

    @intent
    async def begin(
        self, view: str, *, dataset: str, base: str, recipe: dict[str, Any], key: str, name: str | None = None
    ) -> dict[str, Any]:
        """Queue a fine-tune and show it. A repeated `key` is the same one."""
        job = await self._api.create_job(base=base, dataset=dataset, recipe=recipe, name=name, key=key)
        self._share(view, job)
        self.job_id = job["id"]
        return {"run": await self._snapshot(job["id"])}

    @intent
    async def stop(self, view: str, *, id: str) -> dict[str, Any]:
        return self._share(view, await self._api.stop_job(id))

    @intent
    async def resume(self, view: str, *, id: str) -> dict[str, Any]:
        return self._share(view, await self._api.resume_job(id))

    @intent
    async def serve(self, view: str, *, id: str) -> None:
        """Make a model of what was learned; it takes a while, so all tabs are told when it is done."""
        if id not in self._serving:
            self._serving.add(id)
            self.tell("serving", id=id, serving=True)
            self.spawn(self._serve(id))

    @intent
    async def talk(self, view: str, *, model: str) -> dict[str, Any]:
        """A chat page with this model, as a widget that the browser can show in place of the run."""
        return {"widget": self._talks.widget(model)}

    @intent
    async def delete(self, view: str, *, id: str) -> None:
        await self._api.delete_job(id)
        self._runs.forget(id)
        if self.job_id == id:
            self.job_id = None
        self.tell("removed", view, id=id)

    @intent
    async def restore(self, view: str, *, id: str) -> dict[str, Any]:
        return self._share(view, await self._api.restore_job(id))

    # What they have in common

    async def _now(self) -> dict[str, Any]:
        environment, jobs = await asyncio.gather(self._api.training_environment(), self._api.jobs())
        for job in jobs["items"]:
            self._runs.know(job)
        return {"environment": environment, "jobs": jobs}

    async def _serve(self, id: str) -> None:
        problem: dict[str, Any] | None = None
        try:
            self._share(None, await self._api.serve_job(id))
        except Error as error:
            problem = error.to_dict()
        finally:
            self._serving.discard(id)
            self.tell("serving", id=id, serving=False, error=problem)

    def _share(self, view: str | None, job: dict[str, Any]) -> dict[str, Any]:
        self._runs.know(job)
        self.tell("job", view, job=job)
        return job

    async def _snapshot_if_there(self, id: str | None) -> dict[str, Any] | None:
        self.job_id = id
        try:
            return await self._snapshot(id) if id is not None else None
        except (NotFound, InvalidRequest):
            # Another may have been opened meanwhile.
            if self.job_id == id:
                self.job_id = None
            return None

    async def _snapshot(self, id: str) -> dict[str, Any]:
        shown = await self._runs.snapshot(id)
        return {**shown, "serving": id in self._serving}
