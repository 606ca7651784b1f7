"""A live probe of a model, through the metering path; what it found goes before what the provider says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from llmws.service.identity import _account
from llmws.store import usage as kept_usage

from .harness import Running, wait_for
from .test_edge import error
from .test_providers import add, models
from .vendor_server import VendorServer, vendor_server


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server() as server:
        yield server


@pytest.mark.parametrize("path", ["compatible/m", "compatible%2Fm"])
def test_what_a_probe_found_is_kept_with_what_it_saw(service: Running, vendor: VendorServer, path: str) -> None:
    """This server says Yes to everything, so it can do nothing of what is asked for."""
    add(service, vendor)
    wait_for(lambda: models(service), "the list")
    assert models(service)["compatible/m"]["tools"] is None
    found = {one["name"]: one for one in service.post(f"/api/models/{path}/probe")["capabilities"]}
    assert {name: one["value"] for name, one in found.items()} == {
        "embeddings": False,
        "tools": False,
        "vision": False,
        "json_schema": False,
        "reasoning": False,
    }
    assert found["tools"]["evidence"] == "It answered in words and called nothing."
    assert models(service)["compatible/m"]["tools"] is False
    assert models(service)["compatible/m-large"]["tools"] is None
    listed = service.get("/api/providers/compatible/models")["items"][0]["capabilities"]
    known = {one["name"]: (one["value"], one["source"]) for one in listed}
    assert (known["tools"], known["context"]) == ((False, "probe"), (4096, "provider"))
    corrected = service.http.put("/api/providers/compatible/models/m/capabilities/tools", json={"value": True})
    assert corrected.status_code == 200
    assert models(service)["compatible/m"]["tools"] is True
    rows, _ = asyncio.run(service.server.app.state.store.read(kept_usage.page, _account()))
    assert [(row.model, row.purpose) for row in rows] == [("compatible/m", "probe")] * len(rows)
    assert len(rows) >= 4


def test_a_model_that_cannot_be_asked_now_is_not_said_to_be_able_to_nothing(
    service: Running, vendor: VendorServer
) -> None:
    add(service, vendor)
    vendor.refusals["sk-good-1"] = 401, "Invalid API key"
    assert error(service.http.post("/api/models/compatible/m/probe"), 502)["code"] == "provider_auth"
    wait_for(lambda: service.get("/api/providers/compatible")["keys"][0]["parked_reason"], "the key to be parked")


def test_only_a_provider_s_model_is_probed(service: Running) -> None:
    error(service.http.post("/api/models/echo/probe"), 404)
    error(service.http.post("/api/models/nobody/m/probe"), 404)
