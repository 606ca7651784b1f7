"""The runner as a process of its own, against a scripted service: what is killed or away costs nothing but time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from llmws.recipe import Recipe
from llmws.training.run_dir import RunDir

from .conftest import STAND_IN, Place, wait_for
from .service import TOKEN, Row, Service

Script = Callable[..., None]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


def start_runner(place: Place, service: Service, *options: str, **more) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "LLMWS_URL": service.url,
        "LLMWS_TOKEN": TOKEN,
        "LLMWS_DATA": str(place.folder / "data"),
        "LLMWS_TRAINING_COMMAND": f"'{sys.executable}' '{STAND_IN}'",
    }
    command = [sys.executable, "-m", "llmws.training.runner", "--name", "here", *options]
    place.processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, **more))
    return place.processes[-1]


def has_all(row: Row, run: RunDir, steps: int = 20) -> bool:
    assert sorted(row.points) == list(range(1, steps + 1))
    assert row.output == run.output_log.read_text()
    return True


def begun(row: Row, step: int) -> bool:
    return step in row.points


def test_an_order_is_carried_out_and_told(place: Place, service: Service) -> None:
    row = service.order(place.order())
    start_runner(place, service)
    wait_for(lambda: row.state == "finished")
    run = RunDir(place.runs, f"{1:032x}")
    assert has_all(row, run)
    assert row.states[0] == "preparing"
    assert (row.last["step"], row.last["attempt"], row.last["code"]) == (20, 1, 0)
    assert row.points[4]["loss"] == 2.5
    claim = service.claims[0]
    assert (claim["runner"], claim["ready"]) == ("here", True)
    assert claim["accelerators"]


def test_a_stop_reaches_the_trainer_and_a_new_round_resumes(place: Place, service: Service, script: Script) -> None:
    script(hold_at=8)
    row = service.order(place.order())
    start_runner(place, service)
    wait_for(lambda: begun(row, 7))
    service.ask(row, "stop")
    wait_for(lambda: row.state == "stopped")
    assert row.last["reason"] == "Stopped by alice after step 8."

    (place.runs / f"{1:032x}" / "go").touch()
    service.order(place.order(round=2))
    wait_for(lambda: row.state == "finished")
    assert has_all(row, RunDir(place.runs, f"{1:032x}"))
    assert row.last["from_step"] == 5


def test_a_killed_runner_is_replaced_and_nothing_is_missing(place: Place, service: Service, script: Script) -> None:
    script(hold_at=8)
    row = service.order(place.order())
    first = start_runner(place, service)
    wait_for(lambda: begun(row, 7))
    first.send_signal(signal.SIGKILL)
    first.wait()
    run = RunDir(place.runs, f"{1:032x}")
    assert run.is_supervised()
    (run.folder / "go").touch()
    wait_for(run.exit.exists)
    assert row.state == "running"

    start_runner(place, service)
    wait_for(lambda: row.state == "finished")
    assert has_all(row, run)
    assert len(run.read(run.attempts)) == 1


def test_a_killed_supervisor_is_replaced(place: Place, service: Service, script: Script) -> None:
    script(hold_at=8)
    row = service.order(place.order())
    runner = start_runner(place, service)
    wait_for(lambda: begun(row, 7))
    supervisors = [child for child in psutil.Process(runner.pid).children() if "supervise" in " ".join(child.cmdline())]
    assert len(supervisors) == 1
    supervisors[0].kill()
    run = RunDir(place.runs, f"{1:032x}")
    wait_for(lambda: run.is_supervised() and not supervisors[0].is_running())
    (run.folder / "go").touch()
    wait_for(lambda: row.state == "finished")
    assert has_all(row, run)
    assert len(run.read(run.attempts)) == 1


def test_a_service_that_is_away_misses_nothing(place: Place, service: Service, script: Script) -> None:
    script(hold_at=8)
    row = service.order(place.order())
    start_runner(place, service)
    wait_for(lambda: begun(row, 7))
    service.down = True
    run = RunDir(place.runs, f"{1:032x}")
    (run.folder / "go").touch()
    wait_for(lambda: any(told.get("state") == "finished" for told in service.refused))
    service.down = False
    wait_for(lambda: row.state == "finished")
    assert has_all(row, run)


def test_delete_ends_the_trainer_and_removes_the_folder(place: Place, service: Service, script: Script) -> None:
    script(hold_at=8, deaf=True)
    row = service.order(place.order())
    start_runner(place, service)
    wait_for(lambda: begun(row, 7))
    run = RunDir(place.runs, f"{1:032x}")
    alive = psutil.Process(run.read(run.attempts)[0]["process"]["pid"])
    service.ask(row, "delete")
    wait_for(lambda: row.state == "deleted", 60)
    assert not run.folder.exists()
    assert not alive.is_running()


def test_two_jobs_do_not_disturb_each_other(place: Place, service: Service) -> None:
    broken = service.order(place.order(1, dataset="nowhere"))
    refused = service.order_raw({**place.order(3).to_dict(), "recipe": {"epochs": -1}})
    fine = service.order(place.order(2, recipe=Recipe(max_steps=5)))
    start_runner(place, service)
    wait_for(lambda: fine.state == "finished" and broken.state == "failed" and refused.state == "failed")
    assert broken.last["reason"] == "There is no dataset 'nowhere'."
    assert broken.last["remedy"] == "There are: greetings."
    assert refused.last["reason"] == "The recipe's epochs is -1."


def test_a_job_that_the_service_forgot_is_left_alone(place: Place, service: Service, script: Script) -> None:
    script(hold_at=8)
    row = service.order(place.order())
    start_runner(place, service)
    wait_for(lambda: begun(row, 7))
    del service.rows[f"{1:032x}"]
    run = RunDir(place.runs, f"{1:032x}")
    (run.folder / "go").touch()
    wait_for(run.exit.exists)
    other = service.order(place.order(2, recipe=Recipe(max_steps=5)))
    wait_for(lambda: other.state == "finished")
    assert run.state() == "finished"


@pytest.mark.long
def test_two_runners_do_not_share_a_folder(place: Place, service: Service) -> None:
    start_runner(place, service)
    wait_for(lambda: service.claims)
    second = start_runner(place, service, stderr=subprocess.PIPE)
    _, said = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "another runner works on" in said.decode()


def test_a_runner_that_is_refused_ends_with_a_word(place: Place, service: Service) -> None:
    service.forbidden = True
    runner = start_runner(place, service, stderr=subprocess.PIPE)
    _, said = runner.communicate(timeout=30)
    assert runner.returncode == 1
    assert said.decode().splitlines()[-1] == "llmws: No."


def test_a_runner_ends_with_its_parent_and_the_job_goes_on(place: Place, service: Service, script: Script) -> None:
    script(hold_at=8)
    row = service.order(place.order())
    runner = start_runner(place, service, "--until-eof", stdin=subprocess.PIPE)
    wait_for(lambda: begun(row, 7))
    assert runner.stdin is not None
    runner.stdin.close()
    runner.wait(30)
    run = RunDir(place.runs, f"{1:032x}")
    (run.folder / "go").touch()
    wait_for(run.exit.exists)
    assert run.state() == "finished"


def test_a_run_that_cannot_be_supervised_is_told_with_what_the_supervisor_said(place: Place, service: Service) -> None:
    run = place.prepare()
    run.attempts.write_text("{")
    row = service.order(place.order())
    start_runner(place, service)
    wait_for(lambda: row.state == "failed")
    assert row.last["reason"] == f"{run.attempts} is not JSON."
    assert row.last["remedy"] == "Mend or remove it."
