"""How a job stands, told as it changes: what its row says becomes events, and events become a stream for any number.

Jobs take hours and their readers come and go, the service among them: so every event is in the store before anybody
sees it, `seq` numbers them, and a reader is a number. Who changes a job, and why, is not known here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from sqlalchemy import Connection

from ..store import Store, new_id
from ..store import jobs as kept
from ..store.jobs import Job, JobEvent

RESUMABLE = ("stopped", "failed", "interrupted")
ENDED = ("finished", *RESUMABLE)
_BATCH = 500


def facts(job: Job) -> dict[str, Any]:
    """What of a job changes while it is carried out: part of its JSON, and the body of its events of type `state`."""
    return {
        "state": job.state,
        "intent": job.intent,
        "reason": job.reason,
        "remedy": job.remedy,
        "round": job.round,
        "attempts": job.attempts,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "step": job.step,
        "total_steps": job.total_steps,
        "loss": job.loss,
        "resumable": job.state in RESUMABLE,
    }


# Where nothing but these moved, the points have said so already.
_FIGURES = ("step", "total_steps", "loss")


def change(connection: Connection, job: Job, **changes: Any) -> Job:
    """Change the row, and tell of it in an event; what is as it was before is not told again."""
    changes = {name: value for name, value in changes.items() if getattr(job, name) != value}
    if not changes:
        return job
    changed = kept.update(connection, job.owner, job.id, **changes)
    before, now = facts(job), facts(changed)
    if any(before[name] != now[name] for name in now if name not in _FIGURES):
        tell(connection, changed)
    return changed


def tell(connection: Connection, job: Job, **more: Any) -> None:
    """Add an event of type `state`, whether or not the row has changed."""
    kept.add_events(connection, job.id, [JobEvent("state", new_id(), {**facts(job), **more, "at": time.time()})])


class Feed:
    """Wakes those who wait for news of a job, or for work to do; it carries none itself: they look into the store."""

    def __init__(self) -> None:
        self.closed = False
        self._changed: dict[str, asyncio.Event] = {}

    def changed(self, subject: str) -> asyncio.Event:
        """Set at the next `notify` about `subject`; get it before looking into the store."""
        event = self._changed.setdefault(subject, asyncio.Event())
        if self.closed:
            event.set()
        return event

    def notify(self, *subjects: str) -> None:
        for subject in subjects:
            if (event := self._changed.pop(subject, None)) is not None:
                event.set()

    def close(self) -> None:
        """Wake everybody: the service shuts down."""
        self.closed = True
        self.notify(*list(self._changed))

    async def wait(self, event: asyncio.Event, limit_s: float) -> bool:
        """Whether there was news within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await event.wait()
        except TimeoutError:
            return False
        return True


async def follow(
    store: Store, feed: Feed, owner: str, job_id: str, after: int, silence_s: float
) -> AsyncGenerator[list[JobEvent], None]:
    """The job's events past `after`, then those that come, until it has ended and all is told.

    An empty list stands for each `silence_s` without any. A service that shuts down breaks off.
    """

    def look(connection: Connection, after: int) -> tuple[Job, list[JobEvent]]:
        job = kept.get(connection, owner, job_id)
        return job, kept.events(connection, owner, job_id, after, _BATCH)

    while not feed.closed:
        changed = feed.changed(job_id)
        job, batch = await store.read(partial(look, after=after))
        if batch:
            after = batch[-1].seq
            yield batch
        elif job.ended_at is not None:
            return
        elif not await feed.wait(changed, silence_s):
            yield []
