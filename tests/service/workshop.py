"""A place to fine-tune in for a real service: the trainer is scripted, and conversions only pretend."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from httpx_sse import EventSource

from llmws.settings import Settings
from tests.serving.gguf_files import write_adapter
from tests.training.conftest import STAND_IN

from .harness import Api, wait_for

# Called as the training environment's Python runs `serving/weights.py`: two paths are weights, three a conversion.
CONVERTER = """#!{python}
import json, pathlib, sys
paths = [pathlib.Path(part) for part in sys.argv[1:] if "/" in part][1:]
target = paths[-1]
if len(paths) == 3:
    assert (paths[0] / "adapter_model.safetensors").exists()
    target.write_bytes(pathlib.Path({adapter!r}).read_bytes())
    print(json.dumps({{"kind": "adapter", "path": str(target)}}))
else:
    target.mkdir(parents=True)
    (target / "config.json").write_text("{{}}")
    print(json.dumps({{"path": str(target), "made": True}}))
"""

BASE = "smollm2-135m"


@dataclass(frozen=True)
class Workshop:
    """Folders for a service that trains; `settings` are those to start it with."""

    settings: Settings

    @classmethod
    def make(cls, folder: Path, settings: Settings, served: bool = False) -> Workshop:
        """Without `served` the base model is an empty file that nobody serves."""
        environment, model = folder / "training", None if served else folder / f"{BASE}.gguf"
        (environment / "bin").mkdir(parents=True)
        if model is not None:
            model.write_bytes(b"GGUF")
        adapter = write_adapter(folder / "adapter.gguf")
        python = environment / "bin" / "python"
        python.write_text(CONVERTER.format(python=sys.executable, adapter=str(adapter)))
        python.chmod(0o755)
        command = f"'{sys.executable}' '{STAND_IN}'"
        told = {"training_environment": environment, "training_command": command}
        return cls(replace(settings, embedded=served, embedded_model=model, **told))

    @property
    def variables(self) -> dict[str, str]:
        """The settings for a service that is a process of its own."""
        return self.settings.to_environment()

    def add_dataset(self, name: str, *rows: Any) -> None:
        """Put a dataset of one's own beside the samples; a text is a row as it stands in the file."""
        folder = self.settings.data / "datasets"
        folder.mkdir(parents=True, exist_ok=True)
        info = folder / "dataset_info.json"
        known = json.loads(info.read_text()) if info.exists() else {}
        entry = {"file_name": f"{name}.jsonl", "columns": {"prompt": "instruction", "response": "output"}}
        info.write_text(json.dumps({**known, name: entry}))
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")

    def become_ready(self) -> None:
        """The training environment is installed."""
        command = self.settings.training_environment / "bin" / "llamafactory-cli"
        command.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{STAND_IN}' \"$@\"\n")
        command.chmod(0o755)

    def processes(self) -> Iterator[psutil.Process]:
        """Whatever works in the run folders."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.cwd().startswith(f"{self.settings.data}{os.sep}"):
                    yield process

    def clear(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        shutil.rmtree(self.settings.runs, ignore_errors=True)


def train(api: Api, **more: Any) -> dict[str, Any]:
    """Begin a fine-tune of twenty steps with a checkpoint after each fifth."""
    recipe = {"max_steps": 20, "save_steps": 5, **more.pop("recipe", {})}
    job: dict[str, Any] = api.post("/api/jobs", {"base": BASE, "dataset": "seafarer", "recipe": recipe, **more})
    return job


def state(api: Api, job: dict[str, Any], *states: str, limit_s: float = 60.0) -> dict[str, Any]:
    """The job, once it is in one of `states`."""

    def look() -> dict[str, Any] | None:
        now: dict[str, Any] = api.get(f"/api/jobs/{job['id']}")
        assert now["state"] in states or now["ended_at"] is None, now
        return now if now["state"] in states else None

    found: dict[str, Any] = wait_for(look, f"the job to be {' or '.join(states)}", limit_s)
    return found


def at_step(api: Api, job: dict[str, Any], step: int) -> dict[str, Any]:
    """The job, once it has told of `step`."""

    def look() -> dict[str, Any] | None:
        now: dict[str, Any] = api.get(f"/api/jobs/{job['id']}")
        return now if (now["step"] or 0) >= step else None

    found: dict[str, Any] = wait_for(look, f"step {step}", 60.0)
    return found


def go(job: dict[str, Any]) -> None:
    """Let a trainer go on that holds."""
    (Path(job["folder"]) / "go").touch()


def events(api: Api, job: dict[str, Any], after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """What a job tells, as it comes."""
    headers = {"Last-Event-ID": str(after)}
    with api.http.stream("GET", f"/api/jobs/{job['id']}/events", headers=headers) as response:
        response.raise_for_status()
        for event in EventSource(response).iter_sse():
            yield int(event.id), event.json()
