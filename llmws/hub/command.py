"""``llmws hub``: JupyterHub with all that belongs to it, in the foreground, on one page of rows.

The hub's own words go to its log. People's servers outlive it: the next start takes them over.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import psutil

from ..errors import PortBusy, ServiceError
from ..instance import reported
from ..locks import locked
from ..settings import Settings
from ..shipped import shipped
from ..terminal import end, polite_end, row
from . import first, proxy, readable
from .services import PASSED_ON
from .state import FIRST_PERSON, State, ended_with_parent, is_isolated

START_LIMIT_S = 120.0
_FAREWELL_S = 60.0
_POLL_S, _PATIENCE = 0.1, 2
_MACHINE = Path("/run/llmws-hub.lock")
_NOT_ISOLATED = "everything runs under this one account: nothing keeps people apart. For trying out only."


def run(settings: Settings, *, host: str = "127.0.0.1", port: int | None = None) -> int:
    """Be the hub until Ctrl-C or SIGTERM.

    Args:
        host: the address to listen on. Others than this machine's own reach it in the clear: put TLS in front.
        port: the port, where it is not the one of the settings.

    Raises:
        SettingsError: the state folder or the environment is not as a hub needs it.
        MissingTool: the proxy could not be installed.
        ServiceError: another hub runs from this folder, the port is taken, or JupyterHub did not start.
    """
    state, port = State(settings.hub_state.resolve()), settings.hub_port if port is None else port
    if is_isolated():
        readable.check(readable.shared())
    state.prepare()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of all that is started here: a core dump holds secrets
    with _alone(state), polite_end():
        proxy.command(state.folder)
        _check_free(host, port)
        with _compiling(), _hub(settings, state, host, port) as process:
            _wait_for(process, state, host, port)
            # Where a provider of identities lets people in, there is no page to be made an administrator on.
            offers = _status("127.0.0.1", state.ports().hub, "/hub/first") != HTTPStatus.NOT_FOUND
            _show(state, host, port, first.link(state.hub) if offers else None)
            code = process.wait()
        raise ServiceError(f"JupyterHub ended with exit code {code}.", remedy=f"Its log is {state.log}.")
    _show_farewell()
    return 0


def _show(state: State, host: str, port: int, link: str | None) -> None:
    address = f"http://{'127.0.0.1' if host in ('', '0.0.0.0', '::') else host}:{port}"
    row("hub", f"{address}/hub/")
    row("people", "each under an account of their own" if is_isolated() else _NOT_ISOLATED, _colour())
    row("state", f"{state.folder}, log in {state.log}")
    if link is not None:
        row("administrator", f"none yet. This link makes the first, once, within a day: {address}{link}")


def _colour() -> str | None:
    return None if is_isolated() else "bad"


def _show_farewell() -> None:
    left = sum(1 for process in psutil.process_iter() if _is_a_server(process))
    row("hub", f"stopped. {left} of people's servers keep running, for the next start." if left else "stopped")


def _is_a_server(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
        return process.uids().real >= FIRST_PERSON and bool({"llmws.hub.lab", "llmws.hub.locked"} & set(words))
    except psutil.Error:
        return False


@contextlib.contextmanager
def _alone(state: State) -> Iterator[None]:
    """The state folder, for as long as this process lives; and the accounts of this machine, where it gives them."""
    with contextlib.ExitStack() as locks:
        lock = locks.enter_context((state.hub / "lock").open("a"))
        if not locked(lock.fileno()):
            remedy = "End it, or choose another LLMWS_HUB_STATE."
            raise ServiceError(f"Another hub runs from {state.folder}.", remedy=remedy)
        if is_isolated() and not locked(locks.enter_context(_MACHINE.open("a")).fileno()):
            # Both would give the first of their people the same number, and with it each other's files and processes.
            remedy = "End it. Several hubs on one machine need containers."
            raise ServiceError("Another hub gives out accounts on this machine.", remedy=remedy)
        yield


def _check_free(host: str, port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as problem:
            raise PortBusy(
                f"Port {port} of {host} cannot be listened on ({problem.strerror}).",
                remedy="Choose another with LLMWS_HUB_PORT.",
            ) from None


@contextlib.contextmanager
def _hub(settings: Settings, state: State, host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """JupyterHub as a child, in a session of its own: our Ctrl-C is told it once and in order."""
    command = [sys.executable, "-P", "-m", "jupyterhub", "-f", str(shipped("hub_config") / "jupyterhub_config.py")]
    command += [f"--JupyterHub.bind_url=http://{host}:{port}"]
    passed_on = {name: value for name, value in {**os.environ}.items() if name in _KEPT or name.upper() in PASSED_ON}
    with os.fdopen(os.open(state.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        process = subprocess.Popen(
            ended_with_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=state.hub,
            env={**passed_on, **settings.to_environment(of_service=True), "LLMWS_HUB_STATE": str(state.folder)},
            start_new_session=True,
            umask=0o022,
        )
    try:
        yield process
    finally:
        end(process, _FAREWELL_S)


# All that JupyterHub and its proxy need of the environment; the rest may hold secrets of whoever runs this.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL")


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """Have Python keep what it compiles, meanwhile: see `compiling`."""
    if not is_isolated():
        yield
        return
    with subprocess.Popen(
        ["nice", "-n", "19", sys.executable, "-P", "-m", "llmws.hub.compiling"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[bytes], state: State, host: str, port: int) -> None:
    """Until people can sign in, and what they sign in for is there.

    Raises:
        ServiceError: as it was said by the part that did not start.
    """
    limit = time.monotonic() + START_LIMIT_S
    # The hub itself first: what the proxy is asked for before it knows the hub fills the log with errors.
    for at, listens, path in (
        ("127.0.0.1", state.ports().hub, "/hub/health"),
        (host, port, "/hub/health"),
        (host, port, "/services/llmws/healthz"),
    ):
        while _status(at, listens, path) != HTTPStatus.OK:
            log = state.log.read_text(encoding="utf-8", errors="replace")
            # Once is no reason: what ended with a hub that was killed may hold its folder for a moment yet.
            if log.count("\nllmws: ") > _PATIENCE and (told := reported(log)) is not None:
                raise told
            if process.poll() is not None:
                raise _failed(state.log, f"it ended with exit code {process.returncode}")
            if time.monotonic() > limit:
                raise _failed(state.log, f"{path} did not answer within {START_LIMIT_S:.0f} s")
            time.sleep(_POLL_S)


def _failed(log: Path, why: str) -> ServiceError:
    return ServiceError(f"JupyterHub could not be started: {why}.", remedy=f"Its log is {log}.")


def _status(host: str, port: int, path: str) -> int | None:
    """What a GET is answered with, None where nothing answers."""
    reached = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(reached, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
