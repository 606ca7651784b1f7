"""The trainer's processes: one of ours or one left over by a killed supervisor, looked at and stopped the same way.

Stopping asks first, then orders. LLaMA-Factory ends with 0 on SIGABRT, after saving the model but no checkpoint, so
that a resumed run would lose the steps since the last one (transformers 5.6); what transformers saves on SIGTERM
(``enable_jit_checkpoint``) is a checkpoint, too. Both want a handler in place: anything else (a launcher, torchrun, a
wrapper, a trainer that still loads) would be killed by the same signals. A handler for SIGABRT is the mark of who
trains: they are asked, the leaves first, by SIGTERM if they catch it, else by SIGABRT. Where nobody does there is
nothing to save yet.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

import psutil

from .launch import environment
from .orders import Job
from .run_dir import RunDir


class Trainer:
    """The process tree below one attempt; `pid` and `created` name it beyond any doubt, also after a restart."""

    def __init__(self, pid: int, created: float, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid, self.created = pid, created
        self._child = child
        self._ended = threading.Event()
        self._seen: set[psutil.Process] = set()
        if child is not None:
            # A waiting thread costs nothing, and wakes us at once: no polling for the end.
            threading.Thread(target=self._wait_for_child, daemon=True).start()

    @classmethod
    def start(cls, run: RunDir, job: Job, lock: int) -> Trainer:
        """Start it in a process group of its own; it inherits `lock`, and prints into a file that nobody must read."""
        with run.output_log.open("ab") as log:
            child = subprocess.Popen(
                [*job.command, "train", run.recipe.name],
                cwd=run.folder,
                env=environment(run, job.order),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                pass_fds=(lock,),
            )
        with contextlib.suppress(psutil.Error):
            return cls(child.pid, psutil.Process(child.pid).create_time(), child)
        return cls(child.pid, 0.0, child)

    @property
    def code(self) -> int | None:
        """The exit code, once it ended; None also of a trainer that was not our child."""
        return self._child.poll() if self._child else None

    def wait(self, seconds: float) -> bool:
        """Wait for the end of our child, at most `seconds`; whether it ended."""
        return self._ended.wait(seconds)

    def save_and_end(self) -> bool:
        """Ask those that can to save what was learned and to end; False where none can."""
        asked = False
        for process in reversed(self._tree()):
            if _catches(process.pid, signal.SIGABRT):
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGTERM if _catches(process.pid, signal.SIGTERM) else signal.SIGABRT)
                    asked = True
        return asked

    def end(self, how: signal.Signals) -> None:
        """Send a signal to the whole group, and to those that left the group, as torchrun's workers do."""
        self._tree()
        if self._leader() is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, how)
        for process in self._seen:
            with contextlib.suppress(psutil.Error):
                process.send_signal(how)

    def _leader(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if process.create_time() == self.created:
                return process
        return None

    def _tree(self) -> list[psutil.Process]:
        """The leader and all below it, parents before children."""
        leader = self._leader()
        tree = []
        if leader is not None:
            with contextlib.suppress(psutil.Error):
                tree = [leader, *leader.children(recursive=True)]
        self._seen.update(tree)
        return tree

    def _wait_for_child(self) -> None:
        assert self._child is not None
        self._child.wait()
        # Ranks and data loaders that outlived it would keep the GPU.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._ended.set()


def _catches(pid: int, which: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; where the system does not tell (macOS), only for SIGABRT."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return which == signal.SIGABRT and not Path("/proc/self/status").exists()
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (which - 1) & 1)
