"""What was tuned becomes a model: served beside its base by the real server, listed, and there after a restart."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmws.messages import Message, Parameters, assemble
from llmws.providers.base import CompletionRequest
from llmws.service.embedded import EmbeddedProvider
from llmws.service.identity import Person
from llmws.settings import Settings
from llmws.store.adapters import Adapter
from tests.serving.gguf_files import write_adapter

from .harness import Api, Running, running_service
from .test_edge import error
from .workshop import BASE, Workshop, state, train


@pytest.fixture
def workshop(tmp_path: Path, settings: Settings) -> Iterator[Workshop]:
    made = Workshop.make(tmp_path, settings, served=True)
    yield made
    made.clear()


@pytest.fixture
def service(workshop: Workshop) -> Iterator[Running]:
    with running_service(workshop.settings) as running:
        yield running


def answer(api: Api, model: str) -> str:
    body = {"messages": [Message.user("Name three moons.").to_dict()], "model": model}
    parameters = {"temperature": 0.0, "max_tokens": 12}
    return api.message(api.post("/api/generations", {**body, "parameters": parameters})["id"]).text


def models(api: Api) -> dict[str, dict[str, Any]]:
    return {model["id"]: model for model in api.get("/api/models")["items"]}


def finished(api: Api, **more: Any) -> dict[str, Any]:
    return state(api, train(api, recipe={"max_steps": 2}, **more), "finished")


def test_a_job_becomes_a_model_that_outlives_it(workshop: Workshop) -> None:
    with running_service(workshop.settings) as service:
        job = finished(service)
        served = service.post(f"/api/jobs/{job['id']}/serve")
        assert served["model"] == "seafarer-1"
        assert service.post(f"/api/jobs/{job['id']}/serve")["model"] == "seafarer-1"
        assert service.get(f"/api/jobs/{job['id']}")["model"] == "seafarer-1"
        tuned = models(service)["seafarer-1"]
        assert (tuned["provider"], tuned["base"], tuned["state"]) == ("embedded", BASE, "ready")
        base = answer(service, BASE)
        assert base != answer(service, "seafarer-1")
        assert base == answer(service, BASE)
        names = [service.post(f"/api/jobs/{finished(service, name='My sailor')['id']}/serve") for _ in range(2)]
        assert [one["model"] for one in names] == ["my-sailor", "my-sailor-2"]
        assert service.http.delete(f"/api/jobs/{job['id']}").status_code == 204
    with running_service(workshop.settings) as service:
        assert list(models(service)) == [BASE, "seafarer-1", "my-sailor", "my-sailor-2", "echo"]
        assert base != answer(service, "seafarer-1")
        assert [one["model"] for one in service.get("/api/jobs")["items"]] == ["my-sailor-2", "my-sailor"]


def test_what_has_not_ended_cannot_be_served(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", '{"hold_at": 1}')
    job = train(service)
    refused = error(service.http.post(f"/api/jobs/{job['id']}/serve"), 409)
    assert "Wait for its end" in refused["remedy"]
    service.post(f"/api/jobs/{job['id']}/stop")
    state(service, job, "stopped")


def test_a_job_that_left_nothing_says_so(service: Running, workshop: Workshop) -> None:
    job = finished(service)
    (Path(job["folder"]) / "output" / "adapter_model.safetensors").unlink()
    refused = error(service.http.post(f"/api/jobs/{job['id']}/serve"), 409)
    assert refused["code"] == "conversion"
    assert list(models(service)) == [BASE, "echo"]


def test_an_adapter_that_does_not_fit_takes_nothing_along(service: Running, workshop: Workshop, tmp_path: Path) -> None:
    job = finished(service)
    write_adapter(tmp_path / "adapter.gguf", width=64)
    refused = error(service.http.post(f"/api/jobs/{job['id']}/serve"), 400)
    assert "cannot serve" in refused["message"]
    assert list(models(service)) == [BASE, "echo"]
    assert answer(service, BASE)


def test_without_an_embedded_model_nothing_is_served(tmp_path: Path, settings: Settings) -> None:
    workshop = Workshop.make(tmp_path, settings)
    with running_service(workshop.settings) as service:
        job = finished(service)
        refused = error(service.http.post(f"/api/jobs/{job['id']}/serve"), 503)
        assert "LLMWS_EMBEDDED" in refused["remedy"]
    workshop.clear()


@pytest.fixture
async def provider() -> AsyncIterator[EmbeddedProvider]:
    provider = EmbeddedProvider(Settings())
    yield provider
    await provider.aclose()


def tuned(id: str, path: Path, owner: str = "ada", base: str = BASE, kind: Any = "adapter") -> Adapter:
    return Adapter(id, owner, base, None, str(path), time.time(), kind)


async def test_a_tuned_model_is_its_owner_s(provider: EmbeddedProvider, tmp_path: Path) -> None:
    path = write_adapter(tmp_path / "a.gguf")
    await provider.serve([tuned("mine", path), tuned("hers", path, "eve"), tuned("old", path, base="another")])
    assert [told.model.id for told in provider.states(Person("ada"))] == [BASE, "mine", "old"]
    assert [told.model.id for told in provider.states(Person("eve"))] == [BASE, "hers"]
    old = provider.states(Person("ada"))[-1]
    assert (old.state, old.reason) == ("unavailable", "Its base another is not served here.")


async def test_a_whole_model_is_served_by_a_process_of_its_own(provider: EmbeddedProvider) -> None:
    assert provider.server is not None
    await provider.start()
    await provider.serve([tuned("whole", provider.server.model.path, kind="model")])
    assert [(told.model.id, told.state) for told in provider.states(Person("ada"))][1] == ("whole", "ready")
    request = CompletionRequest("whole", (Message.user("Hello"),), Parameters(max_tokens=4))
    message = assemble([event async for event in provider.stream(request)])
    assert message.text
    assert provider._whole["whole"].pid != provider.server.pid
    await provider.serve([])
    assert [told.model.id for told in provider.states(Person("ada"))] == [BASE]


async def test_a_server_that_starts_again_is_asked_over_one_wire(provider: EmbeddedProvider) -> None:
    """A whole model sleeps and wakes many times a day: each time it has another address and another key."""
    assert provider.server is not None
    request = CompletionRequest(BASE, (Message.user("Hello"),), Parameters(max_tokens=4))
    wires = []
    for _ in range(2):
        await provider.start()
        assert assemble([event async for event in provider.stream(request)]).text
        wires += provider._wires.values()
        await provider.server.stop()
    assert len(wires) == 2
    clients = [wire.provider._server._client for wire in wires]  # type: ignore[attr-defined]
    assert [client.is_closed for client in clients] == [True, False]
