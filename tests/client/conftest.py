"""A real service for each test that wants one, and a data folder whose services all end with the test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from llmws.client import Client, connect
from llmws.client.bridge import bridge
from llmws.client.finding import Given
from llmws.instance import Instance, is_held, running
from llmws.settings import Settings
from tests.service.harness import Running, running_service, wait_for


@pytest.fixture
def service(settings: Settings) -> Iterator[Running]:
    with running_service(settings) as running:
        yield running


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    """A client of `service`."""
    finder = Given(service.instance.url, service.instance.token)
    client = Client(finder, bridge().run(finder.address()))
    yield client
    client.close()


class Workspace:
    """A data folder that `connect` and the command line find by their settings."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.settings = Settings(data=data, embedded=False, idle_exit_s=0)

    def running(self) -> Instance | None:
        return running(self.data)

    def starts(self) -> int:
        """How many services have begun to listen."""
        log = self.data / "service.log"
        return log.read_text().count("listening on") if log.exists() else 0

    def kill(self) -> Instance:
        """SIGKILL the service; it has no time for anything."""
        found = self.running()
        assert found is not None
        assert found.pid != os.getpid()
        os.kill(found.pid, signal.SIGKILL)
        wait_for(lambda: not is_held(self.data), "the lock to be free")
        return found


@contextmanager
def workspace_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Settings that name a data folder in `folder`, and the end of the service that a test leaves there."""
    for setting in fields(Settings):
        monkeypatch.delenv(setting.metadata["name"], raising=False)
    monkeypatch.setenv("LLMWS_DATA", str(folder / "workspace"))
    monkeypatch.setenv("LLMWS_EMBEDDED", "0")
    monkeypatch.setenv("LLMWS_IDLE_EXIT_S", "0")
    workspace = Workspace(folder / "workspace")
    yield workspace
    if is_held(workspace.data):
        workspace.kill()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    with workspace_in(tmp_path, monkeypatch) as workspace:
        yield workspace


@pytest.fixture
def connected(workspace: Workspace) -> Iterator[Client]:
    """A client whose service `connect` started."""
    client = connect()
    yield client
    client.close()
