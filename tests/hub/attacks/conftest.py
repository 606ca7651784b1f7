"""One scene for all attacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tally import TRIED

from ..running import RunningHub
from .scene import Attempts, Scene, build


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
    TRIED["the hub"] += mine.tried
    assert mine.succeeded == [], "\n".join(mine.succeeded)
