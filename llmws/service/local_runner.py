"""A laptop's own runner: a child of the service, started when there is first something to run, and kept alive.

It gets the service's address and a token of its own by its environment, and ends when its stdin does, that is with the
service, however that ends. The jobs go on: their supervisors are nobody's children. What a runner does, and what it
says, is `training.runner`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from ..errors import Error, TrainingError
from ..instance import reported
from ..settings import Settings

LOG = logging.getLogger("llmws.service")

NAME = "here"
_HOME = Path(__file__).resolve().parents[2]
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _STEADY_S = 0.5, 30.0, 60.0
_FAREWELL_S = 5.0
_LOG_LIMIT = 8 * 2**20


class LocalRunner:
    """Keeps one runner running from the first `wake` on.

    Attributes:
        problem: why there is none at the moment, if it ended.
    """

    def __init__(self, settings: Settings, url: str, token: str) -> None:
        self.problem: Error | None = None
        self._settings = settings
        self._environment = {"LLMWS_URL": url, "LLMWS_TOKEN": token}
        self._log = settings.data / "runner.log"
        self._needed = asyncio.Event()
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def wake(self) -> None:
        """There is something to run."""
        self._needed.set()

    async def run(self) -> None:
        """Run beside the service; cancel it to end the runner."""
        await self._needed.wait()
        pause_s = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                await self._run_once()
            except OSError as problem:
                self.problem = TrainingError(f"The runner cannot be started: {problem.strerror or problem}.")
            LOG.warning("%s It is started again.", self.problem)
            if time.monotonic() - began > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _run_once(self) -> None:
        """Start a runner and wait for its end, which leaves a `problem`."""
        began = self._rotate()
        process = self._process = await self._spawn()
        try:
            code = await process.wait()
        finally:
            self._process = None
            await _end(process)
        with self._log.open("rb") as log:
            log.seek(began)
            said = reported(log.read().decode(errors="replace"))
        self.problem = said or TrainingError(f"The runner ended with code {code}.", remedy=f"See {self._log}.")

    def _rotate(self) -> int:
        """The length of the log, which is put aside where it has grown long."""
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.replace(self._log.with_suffix(".log.1"))
        return self._log.stat().st_size if self._log.exists() else 0

    async def _spawn(self) -> Process:
        path = os.pathsep.join([str(_HOME), *filter(None, [dict(os.environ).get("PYTHONPATH")])])
        environment = {**os.environ, **self._settings.to_environment(), **self._environment, "PYTHONPATH": path}
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
            # -P: what lies in the working folder must not pass for a module of ours. In a session of its own it does
            # not get our Ctrl-C.
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "llmws.training.runner", "--name", NAME, "--until-eof"),
                cwd=self._settings.data,
                env=environment,
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=output,
                start_new_session=True,
            )


async def _end(process: Process) -> None:
    """Close its stdin, which ends it; one that does not go is killed."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
