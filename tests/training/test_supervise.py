"""Runs are seen through, whatever is killed, stopped or broken meanwhile. The trainer is scripted: see `stand_in`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable

import psutil
import pytest

from llmws.training.run_dir import RunDir
from llmws.training_log import merge, parse

from .conftest import STAND_IN, Place, wait_for

Script = Callable[..., None]


def steps(run: RunDir) -> list[int]:
    lines = run.trainer_log.read_text().splitlines()
    return [point.step for point in merge(filter(None, map(parse, lines)))]


def trainer(run: RunDir) -> psutil.Process:
    attempt = wait_for(lambda: [told for told in run.read(run.attempts, []) if told["process"]])[-1]
    return psutil.Process(attempt["process"]["pid"])


def reached(run: RunDir, step: int) -> bool:
    return run.trainer_log.exists() and step in steps(run)


def test_a_run_finishes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMWS_TOKEN", "a-secret")
    run = place.prepare()
    end = place.see_through(run)
    assert (end["state"], end["step"], end["total_steps"], end["attempts"], end["code"]) == ("finished", 20, 20, 1, 0)
    assert run.state() == "finished"
    assert steps(run) == list(range(1, 21))
    assert "step 20" in run.output_log.read_text()
    seen = json.loads((run.folder / "environment.json").read_text())
    assert seen["LLAMABOARD_WORKDIR"] == str(run.output)
    assert "LLMWS_TOKEN" not in seen
    assert "CUDA_VISIBLE_DEVICES" in seen
    assert not any("a-secret" in path.read_text(errors="ignore") for path in run.folder.iterdir() if path.is_file())
    assert " " not in "".join(line.split(": ", 1)[1] for line in run.recipe.read_text().splitlines())


def test_a_crash_goes_on_from_the_last_checkpoint(place: Place, script: Script) -> None:
    script(crash_at=12)
    run = place.prepare()
    assert place.see_through(run)["state"] == "finished"
    first, second = run.read(run.attempts)
    assert "told to crash" in first["reason"]
    assert (second["from_step"], second["step"]) == (10, 20)
    assert steps(run) == list(range(1, 21))
    assert "llmws: attempt 2, from checkpoint 10" in run.output_log.read_text()


def test_half_a_checkpoint_is_passed_over_and_kept(place: Place, script: Script) -> None:
    script(kill_at=8)
    run = place.prepare()
    assert place.see_through(run)["state"] == "finished"
    first, second = run.read(run.attempts)
    assert (first["signal"], second["from_step"]) == ("SIGKILL", 5)
    assert (run.aside / "1-checkpoint-8").is_dir()


def test_what_fails_before_its_first_step_is_not_tried_again(place: Place, script: Script) -> None:
    script(crash_at=1, always=True)
    end = place.see_through(place.prepare())
    assert (end["state"], end["attempts"], end["code"]) == ("failed", 1, 1)
    assert "RuntimeError: the stand-in was told to crash" in end["reason"]


def test_a_run_that_always_crashes_is_given_up(place: Place, script: Script) -> None:
    script(crash_at=7, always=True)
    run = place.prepare(place.order(max_attempts=2))
    # It has to get somewhere to be tried again: the second attempt goes two steps from its checkpoint.
    end = place.see_through(run)
    assert (end["state"], end["attempts"]) == ("failed", 2)
    assert "tried 2 times" in end["reason"]


@pytest.mark.parametrize(("pinned", "kept"), [(True, 8), (False, 5)])
def test_stop_saves_and_a_resumed_run_goes_on(place: Place, script: Script, pinned: bool, kept: int) -> None:
    script(hold_at=8)
    run = place.prepare(pinned=pinned)
    process = place.start(run)
    wait_for(lambda: reached(run, 7))
    assert run.state() == "running"
    run.ask_to_stop("alice")
    process.wait(30)
    end = run.read(run.exit)
    assert (end["state"], end["code"], end["stopped_by"]) == ("stopped", 0, "alice")
    assert (run.checkpoints()[-1].step, run.checkpoints()[-1].valid) == (kept, True)

    run.reopen()
    (run.folder / "go").touch()
    assert place.see_through(run)["state"] == "finished"
    assert run.read(run.attempts)[0]["from_step"] == kept
    assert steps(run) == list(range(1, 21))


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_anew(place: Place, script: Script) -> None:
    script(hold_at=3)
    run = place.prepare()
    process = place.start(run)
    wait_for(lambda: reached(run, 2))
    run.ask_to_stop("alice")
    process.wait(30)
    assert (run.output / "adapter_model.safetensors").exists()
    assert run.checkpoints() == []

    run.reopen()
    (run.folder / "go").touch()
    assert place.see_through(run)["state"] == "finished"
    assert (run.aside / "1-adapter_model.safetensors").exists()


def test_a_trainer_that_finishes_in_spite_of_a_stop_is_finished(place: Place, script: Script) -> None:
    script(hold_at=20)
    run = place.prepare()
    process = place.start(run)
    wait_for(lambda: reached(run, 19))
    run.ask_to_stop("alice")
    process.wait(30)
    assert run.state() == "finished"


@pytest.mark.long
@pytest.mark.parametrize("what", [{"deaf": True}, {"load_s": 600}], ids=["deaf", "loading"])
def test_a_trainer_that_cannot_save_is_ended(place: Place, script: Script, what: dict, monkeypatch) -> None:
    script(hold_at=3, **what)
    run = place.prepare()
    process = place.start(run)
    alive = trainer(run)
    wait_for((run.folder / "begun").exists if "load_s" in what else lambda: reached(run, 2))
    run.ask_to_stop("bob", grace_s=0.5)
    process.wait(30)
    end = run.read(run.exit)
    assert end["state"] == "stopped"
    assert "without saving" in end["reason"]
    assert end["signal"] == ("SIGKILL" if "deaf" in what else "SIGTERM")
    assert not alive.is_running()


def test_stop_does_not_kill_a_wrapper_before_the_trainer_has_saved(place: Place, script: Script) -> None:
    script(hold_at=8)
    run = place.prepare(command=("sh", "-c", f'"{sys.executable}" "{STAND_IN}" "$@"; exit $?', "sh"))
    process = place.start(run)
    wait_for(lambda: reached(run, 7))
    run.ask_to_stop("alice")
    process.wait(30)
    assert (run.read(run.exit)["state"], run.read(run.exit)["code"]) == ("stopped", 0)


def test_what_outlives_the_trainer_is_ended(place: Place) -> None:
    command = ("sh", "-c", f'sleep 600 & echo $! > child; exec "{sys.executable}" "{STAND_IN}" "$@"', "sh")
    run = place.prepare(command=command)
    assert place.see_through(run)["state"] == "finished"
    child = int((run.folder / "child").read_text())
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_a_killed_supervisor_leaves_the_trainer_at_work_and_is_replaced(place: Place, script: Script) -> None:
    script(hold_at=8)
    run = place.prepare()
    killed = place.start(run)
    wait_for(lambda: reached(run, 7))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (run.is_worked_on(), run.is_supervised(), run.state()) == (True, False, "running")

    second = place.start(run)
    wait_for(run.is_supervised)
    (run.folder / "go").touch()
    second.wait(30)
    assert (run.state(), len(run.read(run.attempts))) == ("finished", 1)
    assert steps(run) == list(range(1, 21))


def test_the_trainer_of_a_killed_supervisor_can_be_stopped(place: Place, script: Script) -> None:
    script(hold_at=8)
    run = place.prepare(pinned=True)
    killed = place.start(run)
    wait_for(lambda: reached(run, 7))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    run.ask_to_stop("alice")
    end = place.see_through(run)
    assert (end["state"], end["stopped_by"]) == ("stopped", "alice")
    assert run.checkpoints()[-1].step == 8


def test_when_everything_is_killed_the_interruption_is_recorded(place: Place, script: Script) -> None:
    script(hold_at=8)
    run = place.prepare()
    killed = place.start(run)
    wait_for(lambda: reached(run, 7))
    orphan = trainer(run)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    orphan.kill()
    wait_for(lambda: not run.is_worked_on())
    assert run.state() == "interrupted"

    (run.folder / "go").touch()
    assert place.see_through(run)["state"] == "finished"
    first, second = run.read(run.attempts)
    assert "nobody saw how" in first["reason"]
    assert second["from_step"] == 5


def test_a_second_supervisor_ends_at_once(place: Place, script: Script) -> None:
    script(hold_at=3)
    run = place.prepare()
    place.start(run)
    wait_for(run.is_supervised)
    assert place.start(run).wait(30) == 0
    assert not run.exit.exists()


def test_a_full_disk_is_named_and_nothing_is_lost(place: Place, script: Script) -> None:
    script(full_at=12)
    run = place.prepare()
    end = place.see_through(run)
    assert (end["state"], end["error"], end["reason"]) == ("failed", "disk_full", "The disk is full.")
    assert "resume" in end["remedy"]
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [5, 10]

    run.reopen()
    assert place.see_through(run)["state"] == "finished"
    assert steps(run) == list(range(1, 21))


def test_a_malformed_row_is_named_before_the_trainer_starts(place: Place) -> None:
    (place.folder / "sets" / "greetings.json").write_text(
        '[{"instruction": "a", "input": "", "output": "b"},\n{"instruction": "a", "input": "", "output": null}]'
    )
    run = place.prepare()
    end = place.see_through(run)
    assert (end["state"], end["error"], end["attempts"]) == ("failed", "dataset", 0)
    assert end["reason"] == "greetings.json, line 2 (row 2): 'output' is missing, not a text."
    assert not (run.folder / "begun").exists()


def test_a_changed_dataset_does_not_change_a_run(place: Place, script: Script) -> None:
    script(crash_at=12)
    run = place.prepare()
    place.see_through(run)
    copied = (run.data / "data.json").read_text()
    (place.folder / "sets" / "greetings.json").write_text("[]")
    run.reopen()
    assert place.see_through(run)["state"] == "finished"
    assert (run.data / "data.json").read_text() == copied


def test_a_missing_trainer_is_named(place: Place) -> None:
    end = place.see_through(place.prepare(command=("/nowhere/llamafactory-cli",)))
    assert (end["state"], end["remedy"]) == ("failed", "Run `make train-env`, or set LLMWS_TRAINING_COMMAND.")
    assert "/nowhere/llamafactory-cli cannot be started: No such file" in end["reason"]


def test_missing_weights_are_named(place: Place) -> None:
    end = place.see_through(place.prepare(place.order(weights="/nowhere/tiny.gguf")))
    assert end["reason"] == "The weights of tiny are not at /nowhere/tiny.gguf."


def test_a_gguf_is_converted_once_for_all_runs(place: Place) -> None:
    gguf = place.folder / "tiny.gguf"
    gguf.write_bytes(b"GGUF")
    program = "import os, sys; os.mkdir(sys.argv[2]); print('converted', file=sys.stderr)"
    for number in (1, 2):
        run = place.prepare(place.order(number, weights=str(gguf)), convert=(sys.executable, "-c", program))
        assert place.see_through(run)["state"] == "finished"
        assert ("converted" in run.output_log.read_text()) == (number == 1)
        assert run.base.resolve().parent == place.folder / "models"


def test_a_conversion_that_fails_is_named(place: Place) -> None:
    gguf = place.folder / "tiny.gguf"
    gguf.write_bytes(b"GGUF")
    program = """print('{"error": {"message": "tiny.gguf is no GGUF.", "remedy": "Take another."}}'); exit(1)"""
    end = place.see_through(place.prepare(place.order(1, weights=str(gguf)), convert=(sys.executable, "-c", program)))
    assert (end["reason"], end["remedy"], end["error"]) == ("tiny.gguf is no GGUF.", "Take another.", "conversion")
    end = place.see_through(place.prepare(place.order(2, weights=str(gguf))))
    assert end["reason"] == "The weights of tiny could not be converted (exit code 1)."
