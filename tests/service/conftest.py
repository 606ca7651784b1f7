"""A service for each test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmws.settings import Settings

from .harness import Process, Running, running_service


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    with running_service(settings) as running:
        yield running


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "data")
    yield process
    process.kill()
