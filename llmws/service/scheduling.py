"""The loop that gives waiting jobs to runners: which one gets what is `training.schedule.plan`'s business.

All that must last stands in the store; here lives only who asked for work lately. So a service that is killed loses no
more than the time until its runners ask again. How runners ask is `runners`' business.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from ..errors import Error
from ..settings import Settings
from ..store import Store
from ..store import jobs as kept
from ..store.jobs import Job
from ..training import environment
from ..training.accelerators import Accelerator
from ..training.schedule import SILENT_S, Assignment, Waiting, plan
from . import progress
from .local_runner import LocalRunner
from .progress import Feed

LOG = logging.getLogger("llmws.service")

# What the feed calls work to do; a job's news go by its id.
WORK = "work"
# While jobs live, a runner that went silent must be noticed; else there is only what was deleted to be removed.
_LOOK_S, _IDLE_LOOK_S = 5.0, 600.0
# A deleted job may be restored for so long; then its run folder goes.
RESTORABLE_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Present:
    """A runner, as it described itself when it last asked for work."""

    name: str
    accelerators: tuple[Accelerator, ...]
    seen_at: float
    ready: bool = True
    reason: str = ""
    remedy: str = ""


class Scheduler:
    """Plans whenever something changed, one plan after the other.

    Args:
        runner: the service's own, if it has one.

    Attributes:
        running: how many jobs have their accelerators.
        busy: whether a job runs, or waits for something that is about to come.
    """

    def __init__(self, settings: Settings, store: Store, feed: Feed, runner: LocalRunner | None) -> None:
        self.running = 0
        self.busy = False
        self._runner = runner
        self._settings = settings
        self._store = store
        self._feed = feed
        self._present: dict[str, Present] = {}
        self._woken = asyncio.Event()

    @property
    def present(self) -> list[Present]:
        """The runners that asked for work lately."""
        return [runner for runner in self._present.values() if time.time() - runner.seen_at <= SILENT_S]

    def greet(self, runner: Present) -> None:
        """A runner asks for work: it is there, and as it says."""
        known = self._present.get(runner.name)
        self._present[runner.name] = runner
        if known is None or replace(known, seen_at=runner.seen_at) != runner:
            self.wake()

    def wake(self) -> None:
        """Something changed that a plan depends on."""
        self._woken.set()

    async def run(self) -> None:
        """Run beside the service."""
        while True:
            self._woken.clear()
            pause_s = _LOOK_S
            try:
                if not await self._step():
                    pause_s = _IDLE_LOOK_S
            except Error as problem:
                LOG.warning("jobs cannot be planned: %s", problem)
            except Exception:
                LOG.exception("jobs cannot be planned")
            await self._feed.wait(self._woken, pause_s)

    async def _step(self) -> bool:
        """Plan once; whether there are jobs that have not ended."""
        live = await self._store.read(kept.live)
        removed = await self._tidy_up()
        if self._runner is not None and (live or removed):
            self._runner.wake()
        waiting = [job for job in live if not job.accelerators]
        ready = [runner for runner in self.present if runner.ready]
        planned = plan(map(_seen, live), _of(ready), time.time())
        assigned = {given.job_id: given for given in planned.assignments}
        for job in waiting:
            if (given := assigned.get(job.id)) is not None:
                await self._store.write(_assign, job.id, given)
                self._feed.notify(job.id, WORK)
            elif (why := self._reason(ready, planned.reasons.get(job.id, ""))) is not None:
                await self._explain(job, *why)
        installing = bool(waiting) and not ready and await asyncio.to_thread(self._is_installing)
        self.running = len(live) - len(waiting) + len(assigned)
        self.busy = self.running > 0 or (bool(waiting) and (bool(ready) or installing))
        return bool(live)

    async def _explain(self, job: Job, reason: str, remedy: str) -> None:
        if (job.reason, job.remedy) != (reason, remedy):
            await self._store.write(_explain, job.id, reason, remedy)
            self._feed.notify(job.id)

    def _reason(self, ready: list[Present], planned: str) -> tuple[str, str] | None:
        """Why a job waits, and what helps; None where that is not known yet."""
        if ready:
            return planned, ""
        if unready := next((runner for runner in self.present if runner.reason), None):
            return unready.reason, unready.remedy
        problem = self._runner.problem if self._runner is not None and not self.present else None
        return (problem.message, problem.remedy) if problem is not None else None

    def _is_installing(self) -> bool:
        return environment.status(self._settings).state == "installing"

    async def _tidy_up(self) -> bool:
        """Have the folders of jobs removed that were deleted long ago; whether there are any."""
        gone = await self._store.read(kept.deleted, before=time.time() - RESTORABLE_S)
        for job in gone:
            if job.intent != "delete":
                await self._store.write(_remove, job.id)
                self._feed.notify(WORK)
        return bool(gone)


def _seen(job: Job) -> Waiting:
    """A job as the plan sees it."""
    return Waiting(job.id, job.created_at, runner=job.runner or "", accelerators=job.accelerators)


def _of(runners: Iterable[Present]) -> list[Accelerator]:
    return [
        replace(accelerator, runner=runner.name, seen_at=runner.seen_at)
        for runner in runners
        for accelerator in runner.accelerators
    ]


def _assign(connection: Connection, job_id: str, given: Assignment) -> None:
    job = kept.anybodys(connection, job_id)
    if job.state == "queued" and job.intent == "run" and not job.accelerators:
        told = {"runner": given.runner, "accelerators": given.accelerators}
        progress.change(connection, job, **told, reason="", remedy="")


def _explain(connection: Connection, job_id: str, reason: str, remedy: str) -> None:
    job = kept.anybodys(connection, job_id)
    if job.state == "queued" and not job.accelerators:
        progress.change(connection, job, reason=reason, remedy=remedy)


def _remove(connection: Connection, job_id: str) -> None:
    job = kept.anybodys(connection, job_id)
    if job.runner is None:
        kept.remove(connection, job_id)
    elif job.deleted_at is not None:
        kept.update(connection, job.owner, job_id, intent="delete")
