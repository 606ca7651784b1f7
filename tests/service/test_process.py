"""The service as a process: what it refuses to start on, how it ends, and that SIGKILL loses nothing acknowledged."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from llmws import instance as instances
from llmws.messages import Message, StreamEvent, assemble
from llmws.settings import DEFAULT_PORT

from .harness import LIMIT_S, Api, Process, wait_for


@contextlib.contextmanager
def taken(port: int = 0) -> Iterator[int]:
    """A port on which something else listens."""
    with socket.socket() as other:
        # As servers do: connections of an earlier one that are not quite over must not keep us from listening.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Somebody else may have it already, which is as good.
        with contextlib.suppress(OSError):
            other.bind(("127.0.0.1", port))
            other.listen()
        yield port or other.getsockname()[1]


def refusal(process: Process, status: int = 1) -> str:
    """What a service says that does not start: one sentence and a remedy, no traceback."""
    assert process.spawn().wait(LIMIT_S) == status
    said = process.log.read_text()
    assert "Traceback" not in said
    lines = said.splitlines()
    assert lines[-2].startswith("llmws: ")
    assert lines[-1].startswith("       ")
    assert instances.reported(said) is not None
    return "\n".join(lines[-2:])


def test_a_second_service_on_one_data_folder_is_refused(process: Process) -> None:
    service = process.start()
    second = Process(process.data)
    second.log = process.data.parent / "second.log"
    assert "held by a service on host" in refusal(second)
    assert service.get("/healthz")["status"] == "ok"


def test_a_chosen_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with taken() as port:
        said = refusal(Process(tmp_path / "data", LLMWS_PORT=str(port)))
    assert str(port) in said
    assert "LLMWS_PORT" in said
    assert not instances.is_held(tmp_path / "data")


def test_it_may_open_as_many_files_as_the_system_lets_it(process: Process) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        service = process.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed, _ = psutil.Process(service.instance.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert allowed == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))


def test_the_usual_port_gives_way_when_it_is_taken(process: Process) -> None:
    with taken(DEFAULT_PORT):
        service = process.start()
        assert not service.instance.url.endswith(f":{DEFAULT_PORT}")
        assert service.get("/healthz")["status"] == "ok"


def test_a_damaged_database_is_named(process: Process) -> None:
    process.data.mkdir()
    (process.data / "llmws.db").write_bytes(b"this is no database" * 100)
    assert "llmws.db" in refusal(process)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LLMWS_PORT", "many"),
        ("LLMWS_LOG_LEVEL", "loud"),
        ("LLMWS_PORT", "99999"),
        ("LLMWS_PROVIDER_HOSTS", "http://gpu7"),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, name: str, value: str) -> None:
    assert name in refusal(Process(tmp_path / "data", **{name: value}))


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully(process: Process, by: int) -> None:
    service = process.start()
    generation = service.ask("", tokens=["on "], count=100_000, delay_s=0.01)["id"]
    events = service.events(generation)
    seen = [next(events).event for _ in range(3)]
    with service.http.stream("GET", "/api/presence") as presence:
        lines = presence.iter_lines()
        assert next(lines)
        code = threading.Thread(target=lambda: codes.append(process.end(by)))
        codes: list[int] = []
        code.start()
        seen += [event for _, event in events]
        assert not [line for line in lines if line]
        code.join(LIMIT_S)
    assert codes == [0]
    assert seen[-1].finish_reason == "interrupted"
    assert instances.running(process.data) is None
    assert not (process.data / "service.json").exists()
    assert "Traceback" not in process.log.read_text()
    assert process.start().kept(generation) == assemble(seen)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_it_starts(process: Process, by: int) -> None:
    process.spawn()
    wait_for(lambda: instances.is_held(process.data), "the service to take its folder")
    assert process.end(by) in (0, 128 + by)
    assert not instances.is_held(process.data)
    assert "Traceback" not in process.log.read_text()
    assert process.start().get("/healthz")["status"] == "ok"


def test_the_token_is_told_to_nobody_else(process: Process) -> None:
    service = process.start()
    assert (process.data / "service.json").stat().st_mode & 0o777 == 0o600
    service.http.get("/api/chats")
    httpx.get(f"{service.instance.url}/api/chats?token={service.instance.token}", trust_env=False)
    assert service.instance.token not in process.log.read_text()
    command_line = Path(f"/proc/{service.instance.pid}/cmdline")
    if command_line.exists():
        assert service.instance.token not in command_line.read_text()


class Talker(threading.Thread):
    """Somebody who talks in one chat until the service dies, and remembers what it acknowledged."""

    def __init__(self, service: Api, chat_id: str, name: str) -> None:
        super().__init__(name=name)
        self.chat_id = chat_id
        self.acknowledged: list[tuple[str, str]] = []
        self.answers: dict[str, Message] = {}
        self.unanswered: tuple[str, str] | None = None
        self.talking = threading.Event()
        self._service = service
        self._number = 0

    def meet(self, service: Api) -> Talker:
        """The same person, before another service."""
        again = Talker(service, self.chat_id, self.name)
        again.acknowledged, again.answers = self.acknowledged, self.answers
        again._number = self._number
        return again

    def run(self) -> None:
        with contextlib.suppress(httpx.TransportError):
            while True:
                self._talk()

    def _talk(self) -> None:
        self._number += 1
        text, key = f"{self.name} says {self._number} things", f"{self.name}-{self._number}"
        self.unanswered = (text, key)
        sent = self._service.send(self.chat_id, text, key, delay_s=random.choice([0.0, 0.01, 0.05]))
        self.unanswered = None
        generation = sent["generation"]["id"]
        self.acknowledged.append((text, generation))
        self.talking.set()
        events: list[StreamEvent] = []
        for _, event in self._service.events(generation):
            events.append(event)
            if event.type == "end":
                self.answers[generation] = assemble(events)

    def check(self, service: Api) -> None:
        """All that was acknowledged is there, once and in order; what ended is as it was seen, the rest is cut off."""
        if self.unanswered is not None:
            # Nobody knows whether it arrived; asking again with its key makes it so, once.
            text, key = self.unanswered
            sent = service.send(self.chat_id, text, key)
            service.message(sent["generation"]["id"])
            self.acknowledged.append((text, sent["generation"]["id"]))
        items = service.get(f"/api/chats/{self.chat_id}/messages", limit=1000)["items"]
        said = [Message.from_dict(item["message"]).text for item in items if item["message"]["role"] == "user"]
        assert said == [text for text, _ in self.acknowledged]
        answers = {item["generation_id"]: Message.from_dict(item["message"]) for item in items if item["generation_id"]}
        for text, generation in self.acknowledged:
            answer = answers[generation]
            if generation in self.answers:
                assert answer == self.answers[generation]
            assert answer.finish_reason in ("stop", "interrupted")
            assert text.startswith(answer.text)
            assert answer == service.message(generation)
            self.answers[generation] = answer


def kill_and_check(process: Process, kills: int) -> None:
    service = process.start()
    talkers = [Talker(service, service.new_chat()["id"], name) for name in ("Ada", "Eve")]
    for _ in range(kills):
        talkers = [talker.meet(service) for talker in talkers]
        for talker in talkers:
            talker.start()
        # At a random moment, which is another of what a message goes through each time.
        for talker in talkers:
            assert talker.talking.wait(LIMIT_S)
        threading.Event().wait(random.uniform(0.0, 0.4))
        process.end(signal.SIGKILL)
        for talker in talkers:
            talker.join(LIMIT_S)
        service.close()
        service = process.start()
        for talker in talkers:
            talker.check(service)
    service.close()


@pytest.mark.long
def test_five_kills_lose_nothing_that_was_acknowledged(process: Process) -> None:
    kill_and_check(process, 5)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_fifty_kills_lose_nothing_that_was_acknowledged(process: Process) -> None:
    kill_and_check(process, 50)
