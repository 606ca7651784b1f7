"""A store on a real file and on a real server, and connections to ask it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmws.store import Store, postgresql

from .postgresql_server import Server, running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "llmws.db"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """PostgreSQL; whoever stops it starts it again."""
    with running() as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The name of a database on the server, of today's shape."""
    with server.database() as name:
        yield name


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def address(request: pytest.FixtureRequest, file: Path) -> str:
    """Where a store can be opened, once on each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{file}"
    server: Server = request.getfixturevalue("server")
    return server.address(request.getfixturevalue("database"))


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    store = Store.open(address)
    yield store
    store.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a store wait for a server that a busy machine is slow to restart."""
    monkeypatch.setattr(postgresql, "PATIENCE_S", 60.0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a store not wait for a server, or for its lock."""
    monkeypatch.setattr(postgresql, "PATIENCE_S", 0.0)
    monkeypatch.setitem(postgresql._SESSION, "lock_timeout", "1ms")


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives a module a clock that moves by one second at each look, or stands still."""

    def install(*modules: Any, start: float = 1_000.0, step: float = 1.0) -> None:
        now = start

        class Clock:
            @staticmethod
            def time() -> float:
                nonlocal now
                now += step
                return now

        for module in modules:
            monkeypatch.setattr(module, "time", Clock)

    return install
