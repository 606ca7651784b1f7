"""What runners ask and tell: the two routes of the protocol that `training.runner` describes.

A runner's token opens these and nothing else, and no person's opens these. A report is what an untrusted program left
in a folder, so it is checked like any request, and kept in one transaction: told twice, it changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BeforeValidator, ConfigDict, Field, with_config
from sqlalchemy import Connection

from ..errors import Error
from ..recipe import Recipe
from ..store import Store
from ..store import jobs as kept
from ..store.jobs import Job, JobEvent
from ..training.accelerators import Accelerator
from ..training.orders import Order
from ..training_log import Point
from . import progress
from .access import RunnerAccount
from .bodies import Name, Text, storable
from .datasets import Datasets, TheDatasets
from .here import TheStore, here
from .progress import Feed
from .scheduling import WORK, Present, Scheduler
from .training import Bases, TheBases

# A runner that cannot work yet (its environment is being installed) shall say soon how far it is.
_UNREADY_WAIT_S = 2.0
_LONGEST_WAIT_S = 30.0
_GRACE_S = 120.0

# What a newer runner says besides is not an error.
_LENIENT = ConfigDict(extra="ignore")

State = Literal["preparing", "running", "stopping", "finished", "stopped", "failed", "interrupted", "deleted"]


def _is_point(value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("step"), int):
        raise ValueError("a point has no step")
    return storable(value)


GivenPoint = Annotated[dict[str, Any], BeforeValidator(_is_point)]


@with_config(_LENIENT)
@dataclass(frozen=True)
class GivenAccelerator:
    id: Name
    kind: Literal["gpu", "cpu"]
    name: Text = ""
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    memory_mb: int | None = None


@with_config(_LENIENT)
@dataclass(frozen=True)
class Claim:
    runner: Name
    accelerators: Annotated[list[GivenAccelerator], Field(max_length=64)]
    host: Text = ""
    wait_s: Annotated[float, Field(ge=0)] = 0.0
    ready: bool = True
    reason: Text = ""
    remedy: Text = ""


@with_config(_LENIENT)
@dataclass(frozen=True)
class Output:
    offset: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    text: Annotated[Text, Field(max_length=1 << 20)]


@with_config(_LENIENT)
@dataclass(frozen=True)
class Report:
    runner: Name
    state: State
    round: Annotated[int, Field(ge=1)] = 1
    attempt: Annotated[int, Field(ge=0)] = 0
    points: Annotated[list[GivenPoint], Field(max_length=1000)] = field(default_factory=list)
    output: Output | None = None
    started_at: float | None = None
    ended_at: float | None = None
    reason: Text | None = None
    remedy: Text | None = None
    step: int | None = None
    total_steps: int | None = None


TheFeed = Annotated[Feed, here("feed")]
TheScheduler = Annotated[Scheduler, here("scheduler")]
router = APIRouter(prefix="/api/runner", tags=["runner"])


@router.post("/claim")
async def claim(
    asked: Claim,
    runner: RunnerAccount,
    store: TheStore,
    feed: TheFeed,
    scheduler: TheScheduler,
    bases: TheBases,
    datasets: TheDatasets,
) -> dict[str, Any]:
    """Ask for work; the answer is held back for a while where there is none."""
    accelerators = tuple(Accelerator(**asdict(one)) for one in asked.accelerators)
    scheduler.greet(Present(asked.runner, accelerators, time.time(), asked.ready, asked.reason, asked.remedy))
    until = time.monotonic() + min(asked.wait_s, _LONGEST_WAIT_S if asked.ready else _UNREADY_WAIT_S)
    while True:
        news = feed.changed(WORK)
        mine = await store.read(kept.of_runner, asked.runner)
        waiting = [job for job in mine if asked.ready and _is_to_begin(job)]
        orders = [told for job in waiting if (told := await _order(job, store, feed, bases, datasets)) is not None]
        intents = [{"id": job.id, **told} for job in mine if (told := _intent(job))]
        left_s = until - time.monotonic()
        if orders or intents or feed.closed or left_s <= 0 or not await feed.wait(news, left_s):
            return {"orders": orders, "intents": intents}


@router.post("/jobs/{id}/report")
async def report(
    id: str, told: Report, runner: RunnerAccount, store: TheStore, feed: TheFeed, scheduler: TheScheduler
) -> dict[str, Any]:
    """Tell how a job stands; the answer says from where on its output is wanted, and what is wanted of it."""
    ended, answer = await store.write(_take, id, told)
    feed.notify(id)
    if ended:
        scheduler.wake()
    return answer


def _is_to_begin(job: Job) -> bool:
    """Whether the job has its accelerators, and its runner has not said yet that it has the order.

    One that shall stop is ordered, too: what a runner has taken on, it can stop and tell of, whatever came before.
    """
    return job.state == "queued" and job.intent != "delete" and bool(job.accelerators)


async def _order(job: Job, store: Store, feed: Feed, bases: Bases, datasets: Datasets) -> dict[str, Any] | None:
    """The order of a job; one whose base or dataset has gone meanwhile fails."""
    try:
        base, folder = bases.find(job.base), datasets.folder_of(job.dataset)
        recipe = Recipe.from_dict(job.recipe)
    except Error as problem:
        await store.write(_fail, job.id, problem)
        feed.notify(job.id)
        return None
    accelerators = tuple(map(str, job.accelerators))
    weights = str(base.weights)
    return Order(
        job.id, base.id, weights, base.template, job.dataset, str(folder), recipe, accelerators, job.round
    ).to_dict()


def _fail(connection: Connection, job_id: str, problem: Error) -> None:
    job = kept.anybodys(connection, job_id)
    if _is_to_begin(job):
        why = {"reason": problem.message, "remedy": problem.remedy}
        progress.change(connection, job, state="failed", ended_at=time.time(), **why)


def _intent(job: Job) -> dict[str, Any]:
    """What the runner shall do about a job, beyond carrying it out."""
    if job.intent == "delete":
        return {"intent": "delete", "by": job.owner, "round": job.round}
    if job.intent == "stop" and job.ended_at is None:
        return {"intent": "stop", "by": job.owner, "round": job.round, "grace_s": _GRACE_S}
    return {}


def _take(connection: Connection, id: str, told: Report) -> tuple[bool, dict[str, Any]]:
    """Keep a report; whether the job has thereby ended, and the answer."""
    job = kept.anybodys(connection, id)
    if told.state == "deleted":
        if job.intent == "delete":
            kept.remove(connection, id)
            return True, {"output_offset": 0}
        told = _gone(told, job)
    last = kept.last_event(connection, id, "output")
    known = int(last.body["end"]) if last is not None else 0
    if told.round >= job.round:
        events = [JobEvent("point", _key(point), point) for point in told.points]
        if told.output is not None and told.output.offset >= known:
            known = told.output.end
            events.append(JobEvent("output", str(told.output.offset), asdict(told.output)))
        new = kept.add_events(connection, id, events)
        points = [Point.from_dict(event.body) for event in new if event.type == "point"]
        job = progress.change(connection, job, **_changes(job, told), **_figures(job, told, points))
    return job.ended_at is not None, {"output_offset": known, **_intent(job)}


def _gone(told: Report, job: Job) -> Report:
    """What it means that a folder is no more whose removal nobody asked for."""
    state: State = "interrupted" if job.ended_at is None else job.state  # type: ignore[assignment]
    return Report(told.runner, state, job.round, job.attempts, reason="Its run folder is gone.")


def _changes(job: Job, told: Report) -> dict[str, Any]:
    """What of the row a report changes, besides its figures."""
    ended = told.state in progress.ENDED
    return {
        "state": told.state,
        "round": told.round,
        "attempts": told.attempt,
        "runner": told.runner,
        "reason": told.reason or "",
        "remedy": told.remedy or "",
        "started_at": job.started_at or told.started_at,
        "ended_at": (told.ended_at or time.time()) if ended else None,
    }


def _figures(job: Job, told: Report, points: list[Point]) -> dict[str, Any]:
    """How far the job is, by the points that are new (a runner that was restarted tells all of them again)."""
    step, total, loss = job.step, job.total_steps, job.loss
    for point in points:
        step = point.step
        total = total if point.total_steps is None else point.total_steps
        loss = loss if point.loss is None else point.loss
    if told.step is not None:
        step, total = told.step, told.total_steps or total
    return {"step": step, "total_steps": total, "loss": loss}


def _key(point: dict[str, Any]) -> str:
    """What makes a point another one: a step comes again, with its evaluation say, or after a resume."""
    digest = hashlib.sha256(json.dumps(point, sort_keys=True).encode()).hexdigest()
    return f"{point['step']}:{digest[:16]}"
