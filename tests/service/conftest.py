"""A service for each test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmws.settings import Settings

from .harness import Process, Running, running_service
from .vendor_server import VendorServer, vendor_server


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    with running_service(settings) as running:
        yield running


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server() as vendor:
        yield vendor


@pytest.fixture
def service_with_vendor(settings: Settings, vendor: VendorServer) -> Iterator[Running]:
    """A service that asks `vendor`: its model `vllm/m` sees, `vllm/m-large` does not. A person keeps 1 MiB of files."""
    with running_service(replace(settings, attachments_mib=1)) as running:
        running.post("/api/providers", {"vendor": "vllm", "base_url": vendor.url})
        running.post("/api/providers/vllm/sync")
        for model, sees in (("m", True), ("m-large", False)):
            path = f"/api/providers/vllm/models/{model}/capabilities/vision"
            assert running.http.put(path, json={"value": sees}).is_success
        yield running


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "data")
    yield process
    process.kill()
