"""One scene for all attacks, and the count of them at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..running import RunningHub
from .scene import Attempts, Scene, build

_ALL = Attempts()


@pytest.fixture(scope="package")
def scene(hub: RunningHub) -> Iterator[Scene]:
    """People at work; their servers end afterwards."""
    built = build(hub)
    yield built
    with built.service(built.tokens["rita"]) as api:
        api.post(f"/api/jobs/{built.things['running job']}/stop")
    for name, person in built.people.items():
        for server in ("server", "servers/admin") if name == "ann" else ("server",):
            person.ask("DELETE", f"/hub/api/users/{name}/{server}")
        person.close()


@pytest.fixture
def attempts() -> Iterator[Attempts]:
    """What a test tries; it fails where any of it worked, after all was tried."""
    mine = Attempts()
    yield mine
    _ALL.tried += mine.tried
    _ALL.succeeded += mine.succeeded
    assert mine.succeeded == [], "\n".join(mine.succeeded)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _ALL.tried:
        terminalreporter.write_line(f"attacks on the hub: {_ALL.tried} tried, {len(_ALL.succeeded)} succeeded")
