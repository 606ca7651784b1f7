"""A store on a real file, and connections to ask it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmws.store import Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "llmws.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{file}")
    yield store
    store.close()


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
