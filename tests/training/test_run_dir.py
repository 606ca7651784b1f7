"""A run folder tells its state from facts, and its files are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from llmws.errors import TrainingError
from llmws.training.run_dir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path, "5f3a")
    made.folder.mkdir()
    made.write(made.job, {})
    return made


def test_the_state_is_told_from_facts(run: RunDir) -> None:
    assert run.state() == "prepared"
    lock = run.hold(run.lock)
    assert lock is not None
    assert (run.state(), run.is_worked_on(), run.is_supervised()) == ("preparing", True, False)
    run.write(run.attempts, [{}])
    assert run.state() == "running"
    run.ask_to_stop("alice")
    assert run.state() == "stopping"
    os.close(lock)
    assert run.state() == "interrupted"
    run.write(run.exit, {"state": "stopped"})
    assert run.state() == "stopped"
    run.reopen()
    assert run.state() == "prepared"
    assert {path.name for path in run.aside.iterdir()} == {"1-exit.json", "1-stop.json", "1-attempts.json"}


def test_a_lock_is_held_once(run: RunDir) -> None:
    assert run.hold(run.lock) is not None
    assert run.hold(run.lock) is None


def test_runs_are_found_again(run: RunDir) -> None:
    (run.root / "something else").mkdir()
    assert [found.folder for found in RunDir.all(run.root)] == [run.folder]
    assert RunDir.at(run.folder).job_id == "5f3a"


def test_an_impatient_stop_replaces_a_patient_one(run: RunDir) -> None:
    run.ask_to_stop("alice", 60)
    run.ask_to_stop("bob", 120)
    assert run.read(run.stop)["by"] == "alice"
    run.ask_to_stop("bob", 0)
    assert (run.read(run.stop)["by"], run.read(run.stop)["grace_s"]) == ("bob", 0)


def test_a_file_that_is_not_json_is_named(run: RunDir) -> None:
    run.exit.write_text("{")
    with pytest.raises(TrainingError, match=r"exit\.json is not JSON"):
        run.state()


def fill(monkeypatch: pytest.MonkeyPatch, run: RunDir) -> None:
    """A disk that is full unless the reserve was given back."""
    sync = os.fsync

    def refuse(descriptor: int) -> Any:
        if run.reserve.exists() or not enough:
            raise OSError(errno.ENOSPC, "No space left on device")
        return sync(descriptor)

    enough = run.reserve.exists()
    monkeypatch.setattr(os, "fsync", refuse)


def test_on_a_full_disk_the_reserve_still_takes_the_end(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    run.keep_reserve()
    fill(monkeypatch, run)
    run.write(run.exit, {"state": "failed"})
    assert json.loads(run.exit.read_text()) == {"state": "failed"}


def test_a_disk_that_is_full_to_the_last_is_told_and_leaves_what_was(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write(run.attempts, [1])
    fill(monkeypatch, run)
    with pytest.raises(TrainingError) as refused:
        run.write(run.attempts, [1, 2])
    assert refused.value.code == "disk_full"
    assert str(run.folder) in refused.value.message
    assert run.read(run.attempts) == [1]
    assert {path.name for path in run.folder.iterdir()} == {"job.json", "attempts.json"}
