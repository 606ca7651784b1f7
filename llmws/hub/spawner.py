"""How people's servers are started: what each group gets, and under which account.

Researchers and administrators get JupyterLab in their home, business users the dashboards, and who is in no group a
page that says whom to ask. Administration is a named server of its own, in a home and under an account of its own.

As root, each person has a numeric account that owns nothing but its home. Elsewhere all share the hub's account, which
isolates nothing, and the hub's pages say so.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
from jupyterhub import orm
from jupyterhub.spawner import LocalProcessSpawner, SpawnException
from traitlets import Unicode, default

from ..settings import jupyter_search_paths
from .accounts import Accounts
from .roles import ADMINISTRATION, ADMINS, BUSINESS, RESEARCHERS, server_token_scopes
from .services import service_url
from .state import ADMINISTRATOR, State, confined, own

_PATH = "/usr/local/bin:/usr/bin:/bin"
_LISTEN_POLL_S, _END_LIMIT_S = 0.05, 10.0
# The kernel's tables of sockets: local address in the second field, state in the fourth, account in the eighth.
_TABLES, _LISTENING = (Path("/proc/net/tcp"), Path("/proc/net/tcp6")), "0A"


class PersonSpawner(LocalProcessSpawner):
    """A server for a person, as their groups want it; `OneAccount` and `OwnAccount` say under which account."""

    pid: int
    state_folder = Unicode(help="The hub's state folder.").tag(config=True)

    @property
    def hub_state(self) -> State:
        return State(Path(self.state_folder))

    @property
    def home(self) -> Path:
        return self.hub_state.home(self.user.name, self.administrating)

    @property
    def administrating(self) -> bool:
        return bool(self.name == ADMINISTRATION)

    @default("server_token_scopes")
    def _server_token_scopes(self) -> list[str]:
        return server_token_scopes(self.user.name, self.name, self._groups())

    @default("env_keep")
    def _env_keep_default(self) -> list[str]:
        return ["LANG", "LC_ALL", "TZ"]

    async def run_pre_spawn_hook(self) -> None:
        """Choose what the person gets.

        Raises:
            SpawnException: nothing, with whom to ask.
        """
        groups = self._groups()
        if self.name and (not self.administrating or ADMINS not in groups):
            raise _refused("There is one named server, `admin`, and it is for administrators.", "named server")
        if groups & {RESEARCHERS, ADMINS}:
            self.cmd = self._command("llmws.hub.lab")
            self.notebook_dir = str(self.home / "notebooks")
            self.default_url = "/lab/tree/welcome.ipynb"
            self.disable_user_config = self.administrating
        elif BUSINESS in groups:
            self.cmd = self._command("llmws.hub.locked")
            self.notebook_dir, self.default_url = "", ""
            self.disable_user_config = True
        else:
            names = ", ".join(self._administrators()) or "the one who runs this hub"
            raise _refused(f"Your account is in no group yet. Ask an administrator: {names}.", "no group")

    def get_args(self) -> list[str]:
        if "llmws.hub.locked" not in self.cmd:
            return list(super().get_args())
        return [*super().get_args(), f"--port={self.port}", f"--LockedDashboards.first={self._first_dashboard()}"]

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        env |= {"USER": self.user.name, "LOGNAME": self.user.name, "HOME": str(self.home), "SHELL": "/bin/bash"}
        env |= {"PATH": f"{Path(sys.executable).parent}:{_PATH}", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= {**jupyter_search_paths({}), "LLMWS_URL": service_url(self.hub_state), "LLMWS_TOKEN": self.api_token}
        return env

    async def start(self) -> tuple[str, int]:
        log = self.hub_state.server_log(self.user.name, self.name)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            self.popen_kwargs = {
                "cwd": str(self.home),
                "stdin": asyncio.subprocess.DEVNULL,
                "stdout": output,
                "stderr": output,
                "umask": 0o077,
                **self._account(),
            }
            return await super().start()

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        if self.pid and (born := _born(self.pid)) is not None:
            state["born"] = born
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a server that outlived the hub, unless another process has its number by now."""
        super().load_state(state)
        if self.pid and _born(self.pid) != state.get("born"):
            self.pid = 0

    def make_preexec_fn(self, name: str) -> None:
        """None: Python between fork and exec can wait for ever for a lock that another thread of the hub held."""

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        return paths

    def _command(self, module: str) -> list[str]:
        # -s: what lies in the home is for the kernels, not for the server that guards them. -P: neither is the folder
        # that it happens to start in.
        return [sys.executable, "-s", "-P", "-m", module]

    def _account(self) -> dict[str, Any]:
        """How `subprocess.Popen` starts the server under its account, whose home is there."""
        raise NotImplementedError

    def _first_dashboard(self) -> str:
        """The dashboard that whoever starts the server asked for, or nothing."""
        asked = self.handler.get_argument("next", "") if self.handler is not None else ""
        found = re.search(r"/voila/render/([\w./-]+\.ipynb)$", urlsplit(unquote(asked)).path)
        return found[1] if found else ""

    def _groups(self) -> set[str]:
        return {group.name for group in self.user.groups}

    def _administrators(self) -> list[str]:
        group = orm.Group.find(self.db, ADMINS)
        return sorted(user.name for user in group.users) if group is not None else []


class OneAccount(PersonSpawner):
    """All servers under the account of the hub: nothing is isolated."""

    def _account(self) -> dict[str, Any]:
        own(self.home, 0o700, os.geteuid(), os.getegid())
        return {}


class OwnAccount(PersonSpawner):
    """Each server under the account of its person, in no other group, without a way to more rights."""

    @property
    def uid(self) -> int:
        uid = _accounts(self.hub_state.hub).uid(self.user.name)
        return uid + ADMINISTRATOR if self.administrating else uid

    def _command(self, module: str) -> list[str]:
        return confined(super()._command(module))

    def _account(self) -> dict[str, Any]:
        uid = self.uid
        own(self.home, 0o700, uid, uid)
        return {"user": uid, "group": uid, "extra_groups": []}

    async def start(self) -> tuple[str, int]:
        """Start the server, and wait until it listens: who got hold of its port before would be sent its cookies."""
        uid = self.uid
        await _end_all(uid)
        ip, port = await super().start()
        while (listening := _listening(port)) != uid:
            if listening is not None:
                raise RuntimeError(f"Port {port} of {self._log_name} was taken by account {listening}.")
            if self.proc.poll() is not None:
                raise RuntimeError(f"The server of {self._log_name} ended with exit code {self.proc.returncode}.")
            await asyncio.sleep(_LISTEN_POLL_S)
        return ip, port

    async def stop(self, now: bool = False) -> None:
        """Stop the server, and all else that runs under its account: nothing of a person outlives their sign-out."""
        await super().stop(now)
        await _end_all(self.uid)


@cache
def _accounts(folder: Path) -> Accounts:
    return Accounts.open(folder)


def _refused(message: str, reason: str) -> SpawnException:
    return SpawnException(message, reason=reason, status_code=403)


def _born(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _owner(process: psutil.Process) -> int | None:
    """Under whose account a process runs; None where it has ended and only waits to be asked for its exit code."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.uids().real)
    except psutil.Error:
        return None


async def _end_all(uid: int) -> None:
    limit = time.monotonic() + _END_LIMIT_S
    while left := [process for process in psutil.process_iter() if _owner(process) == uid]:
        for process in left:
            _kill(process)
        if time.monotonic() > limit:
            raise RuntimeError(f"{len(left)} processes of account {uid} cannot be ended.")
        await asyncio.sleep(_LISTEN_POLL_S)


def _kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.Error:
        pass  # it went by itself


def _listening(port: int) -> int | None:
    """The account that listens on a TCP port of this host, if any does."""
    for table in _TABLES:
        if not table.exists():  # without IPv6 there is none for it
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            entry = line.split()
            if entry[3] == _LISTENING and int(entry[1].rpartition(":")[2], 16) == port:
                return int(entry[7])
    return None
