"""A real hub with people on it, for tests: what its administrator types, what people's browsers do."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import websocket

from llmws.errors import SettingsError
from llmws.hub import readable
from llmws.hub.accounts import Accounts
from llmws.hub.roles import GROUPS
from llmws.hub.state import State
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PASSWORD = "tide-lantern-harbour"
# Who is in which group; one is in none.
PEOPLE = {
    "ann": "admins",
    "rita": "researchers",
    "rolf": "researchers",
    "bob": "business",
    "bea": "business",
    "nils": "",
}
# In the environment of whoever starts the hub, where no part of it may hand it on.
PLANTED = {"PLANTED_SECRET": "sk-of-the-administrator"}
START_LIMIT_S = 90.0
CULLER_TOKEN = uuid.uuid4().hex
_CONFIG = """
c = get_config()
c.JupyterHub.load_groups = {groups!r}
c.JupyterHub.services.append({{"name": "cull-on-demand", "api_token": {culler!r}}})
scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
c.JupyterHub.load_roles.append({{"name": "cull-on-demand", "scopes": scopes, "services": ["cull-on-demand"]}})
c.Spawner.environment = {{"JUPYTERHUB_ACTIVITY_INTERVAL": "1"}}
"""


class Person(httpx.Client):
    """A signed-in browser without a screen: its cookies, and what its pages would send along."""

    def __init__(self, hub: RunningHub, name: str) -> None:
        trusted = ssl.create_default_context(cafile=hub.certificate) if hub.certificate else True
        super().__init__(base_url=hub.url, verify=trusted, follow_redirects=True, timeout=60, trust_env=False)
        self.hub, self.name = hub, name
        self.get("/hub/login")
        form = {"username": self.name, "password": PASSWORD, "_xsrf": self.xsrf("/hub/")}
        answer = self.post("/hub/login", data=form, follow_redirects=False)
        assert answer.status_code == 302, answer.text

    @property
    def root(self) -> str:
        return f"/user/{self.name}/"

    def xsrf(self, path: str) -> str:
        of_path = (cookie for cookie in self.cookies.jar if cookie.name == "_xsrf" and cookie.path == path)
        return next((str(cookie.value) for cookie in of_path), "")

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request as a script of a page sends it."""
        of = "/hub/" if path.startswith("/hub/") else re.match(r"/user/[^/]+/(admin/)?|.*", path)[0]
        headers = {"X-XSRFToken": self.xsrf(of), "Referer": self.hub.url + of, "Origin": self.hub.url}
        return self.request(method, path, headers=headers, follow_redirects=False, **more)

    def open_server(self, server: str = "") -> httpx.Response:
        """Go to one's own server, and wait for it; the page that it shows."""
        path, address = f"/{self.name}{server and '/' + server}", f"{self.root}{server and server + '/'}"
        page = self.get(f"/hub/spawn{path}")
        limit = time.monotonic() + START_LIMIT_S
        while page.url.path.startswith("/hub/spawn-pending"):
            assert page.is_success, f"{page.text}\n{self.hub.told()}"
            assert time.monotonic() < limit, f"{page.text}\n{self.hub.told()}"
            time.sleep(0.2)
            page = self.get(f"/hub/spawn-pending{path}")
        return self.get(address) if page.is_success else page

    def stop_server(self) -> None:
        self.ask("DELETE", f"/hub/api/users/{self.name}/server")
        wait_for(lambda: not self.ask("GET", f"/hub/api/users/{self.name}").json()["servers"])

    def start_kernel(self, server: str = "") -> Kernel:
        """A kernel of one's own JupyterLab."""
        root = f"{self.root}{server and server + '/'}"
        started = self.ask("POST", f"{root}api/kernels", json={"name": "python3"})
        return Kernel(self, f"{root}api/kernels/{started.raise_for_status().json()['id']}")

    def open_dashboard(self, name: str = "chat") -> Kernel:
        """A dashboard's page: its kernel, and the websocket that a browser would hold."""
        page = self.get(f"{self.root}voila/render/{name}.ipynb").raise_for_status()
        found = re.search(r'"kernelId":\s*"([0-9a-f-]{36})"', page.text)
        assert found, page.text[:1000]
        return Kernel(self, f"{self.root}api/kernels/{found[1]}")

    def cookie_header(self, path: str) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies.jar if path.startswith(cookie.path))


class Kernel:
    """A kernel behind its websocket, spoken to as JupyterLab does."""

    def __init__(self, person: Person, path: str) -> None:
        self.path, self.id, self._person = path, path.rpartition("/")[2], person
        self.socket = self._connect()

    def _connect(self) -> websocket.WebSocket:
        hub = self._person.hub
        return websocket.create_connection(
            hub.url.replace("http", "ws") + f"{self.path}/channels",
            cookie=self._person.cookie_header(self.path),
            origin=hub.url,
            timeout=60,
            sslopt={"ca_certs": str(hub.certificate)} if hub.certificate else None,
        )

    def _is_connected(self) -> bool:
        """Whether the server is still there, which hangs up on who answers none of its pings for long enough."""
        try:
            while select.select([self.socket.sock], [], [], 0)[0]:
                if self.socket.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_CLOSE:
                    return False
        except (websocket.WebSocketException, OSError):
            return False
        return True

    def send(self, type: str, content: dict[str, Any], channel: str = "shell") -> str:
        header = header_of(type)
        message = {"channel": channel, "header": header, "parent_header": {}, "content": content, "metadata": {}}
        self.socket.send(json.dumps(message))
        return str(header["msg_id"])

    def run(self, code: str) -> str:
        """What a cell prints; its error, where it has one."""
        if not self._is_connected():
            self.socket = self._connect()
        sent, printed = self.send("execute_request", execute(code)), ""
        while True:
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") != sent:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed += content["text"]
            elif message["msg_type"] == "error":
                printed += "\n".join(content["traceback"])
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed


@dataclass
class RunningHub:
    """`llmws hub` as root, with its state in a folder that everybody may pass."""

    folder: Path
    python: Path
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    # Under whose account it runs, where that is not root's.
    account: int | None = None
    # What stands in front of it, and whose certificates to trust there.
    front: str | None = None
    certificate: Path | None = None

    def __post_init__(self) -> None:
        if self.account is not None:
            os.chown(self.folder, self.account, self.account)

    @property
    def url(self) -> str:
        return self.front or f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> State:
        return State(self.folder / "state")

    @property
    def dashboards(self) -> Path:
        """The notebooks that business users see: of the copy that this hub runs from, or of the program itself."""
        copy = self.folder / "checkout"
        return (copy if copy.exists() else ROOT) / "notebooks" / "dashboards"

    @property
    def output(self) -> Path:
        return self.folder / "terminal.txt"

    def start(self) -> None:
        """What `llmws hub` prints says when it is there."""
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [str(self.python), "-P", "-m", "llmws", "hub"],
                user=self.account,
                group=self.account,
                extra_groups=None if self.account is None else [],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                cwd="/",
                start_new_session=True,
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith(("LLMWS_", "JUPYTER"))},
                    "LANG": "C.UTF-8",
                    **({} if self.account is None else {"HOME": str(self.folder)}),
                    "LLMWS_HUB_STATE": str(self.state.folder),
                    "LLMWS_HUB_PORT": str(self.port),
                    **self.environment,
                    **PLANTED,
                },
            )
        wait_for(lambda: "state " in self.output.read_text(), self.process, self.told)

    def stop(self) -> None:
        """Ctrl-C."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(60) == 0, self.told()
            self.process = None

    def told(self) -> str:
        log = self.state.log.read_text()[-6000:] if self.state.log.exists() else ""
        return f"{self.output.read_text()}\n{log}"

    def settle(self) -> None:
        """Give the people accounts and groups, as an administrator would; effective with the next start."""
        accounts = Accounts.open(self.state.hub)
        for name in PEOPLE:
            accounts.sign_up(name, PASSWORD, "127.0.0.1")
            accounts.approve(name, "the tests")
        accounts.close()
        groups = {group: {"users": [name for name in PEOPLE if PEOPLE[name] == group]} for group in GROUPS}
        if self.account is not None:
            for path in self.state.hub.iterdir():
                os.chown(path, self.account, self.account)
        (self.state.hub / "config.py").write_text(_CONFIG.format(groups=groups, culler=CULLER_TOKEN))

    def uid(self, name: str) -> int:
        accounts = Accounts.open(self.state.hub)
        try:
            return accounts.uid(name)
        finally:
            accounts.close()

    def processes(self, *uids: int) -> list[psutil.Process]:
        """What runs under an account, or one of several."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.uids().real in uids and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def servers(self, name: str) -> list[psutil.Process]:
        """A person's servers. What one of them has just forked looks like it, until it is a kernel."""
        mine = self.processes(self.uid(name))
        return [one for one in mine if "-s" in command_of(one) and _parent_of(one) not in mine]

    def kill(self, *uids: int) -> None:
        """End all that runs under these accounts."""
        for process in self.processes(*uids):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def part(self, *words: str) -> psutil.Process | None:
        """The part of the hub whose command line has all `words`, where it runs."""
        assert self.process is not None
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # What the hub has just started is setpriv yet.
                words_of = process.cmdline()[:1] != ["setpriv"] and process.cmdline()
                if words_of and all(any(word in argument for argument in words_of) for word in words):
                    return process
        return None

    def remove(self) -> None:
        """End the hub, and all that was started under an account that it gave; remove what it left."""
        with contextlib.suppress(Exception):
            self.stop()
        if self.process is not None:
            self.process.kill()
        accounts = [self.account] if self.account is not None else []
        for homes in ("homes", "administrators") if self.account is None else ():
            with contextlib.suppress(OSError):
                accounts += [home.stat().st_uid for home in (self.state.folder / homes).iterdir()]
        self.kill(*accounts)
        # What is killed leaves its scratch folder.
        for scratch in Path(tempfile.gettempdir()).glob("llmws-*"):
            with contextlib.suppress(FileNotFoundError):  # other tests' go as well
                if scratch.stat().st_uid in accounts:
                    shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def command_of(process: psutil.Process) -> list[str]:
    """The words that a process was started with; none where it has ended meanwhile."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _parent_of(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def header_of(type: str, **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    header = {"msg_id": uuid.uuid4().hex, "username": "x", "session": "s", "date": now, "msg_type": type}
    return {**header, "version": "5.3", **more}


def execute(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }


def wait_for(
    condition: Callable[[], Any],
    process: subprocess.Popen[str] | None = None,
    told: Callable[[], str] = lambda: "",
    limit_s: float = START_LIMIT_S,
) -> None:
    """Wait until `condition` holds; fail where `process` ends before."""
    limit = time.monotonic() + limit_s
    while not condition():
        assert process is None or process.poll() is None, told()
        assert time.monotonic() < limit, f"not within {limit_s:.0f} s\n{told()}"
        time.sleep(0.1)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may pass, for a hub that gives people accounts.

    One hub at a time has it: two on one machine would give their people the same numbers, and refuse to.
    """
    with Path("/tmp/llmws-hub-tests.lock").open("a") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        with passable_folder() as folder:
            yield folder


@contextlib.contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that everybody may pass; those of pytest are for its own account."""
    folder = Path(tempfile.mkdtemp(prefix="llmws-hub-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def readable_python(folder: Path) -> Path:
    """A Python with this environment and this program that people's accounts can run: this one, or a copy in `folder`.

    A copy has the system's Python, links to the packages' files, and the program itself.
    """
    with contextlib.suppress(SettingsError):
        readable.check(readable.shared())
        return Path(sys.executable)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert Path("/usr/bin", version).exists(), (
        f"These tests need a Python that all accounts can run: make the environment of one, or install {version}."
    )
    made, here = folder / "environment", Path(sys.prefix)
    subprocess.run([here / "bin" / "uv", "venv", "--quiet", "--python", f"/usr/bin/{version}", made], check=True)
    packages = made / "lib" / version / "site-packages"
    shutil.rmtree(packages)
    for name in (f"lib/{version}/site-packages", "share", "etc"):
        shutil.copytree(here / name, made / name, copy_function=_link, symlinks=True, ignore=_caches)
    for name in ("llmws", "notebooks", "datasets", "hub_config"):
        shutil.copytree(ROOT / name, folder / "checkout" / name, ignore=_caches)
    for pointer in packages.glob("*llmws*.pth"):
        pointer.unlink()
        pointer.write_text(f"{folder / 'checkout'}\n")
    return made / "bin" / "python"


_caches = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
