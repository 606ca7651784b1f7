"""A job is a folder: `RunDir` names every path in it, and tells a job's state from the facts that lie there.

    RUN/lock              held (flock) by whoever works on the run: the supervisor, and the trainer, which inherits it
    RUN/supervisor.lock   held by the supervisor alone: the lock taken and this one free is an orphaned trainer
    RUN/job.json          what was ordered, and with which program (`orders.Job`)
    RUN/recipe.yaml       LLaMA-Factory's arguments, all paths relative to RUN
    RUN/base              a link to the weights to begin from
    RUN/data/             a copy of the dataset with its dataset_info.json
    RUN/output/           the trainer's own: trainer_log.jsonl, checkpoint-N/, the adapter
    RUN/output.log        what the trainer printed, every attempt after the other
    RUN/swanlab/          SwanLab's local files
    RUN/attempts.json     each start of the trainer: when, from which step, how it ended
    RUN/stop.json         an intent: somebody asked it to stop
    RUN/exit.json         how the run ended; there is none while it goes on, or after everything was killed
    RUN/reported.json     the round of which the runner has told the end
    RUN/aside/            what stood in the way of a later attempt: broken checkpoints, the exit of an earlier round

All of it is text or the trainer's; everything can be rebuilt from (root, job id). Files are written aside and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ..errors import TrainingError
from ..locks import is_held, taken
from .checkpoints import Checkpoint, checkpoints

State = Literal["prepared", "preparing", "running", "stopping", "finished", "stopped", "failed", "interrupted"]
ENDED = ("finished", "stopped", "failed", "interrupted")

# Given back when the disk is full, so that the end of a run can still be written down.
_RESERVE = 1 << 16
_LITTLE = 1 << 20


class RunDir:
    """The folder of one job: nothing but paths, so that it can be rebuilt at any time.

    Example:
        >>> RunDir(Path("/runs"), "5f3a").trainer_log.as_posix()
        '/runs/5f3a/output/trainer_log.jsonl'
    """

    def __init__(self, root: Path, job_id: str) -> None:
        self.root, self.job_id = root.absolute(), job_id
        self.folder = folder = self.root / job_id
        self.lock = folder / "lock"
        self.supervisor_lock = folder / "supervisor.lock"
        self.supervisor_log = folder / "supervisor.log"
        self.job = folder / "job.json"
        self.recipe = folder / "recipe.yaml"
        self.base = folder / "base"
        self.data = folder / "data"
        self.output = folder / "output"
        self.trainer_log = self.output / "trainer_log.jsonl"
        self.output_log = folder / "output.log"
        self.cache = folder / "cache"
        self.attempts = folder / "attempts.json"
        self.stop = folder / "stop.json"
        self.exit = folder / "exit.json"
        self.reported = folder / "reported.json"
        self.aside = folder / "aside"
        self.reserve = folder / "reserve"

    @classmethod
    def at(cls, folder: Path) -> RunDir:
        return cls(folder.absolute().parent, folder.name)

    @classmethod
    def all(cls, root: Path) -> list[RunDir]:
        """The runs below `root`, by job id; other folders are left out."""
        return [cls(root, path.parent.name) for path in sorted(root.glob("*/job.json"))]

    def __repr__(self) -> str:
        return f"RunDir({self.folder})"

    def read(self, path: Path, default: Any = None) -> Any:
        """What stands in one of the JSON files; `default` where there is none."""
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return default
        except ValueError:
            raise TrainingError(f"{path} is not JSON.", remedy="Mend or remove it.") from None

    def write(self, path: Path, value: Any) -> None:
        """Write a JSON file, whole or not at all; a full disk is a `TrainingError`."""
        self.write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        try:
            _replace(path, text)
        except OSError as problem:
            if not is_full(problem):
                raise
            self.reserve.unlink(missing_ok=True)
            try:
                _replace(path, text)
            except OSError as again:
                raise full_disk(self.folder) from again

    def keep_reserve(self) -> None:
        """Set some bytes aside for the last file of the run."""
        if not self.reserve.exists():
            with contextlib.suppress(OSError):
                self.reserve.write_bytes(os.urandom(_RESERVE))

    def hold(self, lock: Path) -> int | None:
        """Take one of the two locks for as long as the descriptor (or one inherited from it) is open; None: taken."""
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not taken(descriptor):
            os.close(descriptor)
            return None
        return descriptor

    def is_worked_on(self) -> bool:
        """Whether a supervisor, or a trainer that survived its supervisor, is alive."""
        return is_held(self.lock)

    def is_supervised(self) -> bool:
        return is_held(self.supervisor_lock)

    def state(self) -> State:
        """What the facts say; `interrupted` is a run that was begun, and that nobody works on or has ended."""
        if (ended := self.read(self.exit)) is not None:
            return ended["state"]
        begun = self.read(self.attempts) or []
        if self.is_worked_on():
            if self.stop.exists():
                return "stopping"
            return "running" if begun else "preparing"
        if self.exit.exists():  # between our two looks it ended
            return self.state()
        return "interrupted" if begun else "prepared"

    def checkpoints(self) -> list[Checkpoint]:
        return checkpoints(self.output)

    def ask_to_stop(self, by: str, grace_s: float = 120.0) -> None:
        """Leave the intent to stop; the trainer has `grace_s` to save, and is killed at once with 0."""
        told = self.read(self.stop)
        if told is None or told["grace_s"] > grace_s:
            self.write(self.stop, {"by": by, "grace_s": grace_s, "at": time.time()})

    def set_aside(self, path: Path) -> None:
        """Move what stands in the way out of it; nothing is deleted."""
        self.aside.mkdir(exist_ok=True)
        number = 1
        while (target := self.aside / f"{number}-{path.name}").exists():
            number += 1
        path.rename(target)

    def reopen(self) -> None:
        """Make an ended run one that can be started again, from its last valid checkpoint."""
        for path in (self.exit, self.stop, self.attempts):
            if path.exists():
                self.set_aside(path)


def is_full(problem: BaseException) -> bool:
    return isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def has_no_room(folder: Path) -> bool:
    """Whether so little is left that somebody who ended there without a word probably could not write it."""
    return shutil.disk_usage(folder).free < _LITTLE


def full_disk(folder: Path) -> TrainingError:
    return TrainingError(
        f"The disk is full: {folder} cannot be written.",
        remedy="Free some space, then resume the job: it goes on from its last checkpoint.",
        code="disk_full",
    )


def lines(path: Path, since: int = 0) -> Iterator[str]:
    """The whole lines of a log from byte `since` on; none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(since)
            for raw in file:
                if raw.endswith(b"\n"):
                    yield raw.decode("utf-8", errors="replace")
    except FileNotFoundError:
        return


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
