"""A place to train in, with a scripted trainer: folders whose names hold spaces, a small dataset, weights."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pytest

from llmws.recipe import Recipe
from llmws.training.orders import Job, Order
from llmws.training.run_dir import RunDir
from llmws.training.supervise import start

STAND_IN = Path(__file__).with_name("stand_in.py")
LIMIT_S = 30.0


def wait_for(what: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """The first true answer of `what`."""
    until = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return found


@dataclass
class Place:
    """Folders to train in, and the processes that were started there."""

    folder: Path
    processes: list[Popen[bytes]] = field(default_factory=list)

    @property
    def runs(self) -> Path:
        return self.folder / "data" / "runs"

    def order(self, number: int = 1, **more: Any) -> Order:
        recipe = more.pop("recipe", None) or Recipe(max_steps=20, save_steps=5)
        told = {"base": "tiny", "weights": str(self.folder / "weights"), "template": "smollm2", "dataset": "greetings"}
        return Order(
            **{"id": f"{number:032x}", "dataset_dir": str(self.folder / "sets"), "recipe": recipe, **told, **more}
        )

    def prepare(self, order: Order | None = None, **more: Any) -> RunDir:
        """A run folder as the runner makes it."""
        order = order or self.order()
        run = RunDir(self.runs, order.id)
        run.folder.mkdir(parents=True)
        told = {"command": (sys.executable, str(STAND_IN)), "convert": ("false",), "pause_s": 0.0, "pinned": False}
        run.write(run.job, Job(order, models=self.folder / "models", **{**told, **more}).to_dict())
        return run

    def start(self, run: RunDir) -> Popen[bytes]:
        self.processes.append(start(run))
        return self.processes[-1]

    def see_through(self, run: RunDir) -> dict[str, Any]:
        """Supervise `run` to its end; what `exit.json` says."""
        process = self.start(run)
        assert process.wait(LIMIT_S) == 0, run.supervisor_log.read_text()
        return dict(run.read(run.exit))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Tell the stand-in what to do."""

    def tell(**what: Any) -> None:
        monkeypatch.setenv("STAND_IN", json.dumps(what))

    return tell


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "a place with spaces"
    (folder / "sets").mkdir(parents=True)
    (folder / "weights").mkdir()
    (folder / "weights" / "config.json").write_text("{}")
    (folder / "sets" / "dataset_info.json").write_text(json.dumps({"greetings": {"file_name": "greetings.json"}}))
    rows = [{"instruction": f"Greet {n}.", "input": "", "output": f"Hello {n}."} for n in range(8)]
    (folder / "sets" / "greetings.json").write_text(json.dumps(rows))
    made = Place(folder)
    yield made
    for process in made.processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd().startswith(f"{folder}{os.sep}"):
                process.send_signal(signal.SIGKILL)
