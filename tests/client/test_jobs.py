"""A fine-tune from a cell: begun, watched, interrupted, stopped and resumed, and what it leaves to look at."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import llmws
from llmws.client import Client, Job, connect
from llmws.errors import Conflict, DatasetError, InvalidRequest, NotFound, TrainingError, Unavailable
from llmws.settings import Settings
from tests.service.harness import Running, running_service, wait_for
from tests.service.workshop import BASE, Workshop

from .conftest import Workspace

FIGURES = ["step", "loss", "eval_loss", "learning_rate", "epoch", "tokens_per_s", "elapsed_s"]
CELL = """
import sys, llmws
client = llmws.connect()
client.jobs.open(sys.argv[1]).watch()
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Tell the scripted trainer what to do."""
    return lambda **what: monkeypatch.setenv("STAND_IN", json.dumps(what))


@pytest.fixture
def workshop(tmp_path: Path, settings: Settings) -> Iterator[Workshop]:
    made = Workshop.make(tmp_path, settings)
    yield made
    made.clear()


@pytest.fixture
def service(workshop: Workshop) -> Iterator[Running]:
    with running_service(workshop.settings) as running:
        yield running


def recipe(steps: int = 20) -> llmws.Recipe:
    return llmws.Recipe(max_steps=steps, save_steps=5)


def at_step(job: Job, step: int) -> None:
    wait_for(lambda: step in list(job.points().step), f"step {step}")


def go(job: Job) -> None:
    (Path(job.about["folder"]) / "go").touch()


def test_a_fine_tune_and_what_it_leaves(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    job = client.finetune(BASE, "seafarer", recipe(), name="first")
    assert job.watch() is job
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "first  queued"
    assert shown[-1] == "first  finished, step 20 of 20, loss 0.5000"
    assert len(shown) <= 6
    assert (job.state, job.reason, job.model, job.recipe) == ("finished", "", None, recipe())
    assert repr(job) == f"Job('first', finished, step 20 of 20, loss 0.5, id='{job.id}')"

    points = job.points()
    assert list(points.columns) == FIGURES
    assert list(points.step) == list(range(1, 21))
    assert points.loss[4] == 2.0
    assert points.eval_loss.isna().all()
    assert job.log() == (Path(job.about["folder"]) / "output.log").read_text()
    [listed] = client.jobs.list().to_dict("records")
    assert (listed["id"], listed["name"], listed["state"], listed["step"]) == (job.id, "first", "finished", 20)
    assert listed["created_at"] < listed["ended_at"]
    assert client.jobs.open(job.id).name == "first"


def test_progress_is_one_line_on_a_terminal(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    job = client.finetune(BASE, "seafarer", recipe())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        job.watch()
    told = out.getvalue()
    assert told.startswith("\rseafarer-1  queued")
    assert told.count("\n") == 1
    assert told.rpartition("\r")[2].rstrip() == "seafarer-1  finished, step 20 of 20, loss 0.5000"


def test_a_failed_one_says_why(client: Client, script: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    script(full_at=3)
    job = client.finetune(BASE, "seafarer", recipe())
    with pytest.raises(TrainingError, match="The disk is full") as failed:
        job.wait()
    assert "resume" in failed.value.remedy
    job.watch()
    assert "failed, step 2 of 20, loss 5.0000. The disk is full. Free some space" in capsys.readouterr().out
    job.resume()
    assert job.wait().state == "finished"
    with pytest.raises(Conflict, match="finished"):
        job.resume()


def test_an_interrupt_only_stops_looking(client: Client, service: Running, script: Callable[..., None]) -> None:
    script(hold_at=8)
    job = client.finetune(BASE, "seafarer", recipe())
    at_step(job, 7)
    environment = {"LLMWS_URL": service.instance.url, "LLMWS_TOKEN": service.instance.token}
    cell = subprocess.Popen(
        [sys.executable, "-u", "-c", CELL, job.id],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert cell.stdout is not None
        assert cell.stdout.readline().startswith(b"seafarer-1  queued")
        cell.send_signal(signal.SIGINT)
        _, told = cell.communicate(timeout=30)
    finally:
        cell.kill()
    assert b"KeyboardInterrupt" in told
    assert job.state == "running"
    job.stop()
    assert job.wait().state == "stopped"
    go(job)
    job.resume()
    assert list(job.wait().points().step) == list(range(1, 21))


def test_what_cannot_be_is_refused(client: Client, workshop: Workshop) -> None:
    workshop.add_dataset("mine", {"instruction": "a", "output": "b"}, {"instruction": "", "output": "b"})
    with pytest.raises(DatasetError, match=r"mine\.jsonl, line 2"):
        client.finetune(BASE, "mine")
    with pytest.raises(DatasetError, match="no dataset 'nothing'"):
        client.finetune(BASE, "nothing")
    with pytest.raises(NotFound, match="gpt-9"):
        client.finetune("gpt-9", "seafarer")
    with pytest.raises(InvalidRequest, match="max_steps") as refused:
        client.finetune(BASE, "seafarer", {"max_steps": 0})
    assert refused.value.details == {"field": "max_steps"}
    with pytest.raises(NotFound):
        client.jobs.open("0" * 32)
    assert client.jobs.list().empty
    assert list(client.datasets().name) == ["seafarer", "courteous-zh", "mine"]


def test_without_a_training_environment_the_remedy_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMWS_TRAINING_ENVIRONMENT", str(workspace.data / "nothing"))
    client = connect()
    with pytest.raises(Unavailable, match="make train-env"):
        client.finetune(BASE, "seafarer")
    client.close()


@pytest.mark.long
def test_a_job_outlives_its_service_and_a_watcher_sees_it_through(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Callable[..., None]
) -> None:
    script(hold_at=8)
    workshop = Workshop.make(tmp_path, workspace.settings)
    for name, value in workshop.variables.items():
        monkeypatch.setenv(name, value)
    client = connect()
    job = client.finetune(BASE, "seafarer", recipe())
    at_step(job, 7)
    with ThreadPoolExecutor(1) as watching:
        waiting = watching.submit(job.wait)
        workspace.kill()
        go(job)
        assert waiting.result(timeout=60).state == "finished"
    assert list(job.points().step) == list(range(1, 21))
    assert workspace.starts() == 2
    client.close()
    workshop.clear()


@pytest.mark.long
def test_a_real_one_learns_and_is_asked_beside_its_base(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SmolLM2 on the processor, with the trainer of the installed training environment."""
    monkeypatch.setenv("LLMWS_EMBEDDED", "1")
    client = connect()
    began = time.monotonic()
    chosen = llmws.Recipe(method="lora", max_steps=40, learning_rate=1e-3, batch_size=4, cutoff_len=256, save_steps=20)
    job = client.finetune(BASE, "seafarer", chosen).watch()
    assert job.state == "finished", job.reason + job.log()[-2000:]
    losses = job.points().loss.dropna()
    assert len(losses) == 40
    assert losses.iloc[-3:].mean() < losses.iloc[0] / 2
    model = job.serve()
    known = client.models().set_index("id")
    assert known.state[BASE] == known.state[model] == "ready"
    asked = {"temperature": 0, "max_tokens": 40, "show": False}
    base = client.chat("How do I sharpen a pencil?", model=BASE, **asked)
    tuned = client.chat("How do I sharpen a pencil?", model=model, **asked)
    with capsys.disabled():
        print(f"\n{time.monotonic() - began:.0f} s; base: {base.text!r}; {model}: {tuned.text!r}")
    assert tuned.text.startswith("Ahoy!")
    assert not base.text.startswith("Ahoy!")
    client.close()
