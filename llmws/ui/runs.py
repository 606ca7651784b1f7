"""The fine-tunes that a page follows: what they tell is folded, batched, and sent to the browsers.

A run may log hundreds of points a second when it is read from its beginning. As with `streams`, one numbered message
each tenth of a second tells of all of them, and a browser that took a snapshot needs exactly the batches after it.
Everything here runs on the client's loop and therefore needs no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..client.api import Api
from ..training_log import Point, overlay
from .streams import Speaker

BATCH_S = 0.1
# What a browser gets of the log: its end. All of it stands in the run's folder.
LOG_CHARACTERS = 60_000
# A snapshot waits until what is stored has been read, but not for ever.
_QUIET_S, _SETTLE_LIMIT_S = 0.1, 1.5
_FIGURES = ("learning_rate", "epoch", "tokens_per_s", "elapsed_s", "remaining_s")


@dataclass(slots=True)
class _Run:
    job: dict[str, Any]
    seq: int = 0
    points: dict[int, Point] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    log: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    reading: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    unsent_points: set[int] = field(default_factory=set)
    unsent_log: list[str] = field(default_factory=list)
    unsent: bool = False


class Runs:
    """Follows jobs and tells a page's browsers how they stand."""

    def __init__(self, page: Speaker, api: Api) -> None:
        self._page = page
        self._api = api
        self._runs: dict[str, _Run] = {}
        self._flushing: asyncio.TimerHandle | None = None

    def know(self, job: Mapping[str, Any]) -> None:
        """Take in a job as the service tells it now; one that is followed and was resumed is read on."""
        run = self._runs.get(job["id"])
        if run is not None:
            run.job = {**run.job, **job}
            self._changed(run)
            if not run.reading and job["ended_at"] is None:
                self._follow(run)

    def forget(self, job_id: str) -> None:
        """The job was deleted."""
        self._runs.pop(job_id, None)

    async def snapshot(self, job_id: str) -> dict[str, Any]:
        """All that a browser needs to show a job now; what it tells from there on comes as batches."""
        job = await self._api.job(job_id)
        run = self._runs.setdefault(job_id, _Run(dict(job)))
        run.job |= job
        if not run.reading:
            self._follow(run)
        await _settle(run)
        # From here to the reply nothing is awaited: nothing may be told in between.
        self.flush()
        return {**self._told(run), "points": _rows(run.points.values()), "log": run.log}

    def points(self, job_id: str) -> list[Point]:
        """The curves of a job as far as they are known here, in order of steps."""
        run = self._runs.get(job_id)
        return [] if run is None else [run.points[step] for step in sorted(run.points)]

    def flush(self) -> None:
        """Send what has come in, in one message for all runs."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        batch = []
        for run in self._runs.values():
            if run.unsent:
                points = _rows(run.points[step] for step in sorted(run.unsent_points))
                batch.append({**self._told(run), "points": points, "log": "".join(run.unsent_log)[-LOG_CHARACTERS:]})
                run.unsent, run.unsent_points, run.unsent_log = False, set(), []
        if batch:
            self._page.tell("deltas", runs=batch)

    def _told(self, run: _Run) -> dict[str, Any]:
        return {"job": run.job, "figures": run.figures, "history": run.history}

    def _follow(self, run: _Run) -> None:
        run.reading = True
        self._page.spawn(self._read(run))

    async def _read(self, run: _Run) -> None:
        try:
            async for seq, event in self._api.job_events(run.job["id"], run.seq):
                run.seq = seq
                self._take(run, event)
                run.heard.set()
        finally:
            run.reading = False
            run.heard.set()

    def _take(self, run: _Run, event: Mapping[str, Any]) -> None:
        told = {name: value for name, value in event.items() if name != "type"}
        match event["type"]:
            case "point":
                self._take_point(run, Point.from_dict(told))
            case "output":
                run.log = (run.log + told["text"])[-LOG_CHARACTERS:]
                run.unsent_log.append(told["text"])
            case "state":
                _take_state(run, told)
        self._changed(run)

    def _take_point(self, run: _Run, point: Point) -> None:
        known = run.points.get(point.step)
        run.points[point.step] = point if known is None else overlay(known, point)
        run.unsent_points.add(point.step)
        run.figures |= {name: value for name in _FIGURES if (value := getattr(point, name)) is not None}
        told = {"step": point.step, "total_steps": point.total_steps, "loss": point.loss}
        run.job |= {name: value for name, value in told.items() if value is not None}

    def _changed(self, run: _Run) -> None:
        run.unsent = True
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(BATCH_S, self.flush)


async def _settle(run: _Run) -> None:
    """Wait until the run tells nothing for a moment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_LIMIT_S):
            while run.reading:
                run.heard.clear()
                async with asyncio.timeout(_QUIET_S):
                    await run.heard.wait()


def _take_state(run: _Run, told: dict[str, Any]) -> None:
    at = told.pop("at", None)
    # A step that was told by a point is newer than one that a change of state repeats.
    run.job |= {name: value for name, value in told.items() if value is not None or name not in ("step", "loss")}
    entry = {name: told.get(name) for name in ("state", "attempts", "round", "reason")}
    if not run.history or any(run.history[-1][name] != value for name, value in entry.items()):
        run.history.append({**entry, "at": at, "step": told.get("step")})


def _rows(points: Any) -> list[list[float | None]]:
    return [[point.step, point.loss, point.eval_loss] for point in points]
