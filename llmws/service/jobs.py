"""Fine-tunes as their owner sees them: begun, watched, stopped, resumed, served, deleted.

A route changes what the owner wants (`intent`), and what nobody has begun yet; everything else about a job is what its
runner tells (`runners`). All a page shows comes from the store, so it is there while no runner is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator, with_config
from sqlalchemy import Connection

from ..errors import Conflict, InvalidRequest, NotFound
from ..recipe import Recipe
from ..settings import Settings
from ..store import adapters as kept_adapters
from ..store import jobs as kept
from ..store.jobs import Job, JobEvent
from ..training_log import Point, merge
from . import events, progress, training
from .access import Reader, Trainer
from .adapters import TheAdapters
from .bodies import STRICT, Name, storable
from .chats import Limit
from .datasets import TheDatasets
from .generations import TheOrigin
from .here import CreatedId, TheSettings, TheStore
from .runners import TheFeed, TheScheduler
from .scheduling import WORK
from .training import TheBases

After = Annotated[int, Query(ge=0)]
# As much of the log as one answer holds: pieces of at most 64 KiB.
_PIECES = 64
# Proxies give up on what is silent for longer.
_SERVE_WAIT_S = 20.0

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


@with_config(STRICT)
@dataclass(frozen=True)
class NewJob:
    """What to train on what, and how; without a name it is called after the dataset."""

    base: Name
    dataset: Name
    recipe: Annotated[dict[str, Any], BeforeValidator(storable)] = field(default_factory=dict)
    name: Name | None = None


def to_json(job: Job, models: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """A job as the world sees it; `models` are the ids under which what it made is served, by job."""
    return {
        "id": job.id,
        "name": job.name,
        "base": job.base,
        "dataset": job.dataset,
        "recipe": dict(job.recipe),
        "created_at": job.created_at,
        **progress.facts(job),
        "model": models.get(job.id),
        "folder": str(settings.runs / job.id),
    }


def _models(connection: Connection, owner: str) -> dict[str, str]:
    """The model that each of the owner's jobs is served as: the latest, where a job was resumed and served again."""
    return {one.job_id: one.id for one in kept_adapters.list(connection, owner) if one.job_id is not None}


@router.get("")
async def list_jobs(
    person: Reader, store: TheStore, settings: TheSettings, limit: Limit = 50, cursor: str | None = None
) -> dict[str, Any]:
    """Jobs, newest first."""

    def look(connection: Connection) -> dict[str, Any]:
        found, following = kept.page(connection, person.name, limit, cursor)
        models = _models(connection, person.name)
        return {"items": [to_json(job, models, settings) for job in found], "next_cursor": following}

    return await store.read(look)


@router.post("", status_code=202)
async def create(
    new: NewJob,
    id: CreatedId,
    person: Trainer,
    origin: TheOrigin,
    store: TheStore,
    settings: TheSettings,
    bases: TheBases,
    datasets: TheDatasets,
    scheduler: TheScheduler,
) -> dict[str, Any]:
    """Queue a fine-tune, after every row of its dataset was looked at."""
    recipe = _recipe(new.recipe)
    try:
        known = await store.read(kept.get, person.name, id)
    except NotFound:
        bases.find(new.base)
        await datasets.check(new.dataset, recipe.stage)
        await training.require_environment(settings)
    else:
        if (known.base, known.dataset, dict(known.recipe)) != (new.base, new.dataset, recipe.to_dict()):
            raise Conflict("This Idempotency-Key began another job.", remedy="Use a new key for each job.")

    def begin(connection: Connection) -> Job:
        job = kept.create(
            connection,
            person.name,
            id,
            base=new.base,
            dataset=new.dataset,
            recipe=recipe.to_dict(),
            name=new.name,
            notebook=origin.notebook,
        )
        if kept.last_event(connection, id, "state") is None:
            progress.tell(connection, job)
        return job

    job = await store.write(begin)
    scheduler.wake()
    return to_json(job, {}, settings)


@router.get("/{id}")
async def show(id: str, person: Reader, store: TheStore, settings: TheSettings) -> dict[str, Any]:
    """How it stands with a job."""

    def look(connection: Connection) -> dict[str, Any]:
        job = kept.get(connection, person.name, id)
        return to_json(job, _models(connection, person.name), settings)

    return await store.read(look)


@router.get("/{id}/points")
async def list_points(id: str, person: Reader, store: TheStore) -> dict[str, Any]:
    """The curves so far, one point per step; the job's later events are those after `after`."""

    def look(connection: Connection) -> dict[str, Any]:
        told: list[JobEvent] = []
        while batch := kept.events(connection, person.name, id, told[-1].seq if told else 0, type="point"):
            told += batch
        points = merge(Point.from_dict(event.body) for event in told)
        return {"items": [point.to_dict() for point in points], "after": told[-1].seq if told else 0}

    return await store.read(look)


@router.get("/{id}/log")
async def show_log(id: str, person: Reader, store: TheStore, after: After = 0) -> dict[str, Any]:
    """What the trainer printed, after the event `after`; where `more` is true, ask again with the new `after`."""
    batch = await store.read(kept.events, person.name, id, after, _PIECES, "output")
    return {
        "text": "".join(event.body["text"] for event in batch),
        "after": batch[-1].seq if batch else after,
        "more": len(batch) == _PIECES,
    }


@router.get("/{id}/events", response_class=StreamingResponse, responses=events.STREAM)
async def follow(
    id: str,
    person: Reader,
    store: TheStore,
    feed: TheFeed,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> StreamingResponse:
    """Everything that a job tells, as server-sent events from `Last-Event-ID` on, until it has ended."""
    await store.read(kept.get, person.name, id)

    async def frames() -> AsyncGenerator[list[bytes], None]:
        async for batch in progress.follow(store, feed, person.name, id, last_event_id, events.SILENCE_S):
            yield [events.frame({**event.body, "type": event.type}, event.seq) for event in batch]

    return events.respond(frames())


@router.post("/{id}/stop", status_code=202)
async def stop(
    id: str, person: Trainer, store: TheStore, settings: TheSettings, feed: TheFeed, scheduler: TheScheduler
) -> dict[str, Any]:
    """Have a job finish its step, save and end; one that has ended stays as it is."""

    def change(connection: Connection) -> dict[str, Any]:
        job = kept.get(connection, person.name, id)
        if job.ended_at is None:
            # Once it has its accelerators a runner may have the order, and only that one can say that it stopped.
            told = {"state": "stopped", "reason": "Stopped before it began.", "remedy": "", "ended_at": time.time()}
            waits = job.state == "queued" and not job.accelerators
            job = progress.change(connection, job, intent="stop", **(told if waits else {}))
        return to_json(job, _models(connection, person.name), settings)

    changed = await store.write(change)
    scheduler.wake()
    feed.notify(id, WORK)
    return changed


@router.post("/{id}/resume", status_code=202)
async def resume(
    id: str, person: Trainer, store: TheStore, settings: TheSettings, feed: TheFeed, scheduler: TheScheduler
) -> dict[str, Any]:
    """Go on with a job that was stopped or failed, from its last checkpoint."""
    await training.require_environment(settings)

    def change(connection: Connection) -> dict[str, Any]:
        job = kept.get(connection, person.name, id)
        if job.state == "finished" or (job.ended_at is None and job.intent != "run"):
            remedy = "Begin a new one." if job.state == "finished" else "Wait until it has stopped."
            raise Conflict(f"This job is {_said(job)}.", remedy=remedy, details={"state": job.state})
        if job.ended_at is not None:
            anew = {"state": "queued", "intent": "run", "round": job.round + 1, "accelerators": ()}
            job = progress.change(connection, job, **anew, attempts=0, reason="", remedy="", ended_at=None)
        return to_json(job, _models(connection, person.name), settings)

    changed = await store.write(change)
    scheduler.wake()
    feed.notify(id)
    return changed


@router.post("/{id}/serve")
async def serve(
    id: str, response: Response, person: Trainer, store: TheStore, settings: TheSettings, adapters: TheAdapters
) -> dict[str, Any]:
    """Make a model of what the job learned: its id is then the job's `model`. Takes it long (202), ask again."""
    job = await store.read(kept.get, person.name, id)
    model = await adapters.serve(job, _SERVE_WAIT_S)
    response.status_code = 202 if model is None else 200
    return to_json(job, {id: model} if model else {}, settings)


@router.delete("/{id}", status_code=204)
async def delete(id: str, person: Trainer, store: TheStore) -> None:
    """Put an ended job away; `restore` brings it back within a day, then its folder is removed."""

    def change(connection: Connection) -> None:
        job = kept.get(connection, person.name, id)
        if job.ended_at is None:
            raise Conflict(f"This job is {_said(job)}.", remedy="Stop it first.", details={"state": job.state})
        kept.delete(connection, person.name, id)

    await store.write(change)


@router.post("/{id}/restore")
async def restore(id: str, person: Trainer, store: TheStore, settings: TheSettings) -> dict[str, Any]:
    """Undo a delete."""

    def change(connection: Connection) -> dict[str, Any]:
        job = kept.restore(connection, person.name, id)
        return to_json(job, _models(connection, person.name), settings)

    return await store.write(change)


def _recipe(given: dict[str, Any]) -> Recipe:
    if not isinstance(given.get("extra", {}), dict):
        raise InvalidRequest("The recipe's extra is not an object.", details={"field": "extra"})
    return Recipe.from_dict(given)


def _said(job: Job) -> str:
    return "being stopped" if job.ended_at is None and job.intent == "stop" else job.state
