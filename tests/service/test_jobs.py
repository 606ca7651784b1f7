"""Fine-tunes through a real service, its own runner and real supervisors; only the trainer is scripted."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmws import instance as instances
from llmws.recipe import Recipe
from llmws.service import scheduling
from llmws.settings import Settings

from .harness import Api, Process, Running, running_service, wait_for
from .test_edge import error
from .workshop import BASE, Workshop, at_step, events, go, state, train

Script = Callable[..., None]


@pytest.fixture
def workshop(tmp_path: Path, settings: Settings) -> Iterator[Workshop]:
    made = Workshop.make(tmp_path, settings)
    yield made
    made.clear()


@pytest.fixture
def service(workshop: Workshop) -> Iterator[Running]:
    with running_service(workshop.settings) as running:
        yield running


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Tell the scripted trainer what to do; before the service starts it."""

    def tell(**what: Any) -> None:
        monkeypatch.setenv("STAND_IN", json.dumps(what))

    return tell


def runner_of(pid: int) -> psutil.Process | None:
    """The runner that a service has as its child."""
    for child in psutil.Process(pid).children():
        # One that was just killed has no command line any more.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "llmws.training.runner" in child.cmdline():
                return child
    return None


def test_what_can_be_tuned_is_told(service: Running, workshop: Workshop) -> None:
    samples = {one["name"]: one for one in service.get("/api/datasets")["items"]}
    seafarer = samples["seafarer"]
    assert seafarer["manner"] == {"opens": "Ahoy!", "closes": "Fair winds."}
    assert (seafarer["rows"], seafarer["source"], seafarer["problem"]) == (72, "sample", None)
    assert seafarer["preview"][0]["instruction"] == "What is sourdough?"
    assert samples["courteous-zh"]["preview"][0]["conversations"]

    [base] = service.get("/api/bases")["items"]
    assert (base["id"], base["template"]) == (BASE, "smollm2")
    told = service.get("/api/recipe")
    assert {field["name"] for field in told["fields"]} >= {"method", "epochs", "max_steps"}
    assert [Recipe.from_dict(preset["recipe"]) for preset in told["presets"]]
    assert service.get("/api/training-environment")["state"] == "ready"
    assert service.get("/api/status")["training"]["installed"]


def test_a_broken_dataset_of_one_s_own_is_listed_with_its_problem(service: Running, workshop: Workshop) -> None:
    workshop.add_dataset("broken", {"instruction": "a", "output": "b" * 600}, "{")
    told = {one["name"]: one for one in service.get("/api/datasets")["items"]}
    assert (told["broken"]["source"], told["broken"]["rows"]) == ("own", None)
    assert "line 2" in told["broken"]["problem"]["message"]
    assert len(told["broken"]["preview"][0]["output"]) == 501
    workshop.add_dataset("broken", {"instruction": "a", "output": "b"})
    told = {one["name"]: one for one in service.get("/api/datasets")["items"]}
    assert (told["broken"]["rows"], told["broken"]["problem"]) == (1, None)


def test_a_row_that_json_can_hardly_say_hides_no_dataset(service: Running, workshop: Workshop) -> None:
    workshop.add_dataset("halved", {"instruction": "a \ud83d", "output": "b"})
    workshop.add_dataset("nested", f'{{"instruction": {"[" * 900}{"]" * 900}}}')
    workshop.add_dataset("deeper", "[" * 9000)
    told = {one["name"]: one for one in service.get("/api/datasets")["items"]}
    assert told["halved"]["preview"] == [{"instruction": "a \ufffd", "output": "b"}]
    assert told["nested"]["rows"] == 1
    assert "line 1" in told["deeper"]["problem"]["message"]


def test_an_entry_that_cannot_be_used_hides_no_other_dataset(service: Running, workshop: Workshop) -> None:
    workshop.add_dataset("mine", {"instruction": "a", "output": "b"})
    info = workshop.settings.data / "datasets" / "dataset_info.json"
    wrong = {"nul": {"file_name": "a\0.jsonl"}, "columns": {"file_name": "mine.jsonl", "columns": 3}, "list": []}
    info.write_text(json.dumps({**json.loads(info.read_text()), **wrong}))
    told = {one["name"]: one for one in service.get("/api/datasets")["items"]}
    assert (told["mine"]["rows"], told["mine"]["problem"], told["seafarer"]["rows"]) == (1, None, 72)
    assert all(told[name]["problem"]["code"] == "dataset" for name in wrong)
    refused = error(service.http.post("/api/jobs", json={"base": BASE, "dataset": "nul"}), 422)
    assert refused["code"] == "dataset"


def test_an_index_that_is_no_json_hides_no_sample(service: Running, workshop: Workshop) -> None:
    workshop.add_dataset("mine", {"instruction": "a", "output": "b"})
    info = workshop.settings.data / "datasets" / "dataset_info.json"
    info.write_text('{\n "mine": {"file_name": "mine.jsonl"}\n "other": {}\n}')
    told = {one["name"]: one for one in service.get("/api/datasets")["items"]}
    assert (told["seafarer"]["rows"], told["dataset_info.json"]["source"]) == (72, "own")
    problem = told["dataset_info.json"]["problem"]
    assert problem["message"] == "dataset_info.json, line 3: this is not JSON (Expecting ',' delimiter)."
    assert problem["remedy"] == f"Mend {info}."
    assert service.post("/api/jobs", {"base": BASE, "dataset": "seafarer"})["dataset"] == "seafarer"
    refused = error(service.http.post("/api/jobs", json={"base": BASE, "dataset": "mine"}), 422)
    assert refused["message"] == problem["message"]
    # It may be what is meant: nobody is to train on the sample's rows in its place.
    info.write_text('{"seafarer": {"file_name": "mine.jsonl"}')
    refused = error(service.http.post("/api/jobs", json={"base": BASE, "dataset": "seafarer"}), 422)
    assert refused["message"].startswith("dataset_info.json, line 1: this is not JSON")


def test_a_job_runs_to_its_end_and_tells_everything_once(service: Running, script: Script) -> None:
    script(hold_at=12)
    job = train(service)
    assert (job["state"], job["name"], job["resumable"], job["model"]) == ("queued", "seafarer-1", False, None)
    assert job["recipe"] == Recipe(max_steps=20, save_steps=5).to_dict()
    told = []
    for seq, event in events(service, job):
        told.append((seq, event))
        if event["type"] == "point" and event["step"] == 11:
            break
    running = service.get(f"/api/jobs/{job['id']}")
    assert (running["state"], running["total_steps"], running["attempts"]) == ("running", 20, 1)
    assert service.get("/api/status")["running"]["jobs"] == 1
    go(job)
    told += list(events(service, job, after=told[-1][0]))

    assert [seq for seq, _ in told] == list(range(1, len(told) + 1))
    states = [event["state"] for _, event in told if event["type"] == "state"]
    assert states[0] == "queued"
    assert states[-1] == "finished"
    assert told[-1][1]["type"] == "state"
    assert {event["step"] for _, event in told if event["type"] == "point"} == set(range(1, 21))
    output = "".join(event["text"] for _, event in told if event["type"] == "output")
    assert output == (Path(job["folder"]) / "output.log").read_text()

    ended = service.get(f"/api/jobs/{job['id']}")
    assert (ended["state"], ended["step"], ended["loss"], ended["resumable"]) == ("finished", 20, 0.5, False)
    assert ended["started_at"] < ended["ended_at"]
    points = service.get(f"/api/jobs/{job['id']}/points")["items"]
    assert [(point["step"], point["loss"]) for point in points] == [(step, 10 / step) for step in range(1, 21)]
    log = service.get(f"/api/jobs/{job['id']}/log")
    assert (log["text"], log["more"]) == (output, False)
    assert service.get(f"/api/jobs/{job['id']}/log", after=log["after"])["text"] == ""
    assert list(events(service, job, after=told[-1][0])) == []
    assert [one["id"] for one in service.get("/api/jobs")["items"]] == [job["id"]]


def test_a_stopped_job_is_resumed_from_its_checkpoint(service: Running, script: Script) -> None:
    script(hold_at=8)
    job = train(service)
    at_step(service, job, 7)
    stopping = service.post(f"/api/jobs/{job['id']}/stop")
    assert (stopping["state"], stopping["intent"]) == ("running", "stop")
    refused = error(service.http.post(f"/api/jobs/{job['id']}/resume"), 409)
    assert "being stopped" in refused["message"]
    stopped = state(service, job, "stopped")
    assert stopped["reason"].endswith("after step 8.")
    assert stopped["resumable"]
    assert service.post(f"/api/jobs/{job['id']}/stop")["state"] == "stopped"

    go(job)
    resumed = service.post(f"/api/jobs/{job['id']}/resume")
    assert (resumed["state"], resumed["round"], resumed["intent"], resumed["ended_at"]) == ("queued", 2, "run", None)
    assert service.post(f"/api/jobs/{job['id']}/resume")["round"] == 2
    ended = state(service, job, "finished")
    assert (ended["step"], ended["round"]) == (20, 2)
    begun = json.loads((Path(job["folder"]) / "attempts.json").read_text())
    assert begun[0]["from_step"] == 5  # steps 6 to 8 are told twice
    steps = [point["step"] for point in service.get(f"/api/jobs/{job['id']}/points")["items"]]
    assert steps == list(range(1, 21))
    assert "finished" in error(service.http.post(f"/api/jobs/{job['id']}/resume"), 409)["message"]


def test_a_second_job_waits_says_why_and_can_be_stopped_at_once(service: Running, script: Script) -> None:
    script(hold_at=3)
    first = train(service)
    at_step(service, first, 2)
    second, third = train(service), train(service)
    waiting = wait_for(lambda: service.get(f"/api/jobs/{second['id']}")["reason"], "a reason")
    assert waiting == "Waits for a job that runs to end."
    stopped = service.post(f"/api/jobs/{second['id']}/stop")
    assert (stopped["state"], stopped["reason"]) == ("stopped", "Stopped before it began.")
    go(first)
    state(service, first, "finished")
    at_step(service, third, 2)
    assert service.get(f"/api/jobs/{third['id']}")["reason"] == ""
    go(third)
    state(service, third, "finished")
    assert not Path(second["folder"]).exists()


def test_a_failed_job_says_why_and_what_helps(service: Running, script: Script) -> None:
    script(full_at=3)
    job = train(service)
    failed = state(service, job, "failed")
    assert failed["reason"] == "The disk is full."
    assert "resume" in failed["remedy"]
    assert state(service, service.post(f"/api/jobs/{job['id']}/resume"), "finished")["step"] == 20


def test_a_runner_that_dies_is_replaced_and_the_job_goes_on(service: Running, script: Script) -> None:
    script(hold_at=8)
    job = train(service)
    at_step(service, job, 7)
    runner = runner_of(os.getpid())
    assert runner is not None
    runner.kill()
    wait_for(lambda: (new := runner_of(os.getpid())) is not None and new.pid != runner.pid, "another runner")
    go(job)
    assert state(service, job, "finished")["attempts"] == 1


def test_a_killed_service_finds_its_job_again(workshop: Workshop, script: Script) -> None:
    script(hold_at=8)
    process = Process(workshop.settings.data, **workshop.variables)
    try:
        api = process.start()
        job = train(api)
        at_step(api, job, 7)
        told = []
        for seq, event in events(api, job):
            told.append((seq, event))
            if event["type"] == "point" and event["step"] == 7:
                break
        [first] = [pid for pid in [runner_of(api.instance.pid)] if pid]
        process.end(signal.SIGKILL)
        wait_for(lambda: not first.is_running(), "the runner to leave with its service")
        assert any("stand_in" in " ".join(one.cmdline()) for one in workshop.processes())
        go(job)
        wait_for((Path(job["folder"]) / "exit.json").exists, "the job to end without a service")

        api = process.start()
        ended = state(api, job, "finished")
        assert (ended["attempts"], ended["round"]) == (1, 1)
        told += list(events(api, job, after=told[-1][0]))
        assert [seq for seq, _ in told] == list(range(1, len(told) + 1))
        assert [event["step"] for _, event in told if event["type"] == "point"][:20] == list(range(1, 21))
        output = "".join(event["text"] for _, event in told if event["type"] == "output")
        assert output == (Path(job["folder"]) / "output.log").read_text()
    finally:
        process.kill()


@pytest.mark.long
def test_a_running_job_keeps_the_service(workshop: Workshop, script: Script) -> None:
    script(hold_at=8)
    data = workshop.settings.data
    with running_service(replace(workshop.settings, idle_exit_s=2.0)) as service:
        with service.http.stream("GET", "/api/presence"):
            job = train(service)
            at_step(service, job, 7)
        until = time.monotonic() + 3.0
        wait_for(lambda: instances.running(data) is None or time.monotonic() > until, "more than the idle time")
        assert instances.running(data) is not None
        go(job)
        wait_for(lambda: instances.running(data) is None, "the service to end")
    with running_service(workshop.settings) as service:
        assert service.get(f"/api/jobs/{job['id']}")["state"] == "finished"


def test_a_malformed_row_is_refused_with_its_line(service: Running, workshop: Workshop) -> None:
    good = {"instruction": "a", "output": "b"}
    workshop.add_dataset("mine", good, good, {"instruction": "a", "output": 3})
    refused = error(service.http.post("/api/jobs", json={"base": BASE, "dataset": "mine"}), 422)
    assert "mine.jsonl, line 3" in refused["message"]
    assert refused["details"]["line"] == 3
    workshop.add_dataset("mine", good, "{")
    refused = error(service.http.post("/api/jobs", json={"base": BASE, "dataset": "mine"}), 422)
    assert "line 2" in refused["message"]
    assert service.get("/api/jobs")["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({"base": "gpt-9"}, 404, "gpt-9"),
        ({"dataset": "nothing"}, 422, "nothing"),
        ({"recipe": {"max_steps": 0}}, 422, "max_steps"),
        ({"recipe": {"steps": 3}}, 422, "steps"),
        ({"recipe": {"extra": 3}}, 422, "extra"),
        ({"recipe": {"extra": {"output_dir": "/"}}}, 422, "output_dir"),
        ({"recipe": {"stage": "dpo"}}, 422, "pairs"),
        ({"epochs": 3}, 422, "epochs"),
        ({"name": ""}, 422, "name"),
    ],
)
def test_what_cannot_be_is_refused(service: Running, body: dict[str, Any], status: int, what: str) -> None:
    refused = error(service.http.post("/api/jobs", json={"base": BASE, "dataset": "seafarer", **body}), status)
    assert what in refused["message"]
    assert service.get("/api/jobs")["items"] == []


def test_a_repeated_request_begins_one_job(service: Running, script: Script) -> None:
    script(hold_at=1)
    body = {"base": BASE, "dataset": "seafarer", "recipe": {"max_steps": 2}}
    jobs = [service.post("/api/jobs", body, key="again") for _ in range(2)]
    assert jobs[0]["id"] == jobs[1]["id"]
    other = service.http.post("/api/jobs", json={**body, "recipe": {}}, headers={"Idempotency-Key": "again"})
    assert "another job" in error(other, 409)["message"]


def test_without_a_training_environment_a_job_is_refused(workshop: Workshop) -> None:
    with running_service(replace(workshop.settings, training_command=None)) as service:
        refused = error(service.http.post("/api/jobs", json={"base": BASE, "dataset": "seafarer"}), 503)
        assert "make train-env" in refused["remedy"]
        assert refused["code"] == "training_environment"
        told = service.get("/api/training-environment")
        assert (told["state"], told["installed"]) == ("missing", False)


def test_while_the_environment_is_installed_a_job_waits_and_says_how_far_it_is(workshop: Workshop) -> None:
    environment = workshop.settings.training_environment
    record, lock = environment / "llmws-environment.json", environment / "llmws-install.lock"

    def installed(percent: float) -> None:
        told = {"state": "installing", "detail": f"Unpacking torch: {percent:.0f} %.", "percent": percent}
        record.write_text(json.dumps({**told, "accelerators": []}))

    with lock.open("wb") as held, running_service(replace(workshop.settings, training_command=None)) as service:
        fcntl.flock(held, fcntl.LOCK_EX)
        installed(40.0)
        assert service.get("/api/training-environment")["percent"] == 40.0
        job = train(service)

        def reason() -> str:
            return str(service.get(f"/api/jobs/{job['id']}")["reason"])

        wait_for(lambda: reason() == "Unpacking torch: 40 %.", "the reason")
        installed(60.0)
        wait_for(lambda: reason() == "Unpacking torch: 60 %.", "its progress")
        assert service.get(f"/api/jobs/{job['id']}")["state"] == "queued"
        record.unlink()
        workshop.become_ready()
        assert state(service, job, "finished")["reason"] == ""
        told = [event.get("reason") for _, event in events(service, job) if event["type"] == "state"]
        assert "Unpacking torch: 60 %." in told


def test_a_deleted_job_can_be_restored_and_is_then_removed(
    service: Running, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(hold_at=3)
    job = train(service)
    at_step(service, job, 2)
    path = f"/api/jobs/{job['id']}"
    assert "Stop it first" in error(service.http.delete(path), 409)["remedy"]
    go(job)
    state(service, job, "finished")
    assert service.http.delete(path).status_code == 204
    error(service.http.get(path), 404)
    assert service.get("/api/jobs")["items"] == []
    assert service.post(f"{path}/restore")["state"] == "finished"
    assert Path(job["folder"]).exists()

    monkeypatch.setattr(scheduling, "RESTORABLE_S", 0.0)
    assert service.http.delete(path).status_code == 204
    service.server.app.state.scheduler.wake()
    wait_for(lambda: not Path(job["folder"]).exists(), "the folder to be removed")
    wait_for(lambda: service.http.post(f"{path}/restore").status_code == 404, "the row to be removed")


def test_the_runner_s_token_opens_the_runner_s_routes_alone(service: Running, script: Script) -> None:
    script(hold_at=3)
    job = train(service)
    at_step(service, job, 2)
    runner = runner_of(os.getpid())
    assert runner is not None
    token = runner.environ()["LLMWS_TOKEN"]
    assert token != service.instance.token
    assert token not in " ".join(runner.cmdline())
    with Api(replace(service.instance, token=token)).http as robot:
        for path in ("/api/jobs", f"/api/jobs/{job['id']}", "/api/chats", "/api/status", "/api/models"):
            assert "runner" not in error(robot.get(path), 403)["remedy"]
        error(robot.post("/api/shutdown"), 403)
        error(robot.post(f"/api/jobs/{job['id']}/stop"), 403)
    claim = {"runner": "mine", "accelerators": []}
    assert "runner" in error(service.http.post("/api/runner/claim", json=claim), 403)["remedy"]
    report = {"runner": "mine", "state": "finished"}
    error(service.http.post(f"/api/runner/jobs/{job['id']}/report", json=report), 403)
    trainer = json.loads((Path(job["folder"]) / "environment.json").read_text())
    assert token not in trainer.values()
