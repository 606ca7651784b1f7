"""``python -m llmws.service``: the process that is the service of a data folder, from its lock to its release.

It runs in the foreground and says what it does on stderr; `client.connect` and `llmws up` start it detached.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import resource
import secrets
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType

import uvicorn

from .. import __version__
from .. import instance as instances
from ..errors import Error, PortBusy, SettingsError
from ..instance import API_VERSION, Instance
from ..settings import DEFAULT_PORT, HubService, Settings, forget_master_key, hub_service
from ..store import Store
from .app import create_app, drain
from .hub_identity import HubIdentity
from .redaction import LogFormatter

LOG = logging.getLogger("llmws.service")
_LOOPBACK = "127.0.0.1"
# A stream is two connections, its reader's and its model server's; a shell gives 1,024 files, a Mac's 256.
_OPEN_FILES = 65_536
_LEVELS = ("debug", "info", "warning", "error")


class Server(uvicorn.Server):
    """uvicorn, which would wait for open streams for ever: it ends them first."""

    # Whether signals reach it.
    listens = False
    # Why it ends by itself, where that is a fault.
    fault: Error | None = None

    def __init__(self, settings: Settings, store: Store, instance: Instance, hub: HubService | None) -> None:
        identity = HubIdentity(hub, settings.runner_token) if hub is not None else None
        prefix = hub.prefix if hub is not None else ""
        self.app = create_app(settings, store, instance, self.leave, identity, prefix)
        super().__init__(
            uvicorn.Config(
                self.app,
                loop="uvloop",
                lifespan="on",
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nobody asks whence a request came
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        self.listens = True
        with super().capture_signals():
            yield

    def leave(self) -> None:
        """Begin to shut down; may be called from any thread."""
        self.should_exit = True

    def lose(self, problem: Error) -> None:
        """Begin to shut down as one that another service has taken the place of; may be called from any thread."""
        if self.fault is None:
            LOG.error("the lead is lost, and this service ends: %s", problem)
        self.fault = problem
        self.leave()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await drain(self.app)
        await super().shutdown(sockets)


def serve(
    settings: Settings,
    ready: Callable[[Server, Instance], None] = lambda server, instance: None,
    hub: HubService | None = None,
) -> None:
    """Be the service of `settings.data` until told to stop; `ready` is called once it can be found.

    Args:
        hub: as whose service, where it is a hub's: people are those of the hub, and being idle is no reason to end.

    Raises:
        DataFolderHeld, PortBusy, StoreError, SettingsError: it cannot be; nothing is left behind.
        StoreError: also where another service took the lead of the database meanwhile.
    """
    with instances.hold(settings.data, sqlite=settings.database_url.startswith("sqlite")) as hold:
        store = Store.open(settings.database_url)
        listener = None
        try:
            listener = _listen(hub.port if hub is not None else settings.port)
            instance = _instance(listener.getsockname()[1], hub.prefix if hub is not None else "")
            server = Server(settings, store, instance, hub)
            hold.publish(instance)
            LOG.info("listening on %s, data in %s", instance.url, settings.data)
            store.when_lead_is_lost(server.lose)
            ready(server, instance)
            server.run(sockets=[listener])
            if server.fault is not None:
                raise server.fault
        finally:
            if listener is not None:
                listener.close()
            store.close()


def _instance(port: int, prefix: str) -> Instance:
    return Instance(
        url=f"http://{_LOOPBACK}:{port}{prefix}",
        token=secrets.token_urlsafe(32),
        host=socket.gethostname(),
        pid=os.getpid(),
        boot_id=uuid.uuid4().hex,
        version=__version__,
        api_version=API_VERSION,
        started_at=time.time(),
    )


def _listen(port: int | None) -> socket.socket:
    """A listening socket: on `port` if it was chosen, else on the usual one or any that is free."""
    if port is not None and not 0 <= port <= 65535:
        raise SettingsError(f"LLMWS_PORT is {port}.", remedy="Set it to a number from 0 to 65535, or unset it.")
    for attempt in (DEFAULT_PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # A port that the last service has just left is free; one that another program listens on is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOOPBACK, attempt))
            listener.listen(2048)
            return listener
        except OSError as problem:
            listener.close()
            if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise PortBusy(
        f"Port {port} is taken, or not for this account.", remedy="Choose another with LLMWS_PORT, or unset it."
    )


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS refuses what is more than its kernel allows, whatever the limit says.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _log(level: str) -> None:
    """Log to stderr: of ourselves what was asked for, of libraries what is wrong, and everything when debugging."""
    if level not in _LEVELS:
        raise SettingsError(f"LLMWS_LOG_LEVEL is {level!r}.", remedy=f"Set it to one of: {', '.join(_LEVELS)}.")
    others = level if level == "debug" else "warning"
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logging.basicConfig(level=others.upper(), handlers=[handler])
    logging.getLogger("llmws").setLevel(level.upper())


def _settle_garbage() -> None:
    """Have the collector pass over what stays for good, and look less often at what comes and goes.

    Left alone it takes a third of the time of a call through the gateway, to find next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def main() -> int:
    serving: list[Server] = []

    def leave(number: int, _frame: FrameType | None) -> None:
        # uvicorn has handlers of its own while it runs, and passes a signal on once it has shut down: by then the end
        # is under way. Before that there is nobody else to heed one.
        if not any(server.listens for server in serving):
            raise SystemExit(128 + number)

    def ready(server: Server, _: Instance) -> None:
        serving.append(server)
        _settle_garbage()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        settings = Settings.from_environment()
        forget_master_key()
        _log(settings.log_level)
        _allow_open_files()
        hub = hub_service()
        settings = replace(settings, idle_exit_s=0.0) if hub is not None else settings
        serve(settings, ready, hub)
    except Error as problem:
        print(instances.report(problem), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
