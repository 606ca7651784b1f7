"""What a runner asks and tells, sent by hand; with an identity of several people, as a hub has them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmws.service.identity import RUNNER, Person
from llmws.settings import Settings
from llmws.training.orders import Order

from .harness import app_for, asked
from .workshop import BASE, Workshop

PEOPLE = {
    "ada": Person("ada", frozenset({"train"})),
    "eve": Person("eve", frozenset({"train"})),
    "carl": Person("carl", frozenset({"chat"})),
    "grace": Person("grace", frozenset({"admin"})),
    "gpu7": Person("gpu7", frozenset({RUNNER})),
}
CPU = {"id": "cpu", "kind": "cpu", "name": "CPU"}


class People:
    hosts = None
    revocable = False

    async def person(self, token: str, fresh: bool = False) -> Person | None:
        return PEOPLE.get(token)

    async def aclose(self) -> None: ...


class Hub:
    """The service of several people; a method is a request of one of them, or of a runner."""

    def __init__(self, http: httpx.AsyncClient, workshop: Workshop) -> None:
        self.http = http
        self.workshop = workshop

    async def ask(self, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.http.request(method, path, json=body, headers={"Authorization": f"Bearer {name}"})

    async def get(self, path: str, name: str = "ada") -> Any:
        return (await self.ask(name, "GET", path)).raise_for_status().json()

    async def train(self, name: str = "ada", dataset: str = "seafarer") -> dict[str, Any]:
        body = {"base": BASE, "dataset": dataset, "recipe": {"max_steps": 20}}
        job: dict[str, Any] = (await self.ask(name, "POST", "/api/jobs", body)).raise_for_status().json()
        return job

    async def claim(self, runner: str = "gpu7", wait_s: float = 0.0, **more: Any) -> dict[str, Any]:
        body = {"runner": runner, "host": "h", "wait_s": wait_s, "accelerators": [CPU], **more}
        told: dict[str, Any] = (await self.ask("gpu7", "POST", "/api/runner/claim", body)).raise_for_status().json()
        return told

    async def order(self, job: dict[str, Any]) -> Order:
        """Claim until the job is ordered."""
        told = await self.claim(wait_s=10.0)
        [order] = told["orders"]
        assert order["id"] == job["id"]
        return Order.from_dict(order)

    async def report(self, job: dict[str, Any], state: str = "running", status: int = 200, **more: Any) -> Any:
        body = {"runner": "gpu7", "round": 1, "state": state, "attempt": 1, "points": [], "output": None, **more}
        response = await self.ask("gpu7", "POST", f"/api/runner/jobs/{job['id']}/report", body)
        assert response.status_code == status, response.text
        return response.json()

    async def job(self, job: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = await self.get(f"/api/jobs/{job['id']}")
        return told

    async def points(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return list((await self.get(f"/api/jobs/{job['id']}/points"))["items"])


@pytest.fixture
async def hub(settings: Settings, tmp_path: Path) -> AsyncIterator[Hub]:
    workshop = Workshop.make(tmp_path, settings)
    with app_for(workshop.settings, People()) as app:
        async with asked(app) as http:
            yield Hub(http, workshop)


async def test_nobody_finds_the_jobs_of_another(hub: Hub) -> None:
    job = await hub.train()
    path = f"/api/jobs/{job['id']}"
    tries = [("GET", path), ("GET", f"{path}/points"), ("GET", f"{path}/log"), ("GET", f"{path}/events")]
    tries += [("POST", f"{path}/{what}") for what in ("stop", "resume", "serve", "restore")] + [("DELETE", path)]
    for method, route in tries:
        for name in ("eve", "grace"):
            response = await hub.ask(name, method, route)
            assert response.status_code == 404, (method, route, response.text)
    assert (await hub.get("/api/jobs", "eve"))["items"] == []
    assert (await hub.job(job))["intent"] == "run"
    assert (await hub.train("eve"))["name"] == "seafarer-1"


async def test_who_may_chat_only_may_not_train(hub: Hub) -> None:
    refused = await hub.ask("carl", "POST", "/api/jobs", {"base": BASE, "dataset": "seafarer"})
    assert refused.status_code == 403
    assert "train" in refused.json()["error"]["remedy"]
    assert (await hub.get("/api/jobs", "carl"))["items"] == []


async def test_an_order_says_all_that_a_runner_needs_until_it_is_reported(hub: Hub) -> None:
    assert await hub.claim() == {"orders": [], "intents": []}
    job = await hub.train()
    order = await hub.order(job)
    assert (order.base, order.template, order.dataset, order.round) == (BASE, "smollm2", "seafarer", 1)
    assert Path(order.weights) == hub.workshop.settings.embedded_model
    assert (Path(order.dataset_dir) / "seafarer.jsonl").exists()
    assert (order.recipe.max_steps, order.accelerators) == (20, ("cpu",))
    assert await hub.order(job) == order
    assert await hub.claim(runner="gpu8") == {"orders": [], "intents": []}
    await hub.report(job, "preparing")
    assert (await hub.claim())["orders"] == []
    assert (await hub.job(job))["state"] == "preparing"


async def test_what_is_told_twice_is_kept_once_and_what_comes_later_counts(hub: Hub) -> None:
    job = await hub.train()
    await hub.order(job)
    told = {"points": [{"step": 1, "loss": 3.0, "total_steps": 20}], "output": {"offset": 0, "end": 4, "text": "one\n"}}
    for _ in range(2):
        assert (await hub.report(job, **told))["output_offset"] == 4
    await hub.report(job, points=[{"step": 1, "loss": 3.0, "total_steps": 20, "eval_loss": 2.5}])
    assert await hub.points(job) == [{"step": 1, "total_steps": 20, "loss": 3.0, "eval_loss": 2.5}]
    assert (await hub.report(job, output={"offset": 2, "end": 8, "text": "e\ntwo\n"}))["output_offset"] == 4
    skipped = {"offset": 100, "end": 104, "text": "… left out …\nend\n"}
    assert (await hub.report(job, output=skipped))["output_offset"] == 104
    assert (await hub.get(f"/api/jobs/{job['id']}/log"))["text"] == "one\n… left out …\nend\n"
    now = await hub.job(job)
    assert (now["step"], now["total_steps"], now["loss"], now["attempts"]) == (1, 20, 3.0, 1)
    # A runner that was restarted tells the older steps again, one report after the other.
    await hub.report(job, points=[{"step": 2, "loss": 2.0}])
    await hub.report(job, **told)
    assert (await hub.job(job))["step"] == 2


async def test_a_stop_is_wanted_until_it_is_done(hub: Hub) -> None:
    job = await hub.train()
    await hub.order(job)
    assert "intent" not in await hub.report(job)
    await hub.ask("ada", "POST", f"/api/jobs/{job['id']}/stop")
    [intent] = (await hub.claim())["intents"]
    assert (intent["id"], intent["intent"], intent["by"]) == (job["id"], "stop", "ada")
    assert (await hub.report(job, "stopping"))["intent"] == "stop"
    told = {"reason": "Stopped.", "step": 7, "total_steps": 20, "ended_at": 5.0}
    assert "intent" not in await hub.report(job, "stopped", **told)
    assert await hub.claim() == {"orders": [], "intents": []}
    now = await hub.job(job)
    assert (now["state"], now["reason"], now["step"], now["ended_at"]) == ("stopped", "Stopped.", 7, 5.0)


async def test_a_stop_that_comes_with_the_order_still_stops(hub: Hub) -> None:
    job = await hub.train()
    await hub.order(job)
    stopping = (await hub.ask("ada", "POST", f"/api/jobs/{job['id']}/stop")).json()
    assert (stopping["state"], stopping["intent"]) == ("queued", "stop")
    told = await hub.claim()
    assert [one["id"] for one in told["orders"]] == [one["id"] for one in told["intents"]] == [job["id"]]
    assert (await hub.report(job, "preparing"))["intent"] == "stop"
    await hub.report(job, "stopped", reason="Stopped by ada before it began.", ended_at=5.0)
    assert await hub.claim() == {"orders": [], "intents": []}
    assert (await hub.job(job))["state"] == "stopped"


async def test_a_report_of_an_earlier_round_changes_nothing(hub: Hub) -> None:
    job = await hub.train()
    await hub.order(job)
    await hub.report(job, "failed", reason="It broke.", ended_at=5.0)
    assert (await hub.ask("ada", "POST", f"/api/jobs/{job['id']}/resume")).json()["round"] == 2
    await hub.report(job, "failed", reason="It broke.", points=[{"step": 9}])
    assert (await hub.job(job))["state"] == "queued"
    assert await hub.points(job) == []
    assert (await hub.order(job)).round == 2
    await hub.report(job, round=2)
    assert (await hub.job(job))["state"] == "running"


async def test_a_job_whose_dataset_has_gone_fails(hub: Hub) -> None:
    hub.workshop.add_dataset("mine", {"instruction": "a", "output": "b"})
    job = await hub.train(dataset="mine")
    (hub.workshop.settings.data / "datasets" / "dataset_info.json").write_text("{}")
    assert await hub.claim(wait_s=0.5) == {"orders": [], "intents": []}
    now = await hub.job(job)
    assert (now["state"], now["reason"]) == ("failed", "There is no dataset 'mine'.")
    assert now["resumable"]


async def test_a_folder_that_is_gone_ends_its_job(hub: Hub) -> None:
    job = await hub.train()
    await hub.order(job)
    await hub.report(job, "deleted", attempt=0)
    now = await hub.job(job)
    assert (now["state"], now["reason"]) == ("interrupted", "Its run folder is gone.")


async def test_a_runner_that_is_not_ready_gets_nothing_and_its_reason_is_told(hub: Hub) -> None:
    job = await hub.train()
    reason = {"ready": False, "reason": "No environment.", "remedy": "Install it."}
    assert await hub.claim(wait_s=0.1, **reason) == {"orders": [], "intents": []}
    now = await hub.job(job)
    assert (now["state"], now["reason"], now["remedy"]) == ("queued", "No environment.", "Install it.")
    assert (await hub.order(job)).id == job["id"]


@pytest.mark.parametrize(
    "broken",
    [
        {"state": "bored"},
        {"points": [{"loss": 1.0}]},
        {"points": [{"step": 1, "loss": float("nan")}]},
        {"points": [{"step": "1"}]},
        {"output": {"offset": -1, "end": 0, "text": ""}},
        {"output": {"offset": 0, "end": 1, "text": "\ud800"}},
        {"round": 0},
    ],
)
async def test_a_report_that_cannot_be_is_refused(hub: Hub, broken: dict[str, Any]) -> None:
    job = await hub.train()
    body = json.dumps({"runner": "gpu7", "round": 1, "state": "running", "attempt": 1, **broken})
    headers = {"Authorization": "Bearer gpu7", "Content-Type": "application/json"}
    response = await hub.http.post(f"/api/runner/jobs/{job['id']}/report", content=body, headers=headers)
    assert response.status_code == 422, response.text
    assert (await hub.job(job))["state"] == "queued"


async def test_an_unknown_job_is_not_found(hub: Hub) -> None:
    await hub.report({"id": "0" * 32}, status=404)
    await hub.report({"id": "0" * 32}, "deleted", status=404)
