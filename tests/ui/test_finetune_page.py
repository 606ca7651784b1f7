"""The fine-tune page without a browser: a comm that only records, and a job that tells what a test has it tell."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import IPython.display
import pytest
from ipykernel.iostream import OutStream

from llmws import ui
from llmws.client import Job
from llmws.client.bridge import bridge
from llmws.errors import Conflict, InvalidRequest, NotFound
from llmws.recipe import Recipe

from .tab import Browser

ID = "0" * 32
RUNNING = {"id": ID, "name": "seafarer-1", "state": "running", "intent": "run", "ended_at": None, "model": None}


class JobApi:
    """One job, and what it told."""

    def __init__(self) -> None:
        self.job_now: dict[str, Any] = {**RUNNING}
        self.told: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        self.served = asyncio.Event()
        self.began: list[dict[str, Any]] = []

    def tell(self, *events: dict[str, Any]) -> None:
        def add() -> None:
            self.told += events
            for event in events:
                if event["type"] == "state":
                    self.job_now |= {name: value for name, value in event.items() if name != "type"}
            self.news.set()

        bridge().call_soon(add)

    async def datasets(self) -> list[dict[str, Any]]:
        return [{"name": "seafarer"}]

    async def bases(self) -> dict[str, Any]:
        return {"items": [{"id": "smollm2-135m"}], "problem": None}

    async def recipe(self) -> dict[str, Any]:
        return {"fields": Recipe.schema(), "presets": []}

    async def training_environment(self) -> dict[str, Any]:
        return {"state": "ready"}

    async def jobs(self, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        return {"items": [dict(self.job_now)], "next_cursor": None}

    async def job(self, job_id: str) -> dict[str, Any]:
        if job_id != ID:
            raise NotFound("There is no such job.")
        return dict(self.job_now)

    async def create_job(self, **asked: Any) -> dict[str, Any]:
        Recipe.from_dict(asked["recipe"])
        self.began.append(asked)
        return dict(self.job_now)

    async def serve_job(self, job_id: str) -> dict[str, Any]:
        await self.served.wait()
        if self.job_now["state"] != "finished":
            raise Conflict("This job is running.", remedy="Wait for its end.")
        self.job_now["model"] = "seafarer-1"
        return dict(self.job_now)

    async def job_events(self, job_id: str, after: int = 0) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        while True:
            self.news.clear()
            while after < len(self.told):
                after += 1
                yield after, self.told[after - 1]
            if self.job_now["ended_at"] is not None:
                return
            await self.news.wait()


class JobClient:
    def __init__(self) -> None:
        self.api = JobApi()
        self.loop = bridge()


def point(step: int, loss: float | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "point", "step": step, "total_steps": 5000, "loss": loss, **more}


@pytest.fixture
def api() -> JobApi:
    return JobApi()


@pytest.fixture
def browser(api: JobApi, sent: list[dict[str, Any]]) -> Iterator[Browser]:
    client = JobClient()
    client.api = api
    page = ui.FineTune(client)  # type: ignore[arg-type]
    yield Browser(page, sent)
    page.close()


def runs(browser: Browser) -> list[dict[str, Any]]:
    return [run for deltas in browser.of("deltas") for run in deltas["runs"]]


def test_a_fresh_tab_gets_the_form_and_the_runs(browser: Browser) -> None:
    told = browser.ask("start")["value"]
    assert {field["name"] for field in told["form"]["fields"]} >= {"method", "max_steps", "extra"}
    assert told["jobs"]["items"][0]["name"] == "seafarer-1"
    assert told["run"] is None


def test_thousands_of_points_make_few_messages_and_a_whole_curve(browser: Browser, api: JobApi) -> None:
    shown = browser.ask("show", id=ID)
    api.tell(*(point(step, 10 / step) for step in range(1, 5001)))
    browser.wait(lambda _: bool(runs(browser)) and runs(browser)[-1]["job"].get("step") == 5000)
    deltas = browser.of("deltas")
    assert len(deltas) < 100
    assert [message["number"] for message in browser.sent] == list(range(1, len(browser.sent) + 1))
    later = [row for message in deltas if message["number"] > shown["number"] for row in message["runs"][0]["points"]]
    assert [row[0] for row in shown["value"]["run"]["points"] + later] == list(range(1, 5001))
    assert len(browser.page.points) == 5000  # type: ignore[attr-defined]


def test_a_tab_that_comes_later_gets_all_at_once(browser: Browser, api: JobApi) -> None:
    ended = {"type": "state", "state": "finished", "ended_at": 5.0, "at": 5.0, "step": 20}
    api.tell(*(point(step, 1.0) for step in range(1, 21)), {"type": "output", "text": "step 20\n"}, ended)
    run = browser.ask("start", job=ID)["value"]["run"]
    assert [row[0] for row in run["points"]] == list(range(1, 21))
    assert run["log"] == "step 20\n"
    assert run["job"]["state"] == "finished"
    assert [event["state"] for event in run["history"]] == ["finished"]


def test_an_evaluation_and_a_resumed_run_tell_a_step_again(browser: Browser, api: JobApi) -> None:
    api.tell(point(1, 3.0), point(2, 2.0), point(2, eval_loss=2.5), point(2, 1.9))
    browser.ask("show", id=ID)
    browser.wait(lambda _: browser.ask("show", id=ID)["value"]["run"]["points"] == [[1, 3.0, None], [2, 1.9, 2.5]])


def test_a_job_that_was_resumed_elsewhere_is_read_on(browser: Browser, api: JobApi) -> None:
    api.tell(point(1, 3.0), {"type": "state", "state": "stopped", "ended_at": 1.0, "at": 1.0})
    browser.ask("show", id=ID)
    api.tell({"type": "state", "state": "running", "ended_at": None, "at": 2.0, "round": 2}, point(2, 2.0))
    browser.wait(lambda _: api.job_now["state"] == "running")
    browser.ask("pulse")
    browser.wait(lambda _: any(run["job"].get("step") == 2 for run in runs(browser)))


def test_serving_takes_its_time_and_its_end_is_told(browser: Browser, api: JobApi) -> None:
    browser.ask("serve", id=ID)
    assert browser.ask("show", id=ID)["value"]["run"]["serving"] is True
    bridge().call_soon(api.served.set)
    refused = browser.wait(lambda message: message["type"] == "serving" and not message["serving"])
    assert refused["error"]["remedy"] == "Wait for its end."
    api.job_now |= {"state": "finished", "ended_at": 1.0}
    browser.ask("serve", id=ID)
    assert browser.wait(lambda message: message["type"] == "job" and message["job"]["model"])


def test_a_recipe_that_cannot_be_names_its_field(browser: Browser, api: JobApi) -> None:
    refused = browser.ask("begin", dataset="seafarer", base="smollm2-135m", recipe={"max_steps": 0}, key="k")["error"]
    assert refused["code"] == InvalidRequest.code
    assert refused["details"]["field"] == "max_steps"
    begun = browser.ask("begin", dataset="seafarer", base="smollm2-135m", recipe={"max_steps": 1}, key="k")["value"]
    assert begun["run"]["job"]["id"] == ID
    assert api.began == [
        {"base": "smollm2-135m", "dataset": "seafarer", "recipe": {"max_steps": 1}, "name": None, "key": "k"}
    ]


@pytest.mark.parametrize("values", [{}, {"id": 7}, {"id": ID, "more": 1}])
def test_values_that_do_not_fit_are_refused(browser: Browser, values: dict[str, Any]) -> None:
    assert browser.ask("stop", **values)["error"]["code"] == "invalid_request"


def test_a_run_that_is_gone_leaves_the_form(browser: Browser) -> None:
    assert browser.ask("start", job="f" * 32)["value"]["run"] is None


@pytest.mark.usefixtures("sent")
def test_a_watched_job_is_the_page_in_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[ui.FineTune] = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    monkeypatch.setattr(sys, "stdout", OutStream.__new__(OutStream))
    job = Job(JobClient(), dict(RUNNING))  # type: ignore[arg-type]
    assert job.watch() is job
    assert [page.job_id for page in shown] == [ID]
    shown[0].close()
