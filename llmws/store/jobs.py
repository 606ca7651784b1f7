"""Fine-tunes: what was asked for (`intent`), how far it is (`state`), and what its run folder told, as events.

The run folder owns the facts; these rows repeat them so that lists and charts need no file. Events may be posted again
by a runner that lost its connection, and are then kept once. Nothing here knows how a job is run.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import update as update_rows

from ..errors import Conflict, NotFound
from . import tables
from .paging import checked_limit, newest

EventType = Literal["state", "point", "output"]
_CHANGEABLE = {"name", "state", "intent", "round", "attempts", "reason", "remedy", "step", "total_steps", "loss"}
_CHANGEABLE |= {"accelerators", "runner", "started_at", "ended_at"}


@dataclass(frozen=True, slots=True)
class Job:
    """A fine-tune. `intent` is what its owner wants (``run``, ``stop``, ``delete``), `reason` why it is as it is.

    `ended_at` is None as long as something may still happen by itself; `round` counts how often it was begun by
    somebody, `attempts` how often it was in this round, by itself. `step`, `total_steps` and `loss` are the last told.
    """

    id: str
    owner: str
    name: str
    base: str
    dataset: str
    recipe: Mapping[str, Any]
    state: str
    intent: str
    attempts: int
    reason: str
    accelerators: tuple[Any, ...]
    runner: str | None
    notebook: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    updated_at: float
    round: int
    remedy: str
    step: int | None
    total_steps: int | None
    loss: float | None
    deleted_at: float | None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something a job told. `key` names it among those of its type (a step, a line number); `seq` is given here."""

    type: EventType
    key: str
    body: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0


def create(
    connection: Connection,
    owner: str,
    id: str,
    *,
    base: str,
    dataset: str,
    recipe: Mapping[str, Any],
    name: str | None = None,
    notebook: str | None = None,
) -> Job:
    """Queue a job; where `owner` already has one of this id (the request was repeated), return that one.

    Without a name it gets the dataset's and a number that is free.
    """
    if (known := _find(connection, tables.jobs.c.owner == owner, tables.jobs.c.id == id)) is not None:
        return known
    if name is None:
        taken = set(connection.scalars(select(tables.jobs.c.name).where(tables.jobs.c.owner == owner)))
        name = next(free for number in count(1) if (free := f"{dataset}-{number}") not in taken)
    now = time.time()
    connection.execute(
        insert(tables.jobs).values(
            id=id,
            owner=owner,
            name=name,
            base=base,
            dataset=dataset,
            recipe=dict(recipe),
            state="queued",
            intent="run",
            attempts=0,
            reason="",
            accelerators=[],
            notebook=notebook,
            created_at=now,
            updated_at=now,
        )
    )
    return get(connection, owner, id)


def get(connection: Connection, owner: str, id: str) -> Job:
    """The job, or `NotFound` where `owner` has none of this id or deleted it."""
    columns = tables.jobs.c
    return _found(_find(connection, columns.owner == owner, columns.id == id, columns.deleted_at.is_(None)))


def anybodys(connection: Connection, id: str) -> Job:
    """The job whoever owns it, deleted or not, for those who carry it out; `NotFound` where there is none."""
    return _found(_find(connection, tables.jobs.c.id == id))


def page(
    connection: Connection, owner: str, limit: int = 50, cursor: str | None = None
) -> tuple[list[Job], str | None]:
    """Jobs, newest first, and the cursor of the next page."""
    columns = tables.jobs.c
    statement = select(tables.jobs).where(columns.owner == owner, columns.deleted_at.is_(None))
    rows, following = newest(connection, statement, columns.created_at, columns.id, limit=limit, cursor=cursor)
    return [_job(row) for row in rows], following


def live(connection: Connection) -> list[Job]:
    """Every owner's jobs that have not ended, oldest first."""
    return _oldest(connection, tables.jobs.c.ended_at.is_(None))


def of_runner(connection: Connection, runner: str) -> list[Job]:
    """Every owner's jobs with which `runner` may have something to do: those not ended, and those to be removed."""
    columns = tables.jobs.c
    return _oldest(connection, columns.runner == runner, columns.ended_at.is_(None) | (columns.intent == "delete"))


def deleted(connection: Connection, before: float) -> list[Job]:
    """Every owner's jobs that were deleted before then, and of which something is left."""
    return _oldest(connection, tables.jobs.c.deleted_at < before)


def update(
    connection: Connection, owner: str, id: str, *, when: str | Collection[str] | None = None, **changes: Any
) -> Job:
    """Change a job, provided that its state is (one of) `when`; else it is a `Conflict` and nothing changes.

    What may change: `name`, `state`, `intent`, `round`, `attempts`, `reason`, `remedy`, `step`, `total_steps`, `loss`,
    `accelerators`, `runner`, `started_at`, `ended_at`.
    """
    if unknown := set(changes) - _CHANGEABLE:
        raise TypeError(f"a job's {', '.join(sorted(unknown))} cannot be changed")
    if "accelerators" in changes:
        changes["accelerators"] = list(changes["accelerators"])
    columns = tables.jobs.c
    statement = update_rows(tables.jobs).where(columns.id == id, columns.owner == owner)
    if when is not None:
        statement = statement.where(columns.state.in_([when] if isinstance(when, str) else list(when)))
    changed = connection.execute(statement.values({**changes, "updated_at": time.time()}))
    job = _found(_find(connection, columns.owner == owner, columns.id == id))
    if changed.rowcount != 1:
        raise Conflict(f"This job is {job.state}.", remedy="Look at it again.", details={"state": job.state})
    return job


def delete(connection: Connection, owner: str, id: str) -> None:
    """Hide the job; `restore` brings it back."""
    get(connection, owner, id)
    _mark(connection, id, time.time())


def restore(connection: Connection, owner: str, id: str) -> Job:
    """Undo `delete`; a job that was not deleted stays as it is, one whose removal has begun is not found."""
    columns = tables.jobs.c
    _found(_find(connection, columns.owner == owner, columns.id == id, columns.intent != "delete"))
    _mark(connection, id, None)
    return get(connection, owner, id)


def remove(connection: Connection, id: str) -> None:
    """Forget the job, whoever owns it, and its events. Its run folder is the runner's to remove, before."""
    anybodys(connection, id)
    connection.execute(delete_rows(tables.job_events).where(tables.job_events.c.job_id == id))
    connection.execute(delete_rows(tables.jobs).where(tables.jobs.c.id == id))


def add_events(connection: Connection, job_id: str, told: Sequence[JobEvent]) -> list[JobEvent]:
    """Keep those of the events that are new by their type and key, and return them with their `seq`, from 1 on."""
    columns = tables.job_events.c
    mine = columns.job_id == job_id
    keys = {event.key for event in told}
    known = {
        (row.type, row.key)
        for some in _chunks(sorted(keys))
        for row in connection.execute(select(columns.type, columns.key).where(mine, columns.key.in_(some)))
    }
    seq = connection.scalar(select(func.max(columns.seq)).where(mine)) or 0
    new: list[JobEvent] = []
    for event in told:
        if (event.type, event.key) not in known:
            known.add((event.type, event.key))
            new.append(JobEvent(event.type, event.key, event.body, seq + len(new) + 1))
    if new:
        connection.execute(
            insert(tables.job_events),
            [
                {"job_id": job_id, "seq": event.seq, "type": event.type, "key": event.key, "body": dict(event.body)}
                for event in new
            ],
        )
    return new


def events(
    connection: Connection,
    owner: str,
    job_id: str,
    after: int = 0,
    limit: int = 1000,
    type: EventType | None = None,
) -> list[JobEvent]:
    """Up to `limit` events past `after`, in order, of one type or of all."""
    get(connection, owner, job_id)
    columns = tables.job_events.c
    statement = (
        select(columns.type, columns.key, columns.body, columns.seq)
        .where(columns.job_id == job_id, columns.seq > after)
        .order_by(columns.seq)
        .limit(checked_limit(limit))
    )
    if type is not None:
        statement = statement.where(columns.type == type)
    return [JobEvent(**row._mapping) for row in connection.execute(statement)]


def last_event(connection: Connection, job_id: str, type: EventType) -> JobEvent | None:
    """The latest event of a type."""
    columns = tables.job_events.c
    statement = (
        select(columns.type, columns.key, columns.body, columns.seq)
        .where(columns.job_id == job_id, columns.type == type)
        .order_by(columns.seq.desc())
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else JobEvent(**row._mapping)


def _oldest(connection: Connection, *conditions: Any) -> list[Job]:
    columns = tables.jobs.c
    statement = select(tables.jobs).where(*conditions).order_by(columns.created_at, columns.id)
    return [_job(row) for row in connection.execute(statement)]


def _mark(connection: Connection, id: str, deleted_at: float | None) -> None:
    connection.execute(update_rows(tables.jobs).where(tables.jobs.c.id == id).values(deleted_at=deleted_at))


def _find(connection: Connection, *conditions: ColumnElement[bool]) -> Job | None:
    row = connection.execute(select(tables.jobs).where(*conditions)).one_or_none()
    return None if row is None else _job(row)


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFound("There is no such job.", remedy="It may have been deleted, or belong to somebody else.")
    return job


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)
    return Job(**{**values, "accelerators": tuple(values["accelerators"])})


def _chunks(keys: Sequence[str], size: int = 500) -> list[Sequence[str]]:
    # A database limits how many values one statement may bind.
    return [keys[start : start + size] for start in range(0, len(keys), size)]
