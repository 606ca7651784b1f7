"""Sees one run through: ``python -m llmws.training.supervise RUN``, detached, so that it outlives who started it.

It holds RUN/lock for life, and so does the trainer, which inherits it. Hence:

- The supervisor killed (SIGKILL): the trainer goes on, for nothing of it depends on us; points and output keep
  growing in their files, and the lock says that somebody works. Whoever finds `supervisor.lock` free and no
  `exit.json` (the runner does) starts another supervisor, which waits for the orphan, can stop it, and closes its
  attempt from facts: results written since it began are an end, anything else an interruption.
- Everything killed, or the machine: lock free and no `exit.json`. The next supervisor records the interruption and goes
  on from the last valid checkpoint.

Crashes are met in the same way, a limited number of times, and only where another attempt might go better: it had got
past its first step, or a signal ended it. Ours costs nothing meanwhile: one thread sleeps in waitpid, the other looks
for `stop.json` once a second.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import Error, TrainingError
from ..instance import report
from ..training_log import merge, parse
from .launch import prepare
from .orders import Job
from .reasons import Reason, explain, signal_name
from .run_dir import RunDir, State, full_disk, has_no_room, is_full, lines
from .trainer import Trainer

_LOOK_S = 1.0
# From SIGTERM to SIGKILL.
_LAST_GRACE_S = 10.0
_TAIL = 1 << 16
_RESULTS = ("train_results.json", "all_results.json")
# Of a finished model; without a checkpoint beside them LLaMA-Factory refuses to start in the folder.
_MODEL_FILES = ("adapter_model.*", "model.safetensors*", "model-*.safetensors", "pytorch_model*")


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: what stands in `exit.json`."""

    state: State
    reason: str = ""
    remedy: str = ""
    error: str = ""
    code: int | None = None
    signal: str = ""
    stopped_by: str = ""
    step: int | None = None
    total_steps: int | None = None
    attempts: int = 0
    ended_at: float = 0.0


def start(run: RunDir) -> subprocess.Popen[bytes]:
    """Start a detached supervisor for `run`; where one is at work already, it ends at once."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with run.supervisor_log.open("ab") as log:
        return subprocess.Popen(
            # -P: what a trainer left in the folder must not be imported.
            [sys.executable, "-P", "-m", __name__, str(run.folder)],
            cwd=run.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Supervisor:
    """One run, from its first attempt, or from wherever its last supervisor left it, to its `exit.json`."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._job = Job.from_dict(run.read(run.job))
        self._attempts: list[dict[str, Any]] = run.read(run.attempts, [])

    def supervise(self) -> None:
        """Return when the run has ended; a full disk that keeps even that from being written is a `TrainingError`."""
        lock = self._wait_for_lock()
        if self._run.exit.exists():
            return
        self._run.keep_reserve()
        try:
            end = None
            if self._attempts and "ended_at" not in self._attempts[-1]:
                end = self._close(None)
            while end is None:
                end = self._attempt(lock)
        except Error as problem:
            end = End("failed", problem.message, problem.remedy, error=problem.code)
        except OSError as problem:
            told = (
                full_disk(self._run.folder) if is_full(problem) else TrainingError(f"The run folder failed: {problem}.")
            )
            end = End("failed", told.message, told.remedy, error=told.code)
        shutil.rmtree(self._run.cache, ignore_errors=True)
        end = replace(end, attempts=len(self._attempts), ended_at=time.time())
        self._run.write(self._run.exit, asdict(end))
        self._run.reserve.unlink(missing_ok=True)

    def _wait_for_lock(self) -> int:
        """Our lock, after the trainer of a killed supervisor has ended by itself, or because it was asked to."""
        orphan = Trainer(**self._attempts[-1]["process"]) if self._attempts and self._attempts[-1]["process"] else None
        stopping = _Stopping(self._run, orphan) if orphan else None
        while (lock := self._run.hold(self._run.lock)) is None:
            if stopping:
                stopping.look()
            time.sleep(_LOOK_S)
        return lock

    def _attempt(self, lock: int) -> End | None:
        """Run the trainer once; None where it shall be tried again."""
        if self._attempts and not self._stop():
            self._pause()
        if stop := self._stop():
            return End("stopped", f"Stopped by {stop['by']} before it began.", stopped_by=stop["by"])
        prepare(self._run, self._job)
        attempt = self._begin()
        try:
            trainer = Trainer.start(self._run, self._job, lock)
        except OSError as problem:
            if is_full(problem):
                raise
            raise TrainingError(
                f"The trainer {self._job.command[0]} cannot be started: {problem.strerror}.",
                remedy="Run `make train-env`, or set LLMWS_TRAINING_COMMAND.",
            ) from None
        attempt["process"] = {"pid": trainer.pid, "created": trainer.created}
        self._run.write(self._run.attempts, self._attempts)
        stopping = _Stopping(self._run, trainer)
        while not trainer.wait(_LOOK_S):
            stopping.look()
        return self._close(trainer.code)

    def _begin(self) -> dict[str, Any]:
        """Clear the way to the last valid checkpoint, and note that an attempt begins."""
        last = 0
        for checkpoint in self._run.checkpoints():
            if checkpoint.valid:
                last = checkpoint.step
            else:
                self._run.set_aside(checkpoint.path)
        if not last and self._run.output.is_dir():
            for pattern in _MODEL_FILES:
                for path in self._run.output.glob(pattern):
                    self._run.set_aside(path)
        number = len(self._attempts) + 1
        if number > 1:
            with self._run.output_log.open("a", encoding="utf-8") as log:
                log.write(f"\nllmws: attempt {number}, {f'from checkpoint {last}' if last else 'from the beginning'}\n")
        attempt = {
            "number": number,
            "started_at": time.time(),
            "from_step": last,
            "output_from": _size(self._run.output_log),
            "log_from": _size(self._run.trainer_log),
            "process": None,
        }
        self._attempts.append(attempt)
        self._run.write(self._run.attempts, self._attempts)
        return attempt

    def _close(self, code: int | None) -> End | None:
        """Judge the attempt that just ended, note it, and say how the run ends; None where another shall follow."""
        attempt = self._attempts[-1]
        points = merge(filter(None, map(parse, lines(self._run.trainer_log, attempt["log_from"]))))
        step, total = (points[-1].step, points[-1].total_steps) if points else (attempt["from_step"], None)
        by_signal = signal_name(code)
        facts: dict[str, Any] = {"code": code, "signal": by_signal, "step": step}
        stop = self._stop()
        end: End | None
        if code == 0 or (code is None and self._has_results(attempt)):
            end = End("finished")
            if stop and not (total and step >= total):
                end = End("stopped", f"Stopped by {stop['by']} after step {step}.", stopped_by=stop["by"])
        elif stop:
            kept = max((checkpoint.step for checkpoint in self._run.checkpoints() if checkpoint.valid), default=0)
            where = f"its last checkpoint is of step {kept}" if kept else "there is no checkpoint"
            reason = f"Stopped by {stop['by']} after step {step}, without saving: {where}."
            end = End("stopped", reason, stopped_by=stop["by"])
        else:
            end = self._failure(code, step > attempt["from_step"])
            facts |= {"reason": self._reason(code).message}
        attempt |= {**facts, "ended_at": time.time()}
        self._run.write(self._run.attempts, self._attempts)
        return replace(end, code=code, signal=by_signal, step=step, total_steps=total) if end else None

    def _failure(self, code: int | None, progress: bool) -> End | None:
        reason = self._reason(code)
        if reason.again and (progress or code is None or signal_name(code)):
            if len(self._attempts) < self._job.order.max_attempts:
                return None
            tried = f"{reason.message} It was tried {len(self._attempts)} times."
            reason = replace(reason, message=tried)
        return End("interrupted" if code is None else "failed", reason.message, reason.remedy, error=reason.code)

    def _reason(self, code: int | None) -> Reason:
        since = max(self._attempts[-1]["output_from"], _size(self._run.output_log) - _TAIL)
        reason = explain("".join(lines(self._run.output_log, since)), code)
        # A trainer that can write nothing cannot say so either.
        if has_no_room(self._run.folder):
            reason = explain("No space left on device", code)
        return reason

    def _has_results(self, attempt: dict[str, Any]) -> bool:
        written = [path.stat().st_mtime for name in _RESULTS if (path := self._run.output / name).exists()]
        return any(when >= attempt["started_at"] for when in written)

    def _pause(self) -> None:
        until = time.monotonic() + self._job.pause_s
        while time.monotonic() < until and not self._run.stop.exists():
            time.sleep(min(_LOOK_S, self._job.pause_s))

    def _stop(self) -> dict[str, Any] | None:
        return self._run.read(self._run.stop)


class _Stopping:
    """Looks for `stop.json`, and then asks, orders, and kills, each after the patience that it names."""

    def __init__(self, run: RunDir, trainer: Trainer) -> None:
        self._run, self._trainer = run, trainer
        self._asked_at: float | None = None
        self._ordered_at: float | None = None

    def look(self) -> None:
        told = self._run.read(self._run.stop)
        if told is None:
            return
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            if told["grace_s"] and not self._trainer.save_and_end():
                self._order(now)
        if not told["grace_s"] or (self._ordered_at is not None and now - self._ordered_at >= _LAST_GRACE_S):
            self._trainer.end(signal.SIGKILL)
        elif self._ordered_at is None and now - self._asked_at >= told["grace_s"]:
            self._order(now)

    def _order(self, now: float) -> None:
        self._ordered_at = now
        self._trainer.end(signal.SIGTERM)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def main(arguments: list[str] | None = None) -> int:
    """Supervise the run folder that the command line names; what goes wrong is told on stderr."""
    run = RunDir.at(Path((arguments or sys.argv[1:])[0]))
    # A trainer that SIGABRT kills before its handler is in place would leave gigabytes.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        if run.hold(run.supervisor_lock) is not None:
            Supervisor(run).supervise()
    except (Error, OSError) as problem:
        error = problem if isinstance(problem, Error) else full_disk(run.folder) if is_full(problem) else None
        if error is None:
            raise
        print(report(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
