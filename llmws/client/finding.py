"""Where the service is, and how one is started where there is none: what `connect` does before anything is asked.

An address is either given (the hub sets it) or found beside the lock of the data folder, and looked for there again
when the service stopped answering. Everything after this module is one path.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from .. import __version__, http
from ..errors import ServiceError, SettingsError, VersionMismatch
from ..instance import API_VERSION, Instance, is_held, prepare, reported, running
from ..locks import locked
from ..settings import Settings

START_LIMIT_S = 60.0
_POLL_S = 0.05
_LOG_LIMIT = 8 * 2**20
_PACKAGE = Path(__file__).resolve().parent.parent


class Address(NamedTuple):
    """Where to ask, and the token to ask with."""

    url: str
    token: str | None


Start = Literal["never", "crashed", "always"]


class Finder(Protocol):
    """Finds the service, and finds it again."""

    async def address(self, *, start: Start = "crashed") -> Address:
        """The service's present address, looked up anew.

        Args:
            start: where none runs, start one ``"always"`` (somebody asks for it), ``"never"``, or when the last one
                ``"crashed"``: a service that was ended on purpose then stays so.

        Raises:
            Stopped: there is none.
            ServiceError: it could not be started.
        """
        ...


class Stopped(ServiceError):
    """The service was ended on purpose; only who asks for it starts it again."""


class Given:
    """An address from outside: `connect(url)` or LLMWS_URL. There is nothing to look up or start."""

    def __init__(self, url: str, token: str | None) -> None:
        if not http.is_address(url):
            raise SettingsError(
                f"{url!r} is not the address of a service.", remedy="It looks like http://127.0.0.1:8765."
            )
        if token is not None and not (token.isascii() and token.isprintable()):
            raise SettingsError("The token holds what no token has.", remedy="Set LLMWS_TOKEN anew.")
        self._address = Address(url.rstrip("/"), token)

    async def address(self, *, start: Start = "crashed") -> Address:
        return self._address

    async def check(self) -> None:
        """Raise at once, and not with the first question, a `ServiceError` where there is no service of ours."""
        url = self._address.url
        try:
            async with http.new_client(proxies=False, idle_s=10.0) as client:
                told = (await client.get(f"{url}/healthz")).json()
                version, api_version = told["version"], int(told["api_version"])
        except http.HTTPError as problem:
            raise ServiceError(
                f"There is no service at {url} ({http.failure(problem)}).", remedy="Check the address and LLMWS_URL."
            ) from None
        except (ValueError, KeyError, TypeError):
            raise ServiceError(
                f"What answers at {url} is not an llmws service.", remedy="Check the address and LLMWS_URL."
            ) from None
        _understands(version, api_version)


class Local:
    """The service of this account's data folder, started where none runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def address(self, *, start: Start = "crashed") -> Address:
        data = self._settings.data
        found = running(data)
        if start == "always" or (start == "crashed" and found is None and (is_held(data) or crashed(data))):
            found = await ensure(self._settings)
        if found is None:
            raise Stopped("The service was stopped.", remedy="Start it again with llmws.connect().")
        _understands(found.version, found.api_version)
        return Address(found.url, found.token)


def finder_for(settings: Settings) -> Finder:
    """Finds the service that `settings` name, or else that of the data folder."""
    return Given(settings.url, settings.token) if settings.url else Local(settings)


def crashed(data: Path) -> bool:
    """Whether the last service ended without saying so: it takes its `service.json` away when it ends on purpose."""
    return (data / "service.json").exists() and not is_held(data)


async def ensure(settings: Settings) -> Instance:
    """The running service of the data folder; started if there is none, by one of all processes that ask at once.

    Raises:
        ServiceError: it did not start; the sentence is the service's own.
        VersionMismatch: this client is older than the running service.
    """
    prepare(settings.data)
    found = running(settings.data)
    if found is not None and not _newer(__version__, found.version):
        _understands(found.version, found.api_version)
        if await _answers(found):
            return found
    async with _starting(settings.data):
        found = running(settings.data)
        if found is not None and _newer(__version__, found.version):
            found = None if await _ended_because_idle(settings.data, found) else found
        if found is None:
            found = await _start(settings)
        elif not await _answers(found):
            raise ServiceError(
                f"The service (process {found.pid}) holds the data folder, but does not answer.",
                remedy="Run `llmws stop`, and try again.",
            )
    _understands(found.version, found.api_version)
    return found


@contextlib.asynccontextmanager
async def _starting(data: Path) -> AsyncIterator[None]:
    """The right to start a service. Who waits here finds one running afterwards."""
    with (data / "start.lock").open("w") as lock:
        limit = time.monotonic() + START_LIMIT_S
        while not locked(lock.fileno()):
            if time.monotonic() > limit:
                raise ServiceError(
                    "Another process has been starting the service for a minute.",
                    remedy=f"Look into {data / 'service.log'}, or run `llmws doctor`.",
                )
            await asyncio.sleep(_POLL_S)
        yield


async def _start(settings: Settings) -> Instance:
    log = settings.data / "service.log"
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    offset = log.stat().st_size if log.exists() else 0
    process = _spawn(settings, log)
    try:
        return await _ready(settings.data, process, log, offset)
    except BaseException:
        process.kill()
        raise


def _spawn(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """Start the service in a session of its own: neither Ctrl-C nor the end of a kernel is meant for it."""
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
        # -P: what lies in the working folder must not pass for a module of ours.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "llmws.service"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=settings.data,
            env=_environment(settings),
            start_new_session=True,
        )
    # Reaped whenever it ends, as long as we live: a zombie would look like a running service.
    threading.Thread(target=process.wait, name="llmws-reaper", daemon=True).start()
    return process


async def _ready(data: Path, process: subprocess.Popen[bytes], log: Path, offset: int) -> Instance:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        found = running(data)
        if found is not None and await _answers(found):
            return found
        # One that was started by hand in the meantime holds the folder, and ours has left: wait for that one.
        if process.poll() is not None and not is_held(data):
            raise _why(log, offset, f"it ended with exit code {process.returncode}")
        await asyncio.sleep(_POLL_S)
    raise _why(log, offset, f"it did not answer within {START_LIMIT_S:.0f} s")


def _why(log: Path, offset: int, otherwise: str) -> ServiceError:
    with log.open("rb") as file:
        file.seek(offset)
        told = file.read().decode(errors="replace")
    return reported(told) or ServiceError(f"The service could not be started: {otherwise}.", remedy=f"See {log}.")


async def _answers(found: Instance) -> bool:
    try:
        async with http.new_client(proxies=False, idle_s=5.0) as client:
            health = (await client.get(f"{found.url}/healthz")).json()
    except (http.HTTPError, ValueError):
        return False
    return isinstance(health, dict) and health.get("boot_id") == found.boot_id


async def _ended_because_idle(data: Path, found: Instance) -> bool:
    """End an older service that nobody uses; False where it is in use, or will not go."""
    headers = {"Authorization": f"Bearer {found.token}"}
    try:
        async with http.new_client(found.url, proxies=False, idle_s=10.0, headers=headers) as client:
            status = (await client.get("/api/status")).json()
            if status["clients"] or any(status["running"].values()):
                return False
            await client.post("/api/shutdown")
    except (http.HTTPError, ValueError, KeyError):
        return False
    return await gone(data)


async def gone(data: Path, limit_s: float = 20.0) -> bool:
    """Wait until nobody holds the data folder; False when somebody still does after `limit_s`."""
    limit = time.monotonic() + limit_s
    while is_held(data):
        if time.monotonic() > limit:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _understands(version: str, api_version: int) -> None:
    if api_version > API_VERSION:
        raise VersionMismatch(
            f"The running service is llmws {version}, this client is the older {__version__}.",
            remedy="Upgrade llmws in this environment and restart the kernel.",
        )
    if api_version < API_VERSION:
        raise VersionMismatch(
            f"The running service is the older llmws {version} and still in use, this client is {__version__}.",
            remedy="Run `llmws stop` when its work is done, and connect again.",
        )


def _newer(one: str, other: str) -> bool:
    return _numbers(one) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _environment(settings: Settings) -> dict[str, str]:
    """The service's environment: ours, these settings, and nothing of another service's address and token."""
    told = {**os.environ, **settings.to_environment(of_service=True), "LLMWS_URL": "", "LLMWS_TOKEN": ""}
    told["PYTHONUNBUFFERED"] = "1"
    if not _installed():
        # A checkout on the caller's path only: the service must be the same llmws.
        told["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE.parent), told.get("PYTHONPATH")]))
    return told


def _installed() -> bool:
    try:
        return bool(importlib.metadata.distribution("llmws"))
    except importlib.metadata.PackageNotFoundError:
        return False
