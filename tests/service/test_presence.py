"""A laptop's service lives as long as somebody is there or something runs, and no longer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from llmws import instance as instances
from llmws.service import events
from llmws.service.presence import Presence
from llmws.settings import Settings

from .harness import LIMIT_S, Running, running_service, wait_for


def test_presence_tells_which_service_this_is_and_is_counted(service: Running) -> None:
    with service.http.stream("GET", "/api/presence") as stream:
        lines = stream.iter_lines()
        assert json.loads(next(lines).removeprefix("data: ")) == {"boot_id": service.instance.boot_id}
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert service.get("/api/status")["clients"] == 1
    wait_for(lambda: service.get("/api/status")["clients"] == 0, "the client to be missed")


def test_silence_is_broken_by_comments(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SILENCE_S", 0.05)
    generation = service.ask("", tokens=["late"], delay_s=LIMIT_S)
    for path in ("/api/presence", f"/api/generations/{generation['id']}/events"):
        with service.http.stream("GET", path) as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith(":"))
    service.post(f"/api/generations/{generation['id']}/cancel")


def test_a_service_that_nobody_needs_ends(settings: Settings) -> None:
    with running_service(replace(settings, idle_exit_s=0.2)):
        wait_for(lambda: instances.running(settings.data) is None, "the service to end")


@pytest.mark.parametrize("what", ["presence", "generation"])
def test_a_service_that_somebody_needs_stays(settings: Settings, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SILENCE_S", 0.2)
    # Long enough for a slow machine to get there before it ends.
    with running_service(replace(settings, idle_exit_s=2.0)) as service:
        if what == "generation":
            generation = service.ask("", tokens=["on "], count=100_000, delay_s=0.05)
            path = f"/api/generations/{generation['id']}/events"
        else:
            path = "/api/presence"
        with service.http.stream("GET", path) as stream:
            lines = (line for line in stream.iter_lines() if line.startswith((":", "data")))
            # Twice as long as an idle service would have lived.
            assert len([next(lines) for _ in range(20)]) == 20
            assert instances.running(settings.data) == service.instance
        if what == "generation":
            service.post(f"{path.removesuffix('/events')}/cancel")
        wait_for(lambda: instances.running(settings.data) is None, "the service to end")


def test_a_shutdown_ends_presence_streams(settings: Settings) -> None:
    with running_service(settings) as service, service.http.stream("GET", "/api/presence") as stream:
        lines = stream.iter_lines()
        assert next(lines)
        service.post("/api/shutdown")
        assert [line for line in lines if line] == []
        wait_for(lambda: instances.running(settings.data) is None, "the service to end")


async def test_who_left_is_told_once_unless_they_came_back() -> None:
    presence = Presence(0, lambda: False, lambda: None)

    async def come(person: str) -> AsyncGenerator[Sequence[bytes], None]:
        stream = presence.attend(person, b"")
        await anext(stream)
        return stream

    first, second, eve = [await come(person) for person in ("ada", "ada", "eve")]
    await first.aclose()
    assert (presence.clients, presence.away(0)) == (2, [])
    await second.aclose()
    await eve.aclose()
    assert presence.away(3600) == []
    back = await come("eve")
    assert presence.away(0) == ["ada"]
    assert presence.away(0) == []
    await back.aclose()
