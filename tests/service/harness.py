"""A real service for tests: in a thread (`running_service`) or, where it is to be killed, as a process (`Process`)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from httpx_sse import EventSource

from llmws import instance as instances
from llmws.instance import API_VERSION, Instance
from llmws.messages import Message, StreamEvent, assemble
from llmws.service.__main__ import Server, serve
from llmws.service.app import create_app
from llmws.service.identity import Identity
from llmws.settings import HubService, Settings
from llmws.store import Store

LIMIT_S = 30.0


def wait_for(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """The first true value of `condition`; fails after `limit_s`."""
    limit = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.01)
    return value


class Event(NamedTuple):
    position: int
    event: StreamEvent


class Api:
    """The service as a test calls it: every method is a plain HTTP request.

    `http` is a bare client with the token; what is not a 2xx raises unless the request is made through it.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.http = httpx.Client(
            base_url=instance.url,
            headers={"Authorization": f"Bearer {instance.token}"},
            timeout=LIMIT_S,
            trust_env=False,
        )

    def close(self) -> None:
        self.http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._json(self.http.get(path, params=query))

    def post(self, path: str, body: Any = None, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self._json(self.http.post(path, json=body, headers=headers))

    def call(self, path: str, body: Any) -> socket.socket:
        """A bare connection on which `body` was posted, for a caller who hangs up before all of the answer has come."""
        url, content = httpx.URL(self.instance.url), json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nAuthorization: Bearer {self.instance.token}\r\n"
        connection = socket.create_connection((url.host, url.port), LIMIT_S)
        connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        return connection

    def new_chat(self, **more: Any) -> dict[str, Any]:
        chat: dict[str, Any] = self.post("/api/chats", {"model": "echo", **more})
        return chat

    def send(self, chat_id: str, text: str, key: str | None = None, **extra: Any) -> dict[str, Any]:
        """Say `text`; `extra` is Echo's script."""
        body = {"text": text, "parameters": {"extra": extra}}
        sent: dict[str, Any] = self.post(f"/api/chats/{chat_id}/messages", body, key)
        return sent

    def ask(self, text: str, **extra: Any) -> dict[str, Any]:
        """A one-off generation."""
        message = Message.user(text).to_dict()
        generation: dict[str, Any] = self.post(
            "/api/generations", {"messages": [message], "model": "echo", "parameters": {"extra": extra}}
        )
        return generation

    def events(self, generation_id: str, after: int | None = None) -> Iterator[Event]:
        """The events of a generation as they arrive."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with self.http.stream("GET", f"/api/generations/{generation_id}/events", headers=headers) as response:
            response.raise_for_status()
            for event in EventSource(response).iter_sse():
                yield Event(int(event.id), StreamEvent.from_dict(event.json()))

    def message(self, generation_id: str) -> Message:
        """Follow a generation to its end."""
        return assemble(event for _, event in self.events(generation_id))

    def kept(self, generation_id: str) -> Message:
        """What the store says that an ended generation said."""
        return Message.from_dict(self.get(f"/api/generations/{generation_id}")["message"])

    def _json(self, response: httpx.Response) -> Any:
        assert response.is_success, f"{response.status_code}: {response.text}"
        return response.json() if response.content else None


class Running(Api):
    """A service in a thread of the test's process."""

    def __init__(self, instance: Instance, server: Server) -> None:
        super().__init__(instance)
        self.server = server


@contextmanager
def running_service(settings: Settings, hub: HubService | None = None) -> Iterator[Running]:
    """Run the service of `settings` until the block is left; what it raises is raised here."""
    told: list[tuple[Server, Instance]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="service") as thread:
        service = thread.submit(serve, settings, lambda server, instance: told.append((server, instance)), hub)
        wait_for(lambda: service.done() or (told and told[0][0].started), "the service to start")
        if service.done():
            service.result()
        server, instance = told[0]
        running = Running(instance, server)
        try:
            yield running
        finally:
            running.close()
            server.leave()
            service.result(LIMIT_S)


@contextmanager
def app_for(settings: Settings, identity: Identity) -> Iterator[FastAPI]:
    """The application by itself, in this process; whose a token is, `identity` says."""
    settings.data.mkdir(exist_ok=True)
    store = Store.open(settings.database_url)
    instance = Instance("http://127.0.0.1:1", "t", "h", 1, "b", "0", API_VERSION, 0.0)
    try:
        yield create_app(settings, store, instance, lambda: None, identity)
    finally:
        store.close()


@asynccontextmanager
async def asked(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which runs meanwhile."""
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        yield http


class Process:
    """``python -m llmws.service`` on a data folder, started and ended as often as a test likes."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self._environment = {"LLMWS_EMBEDDED": "0", "LLMWS_DATA": str(data), **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self.log = data.parent / f"{data.name}.log"

    def start(self) -> Api:
        self.spawn()
        instance = wait_for(self._published, "the service to be found")
        return Api(instance)

    def spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "llmws.service"],
                env={**os.environ, **self._environment},
                stdout=log,
                stderr=log,
            )
        return self._process

    def end(self, with_signal: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        assert self._process is not None
        self._process.send_signal(with_signal)
        return self.wait()

    def wait(self) -> int:
        """Wait until it ends by itself; the exit code."""
        assert self._process is not None
        return self._process.wait(LIMIT_S)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)

    def _published(self) -> Instance | None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the service ended: {self.log.read_text()}")
        found = instances.running(self.data)
        return found if found is not None and found.pid == self._process.pid else None
