"""The service's most telling tests once more, with its database on a server instead of in its folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmws.messages import assemble
from llmws.settings import Settings

from ..service.harness import Process, Running
from ..service.test_chats import (  # noqa: F401 - collected here
    test_a_chat_that_answers_says_so_and_takes_no_second_message,
    test_a_conversation_is_kept_in_order,
    test_a_deleted_chat_comes_back,
    test_a_repeated_message_is_said_once,
    test_chats_are_listed_by_page_and_by_title,
    test_messages_are_paged_from_the_latest_back,
)
from ..service.test_comparisons import test_what_was_asked_comes_back  # noqa: F401 - collected here
from ..service.test_generations import (  # noqa: F401 - collected here
    test_a_repeated_request_begins_one_generation,
    test_a_shutdown_interrupts_and_keeps,
    test_of_many_messages_at_once_one_is_answered,
)
from ..service.test_jobs import (  # noqa: F401 - collected here, with their fixtures
    script,
    service,
    test_a_deleted_job_can_be_restored_and_is_then_removed,
    test_a_job_runs_to_its_end_and_tells_everything_once,
    test_a_killed_service_finds_its_job_again,
    test_a_stopped_job_is_resumed_from_its_checkpoint,
    workshop,
)
from ..service.test_process import test_five_kills_lose_nothing_that_was_acknowledged  # noqa: F401 - collected here
from .postgresql_server import Server

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("patient")]


@pytest.fixture
def settings(settings: Settings, server: Server, database: str) -> Settings:
    return replace(settings, database=server.address(database))


@pytest.fixture
def process(tmp_path: Path, server: Server, database: str) -> Iterator[Process]:
    process = Process(tmp_path / "data", LLMWS_DATABASE=server.address(database))
    yield process
    process.kill()


@pytest.fixture(autouse=True)
def nothing_in_the_folder(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.rglob("llmws.db"))


def test_a_second_service_with_a_folder_of_its_own_is_refused(
    process: Process, tmp_path: Path, server: Server, database: str
) -> None:
    process.start()
    second = Process(tmp_path / "second", LLMWS_DATABASE=server.address(database))
    assert second.spawn().wait(60) == 1
    log = second.log.read_text()
    assert "is held by another program (llmws service on" in log
    assert "Traceback" not in log
    process.end()
    second.start()
    second.kill()


def test_a_service_that_lost_the_lead_ends_and_the_next_one_goes_on(
    process: Process, tmp_path: Path, server: Server, database: str
) -> None:
    first = process.start()
    first.get("/api/status")
    # A host that stands still, until the server has given up on it and another one leads.
    os.kill(first.instance.pid, signal.SIGSTOP)
    ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
    server.ask("postgres", ended, database)
    second = Process(tmp_path / "second", LLMWS_DATABASE=server.address(database))
    next_one = second.start()
    os.kill(first.instance.pid, signal.SIGCONT)
    refused = first.http.post("/api/chats", json={"model": "echo"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store")
    assert process.wait() == 1
    log = process.log.read_text()
    assert log.count("the lead is lost, and this service ends") == 1
    assert "is held by another program (llmws service on" in log
    assert "Traceback" not in log
    next_one.new_chat()
    assert second.end() == 0
    first.close()
    next_one.close()


def test_a_restarted_server_costs_a_service_nothing(service: Running, server: Server) -> None:  # noqa: F811
    chat = service.new_chat()
    service.message(service.send(chat["id"], "Before")["generation"]["id"])
    server.stop()
    server.start()
    answer = service.message(service.send(chat["id"], "After")["generation"]["id"])
    assert (answer.text, answer.finish_reason) == ("After", "stop")
    assert len(service.get(f"/api/chats/{chat['id']}/messages")["items"]) == 4


def test_an_answer_goes_on_while_the_server_restarts(service: Running, server: Server) -> None:  # noqa: F811
    chat = service.new_chat()
    sent = service.send(chat["id"], "Go on", tokens=["on "], count=300, delay_s=0.01)
    events = service.events(sent["generation"]["id"])
    seen = [next(events) for _ in range(30)]
    server.stop()
    server.start()
    seen += events
    answer = assemble(event for _, event in seen)
    assert (answer.text, answer.finish_reason) == ("on " * 300, "stop")
    assert service.kept(sent["generation"]["id"]) == answer


def test_a_server_that_is_not_upgraded_is_refused_with_the_way_to_do_it(tmp_path: Path, server: Server) -> None:
    with server.database(upgraded=False) as empty:
        process = Process(tmp_path / "data", LLMWS_DATABASE=server.address(empty))
        assert process.spawn().wait(60) == 1
        assert "llmws db upgrade" in (log := process.log.read_text())
        assert server.password not in log


def test_the_password_is_in_no_log(process: Process, server: Server) -> None:
    talking = process.start()
    talking.message(talking.send(talking.new_chat()["id"], "Hello")["generation"]["id"])
    process.end()
    assert server.password not in process.log.read_text()
