"""Fine-tunes become models that can be asked: converted once, kept in the data folder, served after every start.

A conversion runs in a process of the training environment, one at a time. It goes on when whoever asked hangs up; who
asks again meanwhile waits for the same. What is served does not depend on the run folder, which may be deleted.
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import Annotated

from sqlalchemy import Connection

from ..errors import Conflict, Error, Unavailable
from ..serving.adapters import Tuned, convert
from ..settings import Settings
from ..store import Store
from ..store import adapters as kept
from ..store import grants as kept_grants
from ..store import jobs as kept_jobs
from ..store.adapters import Adapter
from ..store.jobs import Job
from ..training import environment
from ..training.run_dir import RunDir
from . import progress
from .embedded import EmbeddedProvider
from .here import here
from .progress import Feed
from .training import Bases

LOG = logging.getLogger("llmws.service")

# A stopped job has saved what it had learned, if it had begun to.
SERVABLE = ("finished", "stopped")
_OTHER_MODELS = ("echo",)


class Adapters:
    """Serves what was tuned.

    Attributes:
        busy: whether a conversion runs.
    """

    def __init__(
        self, settings: Settings, store: Store, feed: Feed, provider: EmbeddedProvider | None, bases: Bases
    ) -> None:
        self._settings = settings
        self._store = store
        self._feed = feed
        self._provider = provider
        self._bases = bases
        self._under_way: dict[str, asyncio.Task[str]] = {}
        self._converting = asyncio.Lock()

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    async def restore(self) -> None:
        """Serve what was served before."""
        if self._provider is not None:
            try:
                await self._provider.serve(await self._store.read(kept.served))
            except Error as problem:
                LOG.warning("the tuned models cannot be served: %s", problem)
            await self.regrant()

    async def regrant(self) -> None:
        """Let those use what is served with whom it is shared now."""
        if self._provider is not None:
            self._provider.grant(await self._store.read(kept_grants.all_of, kept.NOUN))

    async def stop(self) -> None:
        """Break off what runs; asked again, it begins anew."""
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def serve(self, job: Job, wait_s: float) -> str | None:
        """Serve what the job made, and return its model id; None where that takes longer than `wait_s`: ask again.

        Raises:
            Conflict: it has not come to an end, or its base is another than the one that is served.
            Unavailable: no models are served here.
            TrainingError: there is nothing that could be converted.
        """
        if job.state not in SERVABLE:
            raise Conflict(
                f"This job is {job.state}, and has nothing to serve.",
                remedy="Wait for its end." if job.ended_at is None else "Resume it.",
                details={"state": job.state},
            )
        self._require(job)
        task = self._under_way.get(job.id)
        if task is None:
            task = self._under_way[job.id] = asyncio.create_task(self._serve(job), name=f"serve {job.id}")
            task.add_done_callback(lambda _: self._under_way.pop(job.id, None))
        await asyncio.wait({task}, timeout=wait_s)
        return task.result() if task.done() else None

    def _require(self, job: Job) -> EmbeddedProvider:
        provider = self._provider
        if provider is None:
            raise Unavailable("This service serves no models.", remedy="Unset LLMWS_EMBEDDED, and start it again.")
        if provider.server is None:
            raise Unavailable(str(provider.problem), remedy="See `llmws doctor`.")
        if provider.server.model.id != job.base:
            raise Conflict(
                f"Its base {job.base} is not served here.", remedy="Set LLMWS_EMBEDDED_MODEL to its file again."
            )
        return provider

    async def _serve(self, job: Job) -> str:
        provider = self._require(job)
        target = self._settings.data / "adapters" / f"{job.id}-{job.round}.gguf"
        async with self._converting:
            known = await self._store.read(_of_job, job)
            if known is not None and known.path == str(target) and target.exists():
                return known.id
            target.parent.mkdir(mode=0o700, exist_ok=True)
            run, weights = RunDir(self._settings.runs, job.id), self._bases.find(job.base).weights
            tuned = await convert(environment.python(self._settings), run.output, weights, target)
            adapter = await self._store.write(_add, job, tuned, (*_OTHER_MODELS, job.base))
            try:
                await provider.serve(await self._store.read(kept.served))
            except BaseException:
                await self._store.write(kept.remove, job.owner, adapter.id)
                raise
        await self._store.write(partial(_tell, job_id=job.id, model=adapter.id))
        self._feed.notify(job.id)
        return adapter.id


def _of_job(connection: Connection, job: Job) -> Adapter | None:
    mine = [adapter for adapter in kept.list(connection, job.owner) if adapter.job_id == job.id]
    return mine[-1] if mine else None


def _add(connection: Connection, job: Job, tuned: Tuned, others: tuple[str, ...]) -> Adapter:
    model_id = kept.free_id(connection, _id_of(job.name) or _id_of(job.dataset) or "tuned", others)
    return kept.add(connection, job.owner, model_id, job.base, job.id, str(tuned.path), tuned.kind)


def _tell(connection: Connection, job_id: str, model: str) -> None:
    progress.tell(connection, kept_jobs.anybodys(connection, job_id), model=model)


def _id_of(name: str) -> str:
    """A model id that one can type, of a job's name.

    Example:
        >>> _id_of("My sailor: 2nd try")
        'my-sailor-2nd-try'
    """
    return re.sub(r"[^\w.]+", "-", name.lower())[:80].strip("-.")


TheAdapters = Annotated[Adapters, here("adapters")]
