"""``llmws runner``: asks the service for jobs, starts their supervisors, and tells what happens in the run folders.

The runner owns nothing: run folders hold the facts, the service the intents. It may be killed at any time; the next one
finds the folders, starts a supervisor where one is missing, and tells what the service does not have yet. One runner
works on a folder of runs (`runner.lock`); on a laptop it is a child of the service and ends with it (``--until-eof``),
while the jobs go on.

**The protocol**: two POST requests with JSON bodies, sent with ``Authorization: Bearer TOKEN``. All of it may arrive
twice: what is said a second time changes nothing. ``[…]`` stands for None or a missing key.

``POST /api/runner/claim`` asks for work; the service may hold the answer back for up to `wait_s` while it has none::

    {"runner": name, "host": hostname, "wait_s": 20.0,
     "ready": true, "reason": "", "remedy": "",            ready false: no orders, please; say so to who waits
     "accelerators": [{"id", "kind": "gpu"|"cpu", "name", "precision", "memory_mb"}]}
    → {"orders":  [{"id", "round", "base", "weights", "template", "dataset", "dataset_dir", "recipe": {…},
                    "accelerators": ["cpu"], "max_attempts": 3}],
       "intents": [{"id", "intent": "stop"|"delete", "by": name, "round": 1, ["grace_s": 120.0]}]}

An order is one of `orders.Order`. It is repeated in every answer until the first report with its `round` has come.
`round` is 1, and one more each time that somebody resumes the job after its end; the folder then goes on from the last
valid checkpoint. An intent is repeated until a report shows that it was done: ``stop`` by any state that ends (a job
that finished meanwhile is `finished`), ``delete`` by the state ``deleted``. ``delete`` stops without saving.

``POST /api/runner/jobs/{id}/report``, when something has changed, at most once a second::

    {"runner": name, "round": 1,
     "state": "preparing"|"running"|"stopping"|"finished"|"stopped"|"failed"|"interrupted"|"deleted",
     "attempt": 1, ["started_at", "attempt_started_at", "from_step"],
     "points": [training_log.Point.to_dict()],             at most 500; the key is `step`, a later one replaces
     ["output": {"offset": 0, "end": 812, "text": "…"}],   bytes of output.log; at most 64 KiB
     on an end also: "reason", "remedy", "error" (a code), "code", "signal", "stopped_by", "step", "total_steps",
                     "ended_at"}
    → {"output_offset": 812, ["intent", "by", "round", "grace_s"]}

`output_offset` is the `end` of the last output that the service keeps (0 where there is none). Output that begins
before it is known already, and is ignored; one that begins after it is meant so (its first line says what was left
out). Where the answer differs from what the runner sent, it goes on from the answer. The first report after a start of
the runner has neither points nor output: its answer says where to go on. A report of an earlier `round` than the
job's is ignored. 404 makes the runner leave the folder as it is; 401 and 403 end the runner.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

from ..errors import Error, Forbidden, NotAuthenticated, NotFound, ServiceError, SettingsError, TrainingError, from_dict
from ..http import AsyncClient, HTTPError, new_client
from ..instance import report as told_as_line
from ..instance import reported
from ..locks import locked
from ..settings import Settings
from . import environment
from .accelerators import Accelerator, common_precision, find_accelerators
from .orders import Job, Order
from .reports import Follower
from .run_dir import RunDir, full_disk, has_no_room
from .supervise import start

LOG = logging.getLogger(__name__)

_LOOK_S = 1.0
_WAIT_S = 20.0
_LONGEST_PAUSE_S = 30.0
# The runner before us may be about to end with its service.
_FAREWELL_S = 10.0
# A supervisor that ends so often without an end of the run will not do better the next time.
_MOST_STARTS = 3
_CONVERTER = Path(__file__).resolve().parents[1] / "serving" / "weights.py"


@dataclass
class _Watched:
    run: RunDir
    follower: Follower
    greeted: bool = False
    deleting: bool = False
    started: list[Popen[bytes]] = field(default_factory=list)


class Runner:
    """Carries out one service's orders on this host, until it is cancelled; `client` reaches it, with its token."""

    def __init__(self, settings: Settings, client: AsyncClient, name: str, accelerators: list[Accelerator]) -> None:
        self._settings, self._client, self._name = settings, client, name
        self._accelerators = {accelerator.id: accelerator for accelerator in accelerators}
        self._watched: dict[str, _Watched] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; a service that does not answer is waited for, one that refuses us is an error."""
        self._settings.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        for run in RunDir.all(self._settings.runs):
            with self._forgiving(run.job_id):
                if run.read(run.reported) != self._round(run):
                    self._watch(run)
        await asyncio.gather(self._claim_forever(), self._look_forever())

    async def _claim_forever(self) -> None:
        pause = _LOOK_S
        while True:
            began = time.monotonic()
            try:
                told = await self._post("/api/runner/claim", self._claim())
                pause = _LOOK_S
            except ServiceError as problem:
                LOG.warning("%s", problem)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            for order in told.get("orders", ()):
                with self._forgiving(str(order.get("id"))):
                    await self._accept(order)
            for intent in told.get("intents", ()):
                with self._forgiving(str(intent.get("id"))):
                    await self._obey(str(intent["id"]), intent)
            # A service need not hold answers back, and repeats what is not reported yet.
            await asyncio.sleep(max(0.0, _LOOK_S - (time.monotonic() - began)))

    def _claim(self) -> dict[str, Any]:
        ready, reason, remedy = True, "", ""
        if self._settings.training_command is None:
            now = environment.status(self._settings)
            ready, reason, remedy = now.state == "ready", now.detail, now.remedy
        return {
            "runner": self._name,
            "host": socket.gethostname(),
            "wait_s": _WAIT_S,
            "ready": ready,
            "reason": "" if ready else reason,
            "remedy": "" if ready else remedy,
            "accelerators": [accelerator.to_dict() for accelerator in self._accelerators.values()],
        }

    async def _accept(self, told: dict[str, Any]) -> None:
        """Begin an order; one that we have already is only reported."""
        try:
            order = Order.from_dict(told)
            run = RunDir(self._settings.runs, order.id)
            if run.job.exists() and self._round(run) >= order.round:
                if order.id not in self._watched:
                    self._watch(run)
                return
            run.folder.mkdir(mode=0o750, parents=True, exist_ok=True)  # on a hub the service reads it, too
            run.reopen()
            run.write(run.job, self._job(order).to_dict())
        except (Error, OSError) as problem:
            error = problem if isinstance(problem, Error) else TrainingError(f"The run cannot be prepared: {problem}.")
            failed = {"reason": error.message, "remedy": error.remedy, "error": error.code, "ended_at": time.time()}
            await self._tell_state(str(told.get("id")), "failed", round=told.get("round", 1), **failed)
            return
        self._watch(run)

    def _job(self, order: Order) -> Job:
        command = self._settings.training_command
        given = [self._accelerators[name] for name in order.accelerators if name in self._accelerators]
        return Job(
            order,
            tuple(shlex.split(command)) if command else (str(environment.command(self._settings)),),
            (str(environment.python(self._settings)), "-I", str(_CONVERTER)),
            self._settings.data / "models",
            precision=common_precision(given),
            pinned=command is None,
        )

    async def _obey(self, job_id: str, told: dict[str, Any]) -> None:
        """Leave an intent in the run folder; where there is none, say so."""
        run = RunDir(self._settings.runs, job_id)
        intent, by = told.get("intent"), told.get("by") or "somebody"
        if intent not in ("stop", "delete"):
            return
        if not run.job.exists():
            state = "deleted" if intent == "delete" else "stopped"
            await self._tell_state(job_id, state, round=told.get("round", 1))
            return
        watched = self._watched.get(job_id) or self._watch(run)
        watched.deleting |= intent == "delete"
        if not run.exit.exists():
            run.ask_to_stop(by, 0.0 if intent == "delete" else float(told.get("grace_s", 120.0)))

    def _watch(self, run: RunDir) -> _Watched:
        self._watched[run.job_id] = watched = _Watched(run, Follower(run))
        self._news.set()
        return watched

    async def _look_forever(self) -> None:
        while True:
            for job_id, watched in list(self._watched.items()):
                with self._forgiving(job_id):
                    if await self._look(watched):
                        self._watched.pop(job_id, None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_S)
            self._news.clear()

    @contextlib.contextmanager
    def _forgiving(self, job_id: str) -> Iterator[None]:
        """What goes wrong with one run must not disturb the others; only a service that refuses us ends the runner."""
        try:
            yield
        except (NotAuthenticated, Forbidden):
            raise
        except NotFound:
            LOG.warning("The service does not know job %s; its folder is left as it is.", job_id)
            self._watched.pop(job_id, None)
        except (Error, OSError, ValueError, KeyError, TypeError) as problem:
            LOG.warning("Job %s: %s", job_id, problem, exc_info=not isinstance(problem, Error))

    async def _look(self, watched: _Watched) -> bool:
        """Start a supervisor where one is missing, and report; whether there is nothing more to do for the run."""
        run = watched.run
        for supervisor in watched.started:
            supervisor.poll()  # so that it does not stay a zombie
        ended = run.exit.exists()
        if not ended and not run.is_supervised() and not any(s.returncode is None for s in watched.started):
            if len(watched.started) == _MOST_STARTS:
                return await self._give_up(watched)
            watched.started.append(start(run))
        if watched.deleting and ended and not run.is_supervised():
            run.job.unlink(missing_ok=True)  # first, so that what may be left is no run
            shutil.rmtree(run.folder, ignore_errors=True)
            await self._tell_state(run.job_id, "deleted")
            return True
        if not watched.greeted:
            await self._report(watched, watched.follower.greeting())
            watched.greeted = True
        while (told := watched.follower.report()) is not None:
            await self._report(watched, told)
        if ended and not watched.deleting:
            run.write(run.reported, self._round(run))
        return ended and not watched.deleting

    async def _report(self, watched: _Watched, told: dict[str, Any]) -> None:
        follower, before = watched.follower, watched.follower.output_offset
        try:
            answer = await self._post(f"/api/runner/jobs/{watched.run.job_id}/report", told)
        except ServiceError:
            follower.forget((told["output"] or {"offset": before})["offset"])
            raise
        if answer.get("output_offset", follower.output_offset) != follower.output_offset:
            follower.forget(answer["output_offset"])
        if answer.get("intent"):
            await self._obey(watched.run.job_id, answer)

    async def _give_up(self, watched: _Watched) -> bool:
        """The supervisor cannot work, for instance because the disk is full: say what it said."""
        printed = watched.run.supervisor_log.read_text(errors="replace") if watched.run.supervisor_log.exists() else ""
        said = reported(printed) or TrainingError(
            "The run's supervisor ended without a word.", remedy=f"See {watched.run.supervisor_log}, then resume."
        )
        if has_no_room(watched.run.folder):
            said = full_disk(watched.run.folder)
        code = "disk_full" if said.code == "disk_full" else "training"
        why = {"reason": said.message, "remedy": said.remedy, "error": code, "ended_at": time.time()}
        await self._tell_state(watched.run.job_id, "failed", round=self._round(watched.run), **why)
        return True

    async def _tell_state(self, job_id: str, state: str, **more: Any) -> None:
        with contextlib.suppress(NotFound):
            told = {"round": 1, "state": state, "points": [], "output": None, **more}
            await self._post(f"/api/runner/jobs/{job_id}/report", told)

    def _round(self, run: RunDir) -> int:
        return int(run.read(run.job)["order"]["round"])

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer; a `ServiceError` where trying again may help."""
        try:
            response = await self._client.post(path, json={"runner": self._name, **body})
        except HTTPError as problem:
            raise ServiceError(f"The service does not answer ({type(problem).__name__}).") from None
        if response.is_success:
            return dict(response.json())
        try:
            error = from_dict(response.json()["error"], response.status_code)
        except (ValueError, KeyError, TypeError):
            error = ServiceError(f"The service answered {response.status_code}.")
        if isinstance(error, NotAuthenticated | Forbidden | NotFound | ServiceError):
            raise error
        raise ServiceError(f"The service did not take {path}: {error.message}", remedy=error.remedy)


async def work(settings: Settings, url: str, token: str, name: str) -> None:
    """Run a runner for the service at `url`; a second one for the same runs is a `TrainingError`."""
    settings.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.runs / "runner.lock").open("a") as lock:
        limit = time.monotonic() + _FAREWELL_S
        while not locked(lock.fileno()):
            if time.monotonic() > limit:
                raise TrainingError(
                    f"Another runner works on {settings.runs}.", remedy="End it, or choose another LLMWS_DATA."
                )
            await asyncio.sleep(_LOOK_S / 2)
        headers = {"Authorization": f"Bearer {token}"}
        async with new_client(url, headers=headers, idle_s=3 * _WAIT_S, proxies=False) as client:
            await Runner(settings, client, name, await asyncio.to_thread(find_accelerators)).run()


def main(arguments: list[str] | None = None) -> int:
    """``llmws runner``: where the service is, and a runner's token for it, come from LLMWS_URL and LLMWS_TOKEN."""
    parser = argparse.ArgumentParser(prog="llmws runner", description="Run fine-tunes on this host.")
    parser.add_argument("--name", default=socket.gethostname(), help="what the service calls this runner")
    parser.add_argument("--until-eof", action="store_true", help="end when stdin does, that is with the parent")
    options = parser.parse_args(arguments)
    settings = Settings.from_environment()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line per request, else
    try:
        if settings.url is None:
            raise SettingsError(
                "A runner needs a service to work for; this account's own has one already.",
                remedy="Set LLMWS_URL, and a runner's token as LLMWS_TOKEN.",
            )
        if options.until_eof:
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        asyncio.run(work(settings, settings.url, settings.token or "", options.name))
    except Error as problem:
        print(told_as_line(problem), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _end_with_stdin() -> None:
    """Nothing has to be tidied up: the run folders are left as a killed runner would leave them."""
    while sys.stdin.buffer.read(1 << 12):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
